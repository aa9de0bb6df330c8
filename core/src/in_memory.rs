//! The methods of a context that make shared memory.

use crate::raw::MAX_REGION;
use crate::value::{Plain, room};
use crate::{Array, Context, Error, Result, SharedBytes, Value};

impl Context {
    /// So many bytes that processes share, all zero.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let shared = ctx.shared_bytes(1 << 20)?;
    /// shared.write(0, b"some bytes")?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for none, or more than a GiB; [`Error::Exhausted`].
    pub fn shared_bytes(&self, bytes: usize) -> Result<SharedBytes> {
        if bytes == 0 || bytes > MAX_REGION {
            let why = format!("a region has 1 to {MAX_REGION} bytes, not {bytes}");
            return Err(Error::Invalid(why));
        }
        self.raw().region(bytes).map(SharedBytes::from_raw)
    }

    /// A value of plain data that processes share, with a lock for those who change it.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let counter = ctx.value(0u64)?;
    /// counter.update(|n| *n += 1)?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Context::shared_bytes`].
    pub fn value<T: Plain>(&self, value: T) -> Result<Value<T>> {
        Value::new(self.shared_bytes(room::<T>())?, self.lock()?, value)
    }

    /// Values of plain data that processes share, as many as these, with a lock for those who take it.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let sums = ctx.array(&[0f64; 1000])?;
    /// sums.set(7, &1.5)?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Context::shared_bytes`].
    pub fn array<T: Plain>(&self, values: &[T]) -> Result<Array<T>> {
        Array::new(self.shared_bytes(size_of_val(values))?, self.lock()?, values)
    }
}
