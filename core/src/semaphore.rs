//! A counting semaphore between processes.

use crate::codec::{deserialize_handle, serialize_handle};
use crate::polled::until;
use crate::raw::{self, Handle, RawSemaphore, Taken};
use crate::{Result, Wait};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A number of permits that processes share.
///
/// A permit, held by a guard or by `acquire`, is its thread's: if nobody has given it back by then, it
/// comes back when the thread that took it ends, and when the process dies. A guard may be sent to
/// another thread, and gives the permit back there, but does not outlive the first one's. Who wants
/// a permit to last forgets it, on purpose, and releases one later.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let two = ctx.semaphore(2)?;
/// let permit = two.permit()?;
/// assert_eq!(two.available(), 1);
/// drop(permit);
/// assert_eq!(two.available(), 2);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Semaphore {
    raw: Arc<dyn RawSemaphore>,
    /// Which thread has which permits.
    taken: Option<Arc<Taken>>,
}

impl Semaphore {
    /// The most permits that a semaphore counts: 2^31 - 1.
    pub const MAX_PERMITS: usize = raw::MAX_PERMITS;

    /// Wraps what a backend made.
    ///
    /// ```
    /// # use procbox_core::Semaphore;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let s = Semaphore::from_raw(ctx.raw().semaphore(2)?); // what `Context::semaphore` does
    /// assert_eq!(s.available(), 2);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn from_raw(raw: Arc<dyn RawSemaphore>) -> Semaphore {
        Semaphore { taken: raw.clone().taken(), raw }
    }

    /// Waits for a permit, which is given back when dropped.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let s = ctx.semaphore(1)?;
    /// {
    ///     let _permit = s.permit()?;
    ///     assert_eq!(s.available(), 0);
    /// }
    /// assert_eq!(s.available(), 1);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`] on Ctrl-C.
    #[inline]
    pub fn permit(&self) -> Result<Permit<'_>> {
        self.raw.acquire(Wait::Forever).map(|()| self.taken())
    }

    /// Like [`Semaphore::permit`], for at most `timeout`.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let s = ctx.semaphore(0)?;
    /// let permit = s.permit_timeout(Duration::from_millis(10));
    /// assert_eq!(permit.err(), Some(Error::TimedOut));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Semaphore::permit`], and [`crate::Error::TimedOut`].
    pub fn permit_timeout(&self, timeout: Duration) -> Result<Permit<'_>> {
        self.raw.acquire(Wait::AtMost(timeout)).map(|()| self.taken())
    }

    /// Like [`Semaphore::permit`], without waiting.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let s = ctx.semaphore(1)?;
    /// let permit = s.try_permit()?;
    /// assert_eq!(s.try_permit().err(), Some(Error::TimedOut));
    /// # drop(permit);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`] if there is none.
    pub fn try_permit(&self) -> Result<Permit<'_>> {
        self.raw.acquire(Wait::Never).map(|()| self.taken())
    }

    /// Waits for a permit and keeps it until [`Semaphore::release`].
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let s = ctx.semaphore(2)?;
    /// s.acquire()?;
    /// assert_eq!(s.available(), 1);
    /// s.release()?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Semaphore::permit`].
    pub fn acquire(&self) -> Result<()> {
        self.raw.acquire(Wait::Forever).map(|()| self.keep())
    }

    /// Like [`Semaphore::acquire`], for at most `timeout`.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let s = ctx.semaphore(0)?;
    /// match s.acquire_timeout(Duration::from_millis(10)) {
    ///     Ok(()) => s.release()?,
    ///     Err(Error::TimedOut) => println!("still too many at work"),
    ///     Err(e) => return Err(e),
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Semaphore::permit_timeout`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<()> {
        self.raw.acquire(Wait::AtMost(timeout)).map(|()| self.keep())
    }

    /// Like [`Semaphore::acquire`], without waiting.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let s = ctx.semaphore(1)?;
    /// s.try_acquire()?;
    /// assert_eq!(s.try_acquire(), Err(Error::TimedOut));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`] if there is none.
    pub fn try_acquire(&self) -> Result<()> {
        self.raw.acquire(Wait::Never).map(|()| self.keep())
    }

    /// Gives a permit back. Any process may, as in Python: it need not have acquired one.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let s = ctx.semaphore(0)?;
    /// s.release()?; // there is one permit more now
    /// assert_eq!(s.available(), 1);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] if there would be more permits than the count can hold.
    pub fn release(&self) -> Result<()> {
        if let Some(taken) = &self.taken {
            taken.gives();
        }
        self.raw.release()
    }

    /// Notes a permit that was taken just now.
    /// Like [`Semaphore::acquire`], as a future: whoever polls it does not block while there is no permit.
    /// Dropped before it is ready, it has taken none. The permit is the thread's that polls it to the end:
    /// it comes back when that thread ends.
    /// Inside a sandboxed process, and in a simulation, the poll blocks.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let semaphore = ctx.semaphore(3)?;
    /// semaphore.acquire_async().await?;
    /// println!("one of three");
    /// semaphore.release()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Os`] if it cannot be watched.
    pub async fn acquire_async(&self) -> Result<()> {
        self.polled().await.map(|()| self.keep())
    }

    /// Like [`Semaphore::acquire_async`], with a permit that comes back when it is dropped.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let semaphore = ctx.semaphore(3)?;
    /// let permit = semaphore.permit_async().await?;
    /// println!("one of three");
    /// drop(permit);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`Semaphore::acquire_async`].
    pub async fn permit_async(&self) -> Result<Permit<'_>> {
        self.polled().await.map(|()| self.taken())
    }

    async fn polled(&self) -> Result<()> {
        until(|wait| self.raw.acquire(wait), |waker| self.raw.watch(waker)).await
    }

    #[inline]
    fn keep(&self) {
        let _ = self.note();
    }

    /// The same; whose it is.
    #[inline]
    fn note(&self) -> u64 {
        self.taken.as_ref().map_or(0, Taken::took)
    }

    /// Strikes out a permit of this thread's that is about to be given back; `false` if it has come back.
    #[inline]
    fn gives_of(&self, thread: u64) -> bool {
        self.taken.as_ref().is_none_or(|taken| taken.gives_of(thread))
    }

    /// The guard of a permit that was taken just now.
    #[inline]
    fn taken(&self) -> Permit<'_> {
        Permit { semaphore: self, thread: self.note() }
    }

    /// The permits that are free now; another process may change that at any moment.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let s = ctx.semaphore(2)?;
    /// println!("{} may go on", s.available());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn available(&self) -> usize {
        self.raw.available()
    }
}

