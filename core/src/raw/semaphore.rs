//! Semaphores, as a backend makes them.

use crate::{Error, Result, Wait};
use std::any::Any;

/// The most permits that a semaphore counts.
pub const MAX_PERMITS: usize = i32::MAX as usize;

/// A semaphore, as a backend implements it for [`crate::Semaphore`].
///
/// ```no_run
/// # use procbox_core::{Error, Wait};
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let raw = ctx.raw().semaphore(1)?;
/// raw.acquire(Wait::Forever)?;
/// assert_eq!(raw.acquire(Wait::Never), Err(Error::TimedOut));
/// raw.release()?;
/// assert_eq!(raw.available(), 1);
/// # Ok(()) }
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

    /// A number that all handles of this semaphore have in common in this process, as long as there is
    /// one, and no other semaphore has: by it a thread's permits are known. By default the
    /// handle's address, for a backend that has one handle only.
    fn number(&self) -> usize {
        std::ptr::from_ref(self).cast::<()>().addr()
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
