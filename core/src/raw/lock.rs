//! Locks, as a backend makes them.

use super::Watch;
use crate::{Result, Wait};
use std::any::Any;
use std::task::Waker;

/// A lock, as a backend implements it for [`crate::Lock`].
///
/// The holder is a thread of a process: a sandboxed process has one thread.
///
/// ```
/// # use procbox_core::{Error, Wait};
/// # let ctx = procbox_core::Context::local([])?;
/// let raw = ctx.raw().lock()?;
/// let acquired = raw.acquire(Wait::Never)?;
/// assert!(!acquired.owner_died);
/// raw.release()?;
/// assert_eq!(raw.release(), Err(Error::NotHolder));
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub trait RawLock: Any + Send + Sync {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`], [`crate::Error::AlreadyHeld`], [`crate::Error::Interrupted`].
    fn acquire(&self, wait: Wait) -> Result<Acquired>;

    /// Gives the lock back.
    ///
    /// # Errors
    /// [`crate::Error::NotHolder`] if the calling thread does not hold it.
    fn release(&self) -> Result<()>;

    /// Takes the lock, if it is free, for somebody whom this process runs and the backend does not know:
    /// a sandboxed process on a bridge. It is this process's then, and no thread's; if this process dies,
    /// it comes back.
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`] if somebody has it, [`crate::Error::Unsupported`].
    fn acquire_for(&self) -> Result<Acquired> {
        Err(crate::Error::Unsupported("locks on a bridge"))
    }

    /// Gives back what [`RawLock::acquire_for`] took; `died` is what the next holder is told.
    ///
    /// # Errors
    /// [`crate::Error::NotHolder`] if it was not taken so by this process.
    fn release_for(&self, died: bool) -> Result<()> {
        let _ = died;
        Err(crate::Error::NotHolder)
    }

    /// Has `waker` woken when it may be free: see [`Watch`]. `None` is what a backend says in which nobody can wait
    /// without blocking.
    ///
    /// # Errors
    /// [`crate::Error::Exhausted`].
    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        let _ = waker;
        Ok(None)
    }
}

/// The outcome of acquiring a lock.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let lock = ctx.lock()?;
/// let acquired = lock.acquire()?;
/// if acquired.owner_died {
///     eprintln!("the last holder died: looking through what it left");
/// }
/// lock.release()?;
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "it says whether the last holder died with the data half changed"]
pub struct Acquired {
    /// The holder before died without releasing: what the lock protects may be half changed.
    pub owner_died: bool,
}

impl Acquired {
    /// From a holder that released it, or from one that died.
    ///
    /// ```
    /// assert!(procbox_core::raw::Acquired::new(true).owner_died);
    /// ```
    pub const fn new(owner_died: bool) -> Acquired {
        Acquired { owner_died }
    }
}