impl Drop for Semaphore {
    fn drop(&mut self) {
        if let Some(taken) = &self.taken {
            taken.handle_goes(&self.raw);
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Semaphore({} free)", self.available())
    }
}

impl Serialize for Semaphore {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serialize_handle(Handle::Semaphore(self.raw.clone()), s)
    }
}

impl<'de> Deserialize<'de> for Semaphore {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Semaphore, D::Error> {
        match deserialize_handle(d)? {
            Handle::Semaphore(raw) => Ok(Semaphore::from_raw(raw)),
            other => {
                Err(serde::de::Error::custom(format!("a {} is not a semaphore", other.kind())))
            }
        }
    }
}

/// One permit of a [`Semaphore`], given back when dropped.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let s = ctx.semaphore(1)?;
/// let permit = s.permit()?;
/// drop(permit);
/// assert_eq!(s.available(), 1);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the permit is given back when dropped"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    /// The thread that took it.
    thread: u64,
}

impl Permit<'_> {
    /// Uses the permit up: it is not given back, by drop or by the end of the thread or the process.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let s = ctx.semaphore(3)?;
    /// s.permit()?.forget();
    /// assert_eq!(s.available(), 2); // for good
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn forget(self) {
        if self.semaphore.gives_of(self.thread) {
            self.semaphore.raw.forget();
        }
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.semaphore.gives_of(self.thread) {
            // It fails only on overflow, which a permit that was taken cannot cause.
            let _ = self.semaphore.raw.release();
        }
    }
}
