//! A mutual-exclusion lock between processes.

use crate::codec::{deserialize_handle, serialize_handle};
use crate::polled::until;
use crate::raw::{Acquired, Handle, RawLock};
use crate::{Error, Result, Wait};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// A lock that processes of both backends share. Not reentrant, and released by its holder only.
///
/// A holder that dies gives the lock back, and the next holder is told so.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let lock = ctx.lock()?;
/// {
///     let guard = lock.lock()?;
///     assert!(!guard.owner_died());
/// } // released here
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Lock(Arc<dyn RawLock>);

impl Lock {
    /// Wraps what a backend made.
    ///
    /// ```
    /// # use procbox_core::Lock;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let lock = Lock::from_raw(ctx.raw().lock()?); // what `Context::lock` does
    /// drop(lock.lock()?);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn from_raw(raw: Arc<dyn RawLock>) -> Lock {
        Lock(raw)
    }

    /// Waits for the lock; the guard releases it when dropped.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let lock = ctx.lock()?;
    /// let guard = lock.lock()?;
    /// assert_eq!(lock.lock().err(), Some(Error::AlreadyHeld)); // not reentrant
    /// drop(guard);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::AlreadyHeld`] if the caller has it, [`Error::Interrupted`] on Ctrl-C.
    #[inline]
    pub fn lock(&self) -> Result<LockGuard<'_>> {
        self.guard(Wait::Forever)
    }

    /// Like [`Lock::lock`], for at most `timeout`.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let lock = ctx.lock()?;
    /// let guard = lock.lock()?;
    /// std::thread::scope(|threads| {
    ///     let other = threads.spawn(|| lock.lock_timeout(Duration::from_millis(10)).err());
    ///     assert_eq!(other.join().unwrap(), Some(Error::TimedOut)); // this thread has it
    /// });
    /// drop(guard);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Lock::lock`], and [`Error::TimedOut`].
    pub fn lock_timeout(&self, timeout: Duration) -> Result<LockGuard<'_>> {
        self.guard(Wait::AtMost(timeout))
    }

    /// Like [`Lock::lock`], without waiting.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let lock = ctx.lock()?;
    /// match lock.try_lock() {
    ///     Ok(_guard) => println!("mine, until the end of this arm"),
    ///     Err(Error::TimedOut) => println!("another has it"),
    ///     Err(e) => return Err(e),
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Lock::lock`], and [`Error::TimedOut`] if another has it.
    pub fn try_lock(&self) -> Result<LockGuard<'_>> {
        self.guard(Wait::Never)
    }

    #[inline]
    pub(crate) fn acquire_as(&self, wait: Wait) -> Result<Acquired> {
        self.0.acquire(wait)
    }

    /// One try, or one wait, to which a lock that another task of the calling thread has is as any that is held.
    fn try_polled(&self, wait: Wait) -> Result<Acquired> {
        match self.0.acquire(wait) {
            Err(Error::AlreadyHeld) if wait.is_never() => Err(Error::TimedOut),
            acquired => acquired,
        }
    }

    /// Like [`Lock::acquire`], as a future: whoever polls it does not block while another has the lock.
    /// The holder is the thread that polls it to the end, as with `std`'s `MutexGuard`: that thread
    /// releases the lock, and gives it back if it ends. So it is for runtimes of one thread, or to be
    /// released before the next `await`. Tasks of one thread wait for each other: one that has it, and
    /// asks for it again, waits for ever.
    /// Inside a sandboxed process, and in a simulation, the poll blocks.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let lock = ctx.lock()?;
    /// lock.acquire_async().await?;
    /// println!("alone");
    /// lock.release()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Os`] if it cannot be watched.
    pub async fn acquire_async(&self) -> Result<Acquired> {
        until(|wait| self.try_polled(wait), |waker| self.0.watch(waker)).await
    }

    /// Like [`Lock::acquire_async`], with a guard. A future that keeps the guard over an `await` is not
    /// `Send`, so that no other thread comes to have it.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let lock = ctx.lock()?;
    /// let guard = lock.lock_async().await?;
    /// println!("alone");
    /// drop(guard);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`Lock::acquire_async`].
    pub async fn lock_async(&self) -> Result<LockGuard<'_>> {
        let acquired = self.acquire_async().await?;
        Ok(LockGuard { lock: self, acquired, not_send: PhantomData })
    }

    #[inline]
    fn guard(&self, wait: Wait) -> Result<LockGuard<'_>> {
        let acquired = self.0.acquire(wait)?;
        Ok(LockGuard { lock: self, acquired, not_send: PhantomData })
    }

    /// Waits for the lock and keeps it until [`Lock::release`].
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let lock = ctx.lock()?;
    /// let acquired = lock.acquire()?;
    /// assert!(!acquired.owner_died);
    /// lock.release()?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Lock::lock`].
    pub fn acquire(&self) -> Result<Acquired> {
        self.0.acquire(Wait::Forever)
    }

    /// Like [`Lock::acquire`], for at most `timeout`.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let lock = ctx.lock()?;
    /// match lock.acquire_timeout(Duration::from_secs(1)) {
    ///     Ok(_) => lock.release()?,
    ///     Err(Error::TimedOut) => eprintln!("another has had it for a second"),
    ///     Err(e) => return Err(e),
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Lock::lock_timeout`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Acquired> {
        self.0.acquire(Wait::AtMost(timeout))
    }

    /// Like [`Lock::acquire`], without waiting.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let lock = ctx.lock()?;
    /// if lock.try_acquire().is_ok() {
    ///     lock.release()?;
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Lock::try_lock`].
    pub fn try_acquire(&self) -> Result<Acquired> {
        self.0.acquire(Wait::Never)
    }

    /// Gives back what `acquire` took.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let lock = ctx.lock()?;
    /// assert_eq!(lock.release(), Err(Error::NotHolder));
    /// let _ = lock.acquire()?;
    /// lock.release()?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotHolder`] if the caller does not hold it.
    pub fn release(&self) -> Result<()> {
        self.0.release()
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock")
    }
}

impl Serialize for Lock {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serialize_handle(Handle::Lock(self.0.clone()), s)
    }
}

impl<'de> Deserialize<'de> for Lock {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Lock, D::Error> {
        match deserialize_handle(d)? {
            Handle::Lock(raw) => Ok(Lock(raw)),
            other => Err(serde::de::Error::custom(format!("a {} is not a lock", other.kind()))),
        }
    }
}

/// Holds a [`Lock`] until dropped.
///
/// It stays on the thread that acquired it, since that thread is the holder.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let lock = ctx.lock()?;
/// let guard = lock.lock()?;
/// drop(guard);
/// assert!(lock.try_lock().is_ok());
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockGuard<'a> {
    lock: &'a Lock,
    acquired: Acquired,
    not_send: PhantomData<*const ()>,
}

impl LockGuard<'_> {
    /// True if it holds this lock.
    pub(crate) fn is_of(&self, lock: &Lock) -> bool {
        Arc::ptr_eq(&self.lock.0, &lock.0)
    }

    /// `true` if the holder before died without releasing.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let lock = ctx.lock()?;
    /// let guard = lock.lock()?;
    /// if guard.owner_died() {
    ///     eprintln!("the last holder died: looking through what it left");
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn owner_died(&self) -> bool {
        self.acquired.owner_died
    }
}

impl Drop for LockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // The one way to fail is that the caller released it by hand, which is its business.
        let _: Result<(), Error> = self.lock.0.release();
    }
}
