//! Bytes that processes share.

use crate::codec::{deserialize_handle, serialize_handle};
use crate::raw::{AtomicOp, Handle, RawRegion};
use crate::{Result, Wait};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// A region of bytes that every process has that was given it. It is there until nobody has it any more,
/// in no process and in no message; there is no name, and nothing to unlink.
///
/// Natively the bytes are shared memory: [`SharedBytes::words`] is where they are, and nothing is copied.
/// A sandboxed process has no memory in common with anybody: it copies bytes in and out by range, and
/// each step on a word is a call of the host.
///
/// Bytes are not locked: who reads while another writes may see some of both, but each aligned word of 8
/// bytes whole. Keep a [`Lock`](crate::Lock) beside it, or use the words: they can be changed atomically,
/// and waited for.
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let picture = ctx.shared_bytes(1 << 20)?;
/// let p = ctx.process("paints").args((&picture,)).start()?;
/// p.join()?;
/// let mut row = [0; 1024];
/// picture.read(0, &mut row)?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SharedBytes(Arc<dyn RawRegion>);

impl SharedBytes {
    /// Wraps what a backend made.
    ///
    /// ```
    /// # use procbox_core::SharedBytes;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let shared = SharedBytes::from_raw(ctx.raw().region(64)?); // what `Context::shared_bytes` does
    /// assert_eq!(shared.len(), 64);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn from_raw(raw: Arc<dyn RawRegion>) -> SharedBytes {
        SharedBytes(raw)
    }

    /// The number of bytes.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.shared_bytes(10)?.len(), 10);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    #[allow(clippy::len_without_is_empty, reason = "there are always some")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Copies bytes out, from an offset on.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let shared = ctx.shared_bytes(64)?;
    /// let mut four = [0; 4];
    /// shared.read(60, &mut four)?;
    /// assert!(shared.read(61, &mut four).is_err()); // there are three
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) if there are not so many.
    pub fn read(&self, at: usize, into: &mut [u8]) -> Result<()> {
        self.0.read(at, into)
    }

    /// All bytes, copied.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.shared_bytes(3)?.to_vec()?, [0, 0, 0]);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// None, unless the region is not what it says.
    pub fn to_vec(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.len()];
        self.read(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Copies bytes in, at an offset.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let shared = ctx.shared_bytes(64)?;
    /// shared.write(3, b"some bytes")?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) if there are not so many.
    pub fn write(&self, at: usize, bytes: &[u8]) -> Result<()> {
        self.0.write(at, bytes)
    }

    /// The bytes where they are, as words of 8 bytes, the last of which may go beyond the end: natively,
    /// and in the program that embeds a sandbox. `None` in a sandboxed process.
    ///
    /// ```
    /// # use std::sync::atomic::Ordering;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let shared = ctx.shared_bytes(1 << 20)?;
    /// if let Some(words) = shared.words() {
    ///     words[7].fetch_add(1, Ordering::Relaxed); // no call, no copy
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn words(&self) -> Option<&[AtomicU64]> {
        self.0.words()
    }

    /// The word at an offset.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.shared_bytes(64)?.load(8)?, 0);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) if the offset is no multiple of 8, or there is none.
    pub fn load(&self, at: usize) -> Result<u64> {
        self.0.atomic(at, AtomicOp::Load)
    }

    /// Puts another in the place of the word at an offset; what it was before.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let shared = ctx.shared_bytes(64)?;
    /// assert_eq!(shared.store(0, 7)?, 0);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`SharedBytes::load`].
    pub fn store(&self, at: usize, word: u64) -> Result<u64> {
        self.0.atomic(at, AtomicOp::Store(word))
    }

    /// Adds to the word at an offset, around the end; what it was before.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let shared = ctx.shared_bytes(64)?;
    /// let mine = shared.add(0, 1)?; // a number that nobody else gets
    /// # let _ = mine;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`SharedBytes::load`].
    pub fn add(&self, at: usize, more: u64) -> Result<u64> {
        self.0.atomic(at, AtomicOp::Add(more))
    }

    /// Puts `new` in the place of the word at an offset, if that is `current`; what it was before.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let shared = ctx.shared_bytes(64)?;
    /// let was = shared.compare_exchange(0, 0, 1)?;
    /// println!("{}", if was == 0 { "I am the first" } else { "somebody was here" });
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`SharedBytes::load`].
    pub fn compare_exchange(&self, at: usize, current: u64, new: u64) -> Result<u64> {
        self.0.atomic(at, AtomicOp::CompareExchange { current, new })
    }

    /// Waits until the word at an offset is another than this. Who changes it says so by
    /// [`SharedBytes::notify`].
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let shared = ctx.shared_bytes(64)?;
    /// let mut seen = shared.load(0)?;
    /// loop {
    ///     shared.wait(0, seen)?;
    ///     seen = shared.load(0)?;
    ///     println!("it is {seen} now");
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`SharedBytes::load`], and [`Error::Interrupted`](crate::Error::Interrupted) on Ctrl-C.
    pub fn wait(&self, at: usize, is: u64) -> Result<()> {
        self.0.wait(at, is, Wait::Forever)
    }

    /// Like [`SharedBytes::wait`], for at most `timeout`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let shared = ctx.shared_bytes(64)?;
    /// assert!(shared.wait_timeout(0, 0, Duration::from_millis(10)).is_err());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`SharedBytes::wait`], and [`Error::TimedOut`](crate::Error::TimedOut).
    pub fn wait_timeout(&self, at: usize, is: u64, timeout: Duration) -> Result<()> {
        self.0.wait(at, is, Wait::AtMost(timeout))
    }

    /// Has all who wait look whether the words that they wait for have changed.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let shared = ctx.shared_bytes(64)?;
    /// shared.store(0, 1)?;
    /// shared.notify();
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn notify(&self) {
        self.0.notify();
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedBytes({})", self.len())
    }
}

impl Serialize for SharedBytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serialize_handle(Handle::Region(self.0.clone()), s)
    }
}

impl<'de> Deserialize<'de> for SharedBytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<SharedBytes, D::Error> {
        match deserialize_handle(d)? {
            Handle::Region(raw) => Ok(SharedBytes(raw)),
            other => Err(serde::de::Error::custom(format!("a {} is no region", other.kind()))),
        }
    }
}
