//! A lock that its holder may take again.
//!
//! It is a [`Lock`], whose holder is a thread, and beside it a ledger that says how often the holder has
//! taken it again. Only the holder changes that number, and who takes the lock of a dead holder begins
//! it anew.

use crate::ledger::{Kind, Ledger, deserialize_as, serialize_as};
use crate::raw::Acquired;
use crate::{Error, Lock, Result, Wait};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// How often it was taken again.
const AGAIN: usize = 0;

/// A lock that processes share, and that its holder may take several times: it is free when it was
/// released as often. The holder is a thread of a process.
///
/// A holder that dies gives it back, however often it has taken it, and the next holder is told.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let lock = ctx.rlock()?;
/// let outer = lock.lock()?;
/// let inner = lock.lock()?; // a `Lock` would be `AlreadyHeld`
/// drop(inner);
/// drop(outer); // free from here on
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone)]
pub struct RLock {
    lock: Lock,
    ledger: Ledger,
}

impl RLock {
    pub(crate) fn new(lock: Lock, ledger: Ledger) -> RLock {
        RLock { lock, ledger }
    }

    fn take(&self, wait: Wait) -> Result<Acquired> {
        match self.lock.acquire_as(wait) {
            Err(Error::AlreadyHeld) => {
                self.ledger
                    .update(|page| page.words[AGAIN] = page.words[AGAIN].saturating_add(1))?;
                Ok(Acquired::new(false))
            }
            Ok(Acquired { owner_died: true }) => {
                self.ledger.update(|page| page.words[AGAIN] = 0)?;
                Ok(Acquired::new(true))
            }
            other => other,
        }
    }

    fn guard(&self, wait: Wait) -> Result<RLockGuard<'_>> {
        let acquired = self.take(wait)?;
        Ok(RLockGuard { lock: self, acquired, not_send: PhantomData })
    }

    /// Waits for the lock; the guard releases it once when dropped.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let lock = ctx.rlock()?;
    /// let _guard = lock.lock()?;
    /// assert!(lock.try_lock().is_ok()); // it is this thread's
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Interrupted`] on Ctrl-C.
    pub fn lock(&self) -> Result<RLockGuard<'_>> {
        self.guard(Wait::Forever)
    }

    /// Like [`RLock::lock`], for at most `timeout`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// drop(ctx.rlock()?.lock_timeout(Duration::from_secs(1))?);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`RLock::lock`], and [`Error::TimedOut`].
    pub fn lock_timeout(&self, timeout: Duration) -> Result<RLockGuard<'_>> {
        self.guard(Wait::AtMost(timeout))
    }

    /// Like [`RLock::lock`], without waiting.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert!(ctx.rlock()?.try_lock().is_ok());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TimedOut`] if another has it.
    pub fn try_lock(&self) -> Result<RLockGuard<'_>> {
        self.guard(Wait::Never)
    }

    /// Waits for the lock and keeps it until [`RLock::release`].
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let lock = ctx.rlock()?;
    /// let _ = (lock.acquire()?, lock.acquire()?);
    /// lock.release()?;
    /// lock.release()?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`RLock::lock`].
    pub fn acquire(&self) -> Result<Acquired> {
        self.take(Wait::Forever)
    }

    /// Like [`RLock::acquire`], for at most `timeout`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let lock = ctx.rlock()?;
    /// let _ = lock.acquire_timeout(Duration::from_secs(1))?;
    /// lock.release()?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`RLock::lock_timeout`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Acquired> {
        self.take(Wait::AtMost(timeout))
    }

    /// Like [`RLock::acquire`], without waiting.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let lock = ctx.rlock()?;
    /// let _ = lock.try_acquire()?;
    /// lock.release()?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`RLock::try_lock`].
    pub fn try_acquire(&self) -> Result<Acquired> {
        self.take(Wait::Never)
    }

    /// Gives back what one `acquire` took.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let lock = ctx.rlock()?;
    /// assert_eq!(lock.release(), Err(procbox_core::Error::NotHolder));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotHolder`] if the caller does not hold it.
    pub fn release(&self) -> Result<()> {
        // The number is the caller's own, if the lock is.
        if self.ledger.update(|page| page.words[AGAIN])? == 0 {
            return self.lock.release();
        }
        match self.lock.try_acquire() {
            Err(Error::AlreadyHeld) => {
                self.ledger.update(|page| page.words[AGAIN] = page.words[AGAIN].saturating_sub(1))
            }
            Err(Error::TimedOut) => Err(Error::NotHolder),
            Err(e) => Err(e),
            Ok(_) => {
                // Nobody had it: the number is that of a holder who died.
                self.ledger.update(|page| page.words[AGAIN] = 0)?;
                self.lock.release()?;
                Err(Error::NotHolder)
            }
        }
    }
}

impl fmt::Debug for RLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RLock")
    }
}

impl Serialize for RLock {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serialize_as(Kind::RLock, (&self.lock, &self.ledger), s)
    }
}

impl<'de> Deserialize<'de> for RLock {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<RLock, D::Error> {
        deserialize_as(Kind::RLock, d).map(|(lock, ledger)| RLock { lock, ledger })
    }
}

/// Holds an [`RLock`] once more, until dropped.
///
/// It stays on the thread that acquired it, since that thread is the holder.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let lock = ctx.rlock()?;
/// let guard = lock.lock()?;
/// assert!(!guard.owner_died());
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct RLockGuard<'a> {
    lock: &'a RLock,
    acquired: Acquired,
    not_send: PhantomData<*const ()>,
}

impl RLockGuard<'_> {
    /// `true` if the holder before died without releasing. The outermost guard is told.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert!(!ctx.rlock()?.lock()?.owner_died());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn owner_died(&self) -> bool {
        self.acquired.owner_died
    }
}

impl Drop for RLockGuard<'_> {
    fn drop(&mut self) {
        // The one way to fail is that the caller released it by hand, which is its business.
        let _: Result<(), Error> = self.lock.release();
    }
}
