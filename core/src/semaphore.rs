//! A counting semaphore between processes.

use crate::codec::{deserialize_handle, serialize_handle};
use crate::{Handle, Result, Wait};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a backend implements for [`Semaphore`].
pub trait RawSemaphore: Any + Send + Sync {
    /// Takes a permit that comes back by itself when the calling process dies.
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`], [`crate::Error::Interrupted`].
    fn acquire(&self, wait: Wait) -> Result<()>;

    /// Gives a permit back: one of this process's own, or else a new one.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] if the count would overflow.
    fn release(&self) -> Result<()>;

    /// Turns a permit of this process into one that nobody gives back.
    fn forget(&self);

    /// The permits that are free now.
    fn available(&self) -> usize;
}

/// A number of permits that processes share.
///
/// A permit that is held by a guard or by `acquire` comes back when its process dies, unless it was
/// forgotten on purpose.
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let two = ctx.semaphore(2)?;
/// let permit = two.permit()?;
/// assert_eq!(two.available(), 1);
/// drop(permit);
/// assert_eq!(two.available(), 2);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Semaphore(Arc<dyn RawSemaphore>);

impl Semaphore {
    /// Wraps what a backend made.
    pub fn from_raw(raw: Arc<dyn RawSemaphore>) -> Semaphore {
        Semaphore(raw)
    }

    /// Waits for a permit, which is given back when dropped.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`] on Ctrl-C.
    pub fn permit(&self) -> Result<Permit<'_>> {
        self.0.acquire(Wait::Forever).map(|()| Permit(self))
    }

    /// Like [`Semaphore::permit`], for at most `timeout`.
    ///
    /// # Errors
    /// Those of [`Semaphore::permit`], and [`crate::Error::TimedOut`].
    pub fn permit_timeout(&self, timeout: Duration) -> Result<Permit<'_>> {
        self.0.acquire(Wait::AtMost(timeout)).map(|()| Permit(self))
    }

    /// Like [`Semaphore::permit`], without waiting.
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`] if there is none.
    pub fn try_permit(&self) -> Result<Permit<'_>> {
        self.0.acquire(Wait::Never).map(|()| Permit(self))
    }

    /// Waits for a permit and keeps it until [`Semaphore::release`].
    ///
    /// # Errors
    /// Those of [`Semaphore::permit`].
    pub fn acquire(&self) -> Result<()> {
        self.0.acquire(Wait::Forever)
    }

    /// Like [`Semaphore::acquire`], for at most `timeout`.
    ///
    /// # Errors
    /// Those of [`Semaphore::permit_timeout`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<()> {
        self.0.acquire(Wait::AtMost(timeout))
    }

    /// Like [`Semaphore::acquire`], without waiting.
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`] if there is none.
    pub fn try_acquire(&self) -> Result<()> {
        self.0.acquire(Wait::Never)
    }

    /// Gives a permit back. Any process may, as in Python: it need not have acquired one.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] if there would be more permits than the count can hold.
    pub fn release(&self) -> Result<()> {
        self.0.release()
    }

    /// The permits that are free now; another process may change that at any moment.
    pub fn available(&self) -> usize {
        self.0.available()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Semaphore({} free)", self.available())
    }
}

impl Serialize for Semaphore {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serialize_handle(Handle::Semaphore(self.0.clone()), s)
    }
}

impl<'de> Deserialize<'de> for Semaphore {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Semaphore, D::Error> {
        match deserialize_handle(d)? {
            Handle::Semaphore(raw) => Ok(Semaphore(raw)),
            other => {
                Err(serde::de::Error::custom(format!("a {} is not a semaphore", other.kind())))
            }
        }
    }
}

/// One permit of a [`Semaphore`], given back when dropped.
#[derive(Debug)]
#[must_use = "the permit is given back when dropped"]
pub struct Permit<'a>(&'a Semaphore);

impl Permit<'_> {
    /// Uses the permit up: it is not given back, by drop or by the death of the process.
    pub fn forget(self) {
        self.0.0.forget();
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // It fails only on overflow, which a permit that was taken cannot cause.
        let _ = self.0.0.release();
    }
}
