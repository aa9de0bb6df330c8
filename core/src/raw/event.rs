//! Events, as a backend makes them.

use super::Watch;
use crate::{Result, Wait};
use std::any::Any;
use std::task::Waker;

/// An event, as a backend implements it for [`crate::Event`].
///
/// ```
/// # use procbox_core::{Error, Wait};
/// # let ctx = procbox_core::Context::local([])?;
/// let raw = ctx.raw().event()?;
/// assert_eq!(raw.wait(Wait::Never), Err(Error::TimedOut));
/// raw.set();
/// raw.wait(Wait::Forever)?;
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub trait RawEvent: Any + Send + Sync {
    /// Sets the flag and wakes all who wait.
    fn set(&self);

    /// Clears the flag.
    fn clear(&self);

    /// `true` if it is set.
    fn is_set(&self) -> bool;

    /// Waits until it is set, or has been set since the call began.
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`], [`crate::Error::Interrupted`].
    fn wait(&self, wait: Wait) -> Result<()>;

    /// How often it went from clear to set, by a number that wraps around: so one that waits without
    /// blocking sees that it was set, if it has been cleared since. `None` is what a backend says that
    /// does not count.
    fn times_set(&self) -> Option<u64> {
        None
    }

    /// Has `waker` woken when it may be set: see [`Watch`]. `None` is what a backend says in which nobody can wait
    /// without blocking.
    ///
    /// # Errors
    /// [`crate::Error::Exhausted`].
    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        let _ = waker;
        Ok(None)
    }
}
