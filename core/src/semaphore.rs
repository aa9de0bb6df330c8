//! A counting semaphore between processes.

use crate::codec::{deserialize_handle, serialize_handle};
use crate::raw::{self, Handle, RawSemaphore};
use crate::{Result, Wait};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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
    /// The most permits that a semaphore counts: 2^31 - 1.
    pub const MAX_PERMITS: usize = raw::MAX_PERMITS;

    /// Wraps what a backend made.
    ///
    /// ```no_run
    /// # use procbox_core::Semaphore;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let s = Semaphore::from_raw(ctx.raw().semaphore(2)?); // what `Context::semaphore` does
    /// assert_eq!(s.available(), 2);
    /// # Ok(()) }
    /// ```
    pub fn from_raw(raw: Arc<dyn RawSemaphore>) -> Semaphore {
        Semaphore(raw)
    }

    /// Waits for a permit, which is given back when dropped.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let s = ctx.semaphore(1)?;
    /// {
    ///     let _permit = s.permit()?;
    ///     assert_eq!(s.available(), 0);
    /// }
    /// assert_eq!(s.available(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`] on Ctrl-C.
    #[inline]
    pub fn permit(&self) -> Result<Permit<'_>> {
        self.0.acquire(Wait::Forever).map(|()| Permit(self))
    }

    /// Like [`Semaphore::permit`], for at most `timeout`.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let s = ctx.semaphore(0)?;
    /// let permit = s.permit_timeout(Duration::from_millis(10));
    /// assert_eq!(permit.err(), Some(Error::TimedOut));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Semaphore::permit`], and [`crate::Error::TimedOut`].
    pub fn permit_timeout(&self, timeout: Duration) -> Result<Permit<'_>> {
        self.0.acquire(Wait::AtMost(timeout)).map(|()| Permit(self))
    }

    /// Like [`Semaphore::permit`], without waiting.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let s = ctx.semaphore(1)?;
    /// let permit = s.try_permit()?;
    /// assert_eq!(s.try_permit().err(), Some(Error::TimedOut));
    /// # drop(permit);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`] if there is none.
    pub fn try_permit(&self) -> Result<Permit<'_>> {
        self.0.acquire(Wait::Never).map(|()| Permit(self))
    }

    /// Waits for a permit and keeps it until [`Semaphore::release`].
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let s = ctx.semaphore(2)?;
    /// s.acquire()?;
    /// assert_eq!(s.available(), 1);
    /// s.release()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Semaphore::permit`].
    pub fn acquire(&self) -> Result<()> {
        self.0.acquire(Wait::Forever)
    }

    /// Like [`Semaphore::acquire`], for at most `timeout`.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let s = ctx.semaphore(0)?;
    /// match s.acquire_timeout(Duration::from_millis(10)) {
    ///     Ok(()) => s.release()?,
    ///     Err(Error::TimedOut) => println!("still too many at work"),
    ///     Err(e) => return Err(e),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Semaphore::permit_timeout`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<()> {
        self.0.acquire(Wait::AtMost(timeout))
    }

    /// Like [`Semaphore::acquire`], without waiting.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let s = ctx.semaphore(1)?;
    /// s.try_acquire()?;
    /// assert_eq!(s.try_acquire(), Err(Error::TimedOut));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`] if there is none.
    pub fn try_acquire(&self) -> Result<()> {
        self.0.acquire(Wait::Never)
    }

    /// Gives a permit back. Any process may, as in Python: it need not have acquired one.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let s = ctx.semaphore(0)?;
    /// s.release()?; // there is one permit more now
    /// assert_eq!(s.available(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] if there would be more permits than the count can hold.
    pub fn release(&self) -> Result<()> {
        self.0.release()
    }

    /// The permits that are free now; another process may change that at any moment.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let s = ctx.semaphore(2)?;
    /// println!("{} may go on", s.available());
    /// # Ok(()) }
    /// ```
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
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let s = ctx.semaphore(1)?;
/// let permit = s.permit()?;
/// drop(permit);
/// assert_eq!(s.available(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "the permit is given back when dropped"]
pub struct Permit<'a>(&'a Semaphore);

impl Permit<'_> {
    /// Uses the permit up: it is not given back, by drop or by the death of the process.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let s = ctx.semaphore(3)?;
    /// s.permit()?.forget();
    /// assert_eq!(s.available(), 2); // for good
    /// # Ok(()) }
    /// ```
    pub fn forget(self) {
        self.0.0.forget();
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        // It fails only on overflow, which a permit that was taken cannot cause.
        let _ = self.0.0.release();
    }
}
