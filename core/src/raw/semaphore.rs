//! Semaphores, as a backend makes them.

use super::{Taken, Watch};
use crate::{Error, Result, Wait};
use std::any::Any;
use std::sync::Arc;
use std::task::Waker;

/// The most permits that a semaphore counts.
pub const MAX_PERMITS: usize = i32::MAX as usize;

/// A semaphore, as a backend implements it for [`crate::Semaphore`].
///
/// ```
/// # use procbox_core::{Error, Wait};
/// # let ctx = procbox_core::Context::local([])?;
/// let raw = ctx.raw().semaphore(1)?;
/// raw.acquire(Wait::Forever)?;
/// assert_eq!(raw.acquire(Wait::Never), Err(Error::TimedOut));
/// raw.release()?;
/// assert_eq!(raw.available(), 1);
/// # Ok::<(), procbox_core::Error>(())
/// ```
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

    /// The account of which thread has which permits, the same for all handles of this semaphore in
    /// this process; `None`, the default, if they are the process's.
    fn taken(self: Arc<Self>) -> Option<Arc<Taken>> {
        None
    }

    /// Has `waker` woken when a permit may be free: see [`Watch`]. `None` is what a backend says in which nobody can wait
    /// without blocking.
    ///
    /// # Errors
    /// [`crate::Error::Exhausted`].
    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        let _ = waker;
        Ok(None)
    }
}

/// The error of a semaphore that would have more than [`MAX_PERMITS`].
///
/// ```
/// let e = procbox_core::raw::too_many_permits();
/// assert_eq!(e.to_string(), "a semaphore has at most 2147483647 permits");
/// ```
pub fn too_many_permits() -> Error {
    Error::Invalid(format!("a semaphore has at most {MAX_PERMITS} permits"))
}
