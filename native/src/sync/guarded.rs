//! A value of this process behind a lock that can be waited for as long as a call has patience: whoever
//! has it may have to wait for other processes.

use super::patience::Patience;
use super::robust::RobustLock;
use procbox_core::Result;
use std::cell::UnsafeCell;

/// A value that one thread at a time works on.
#[derive(Default)]
pub(crate) struct Guarded<T> {
    lock: RobustLock,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by the thread that holds the lock alone.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    /// Does something with the value.
    ///
    /// # Errors
    /// [`procbox_core::Error::TimedOut`] and [`procbox_core::Error::Interrupted`] if the lock is not to
    /// be had, and those of `work`.
    pub(crate) fn with<R>(
        &self,
        patience: &Patience,
        work: impl FnOnce(&mut T) -> Result<R>,
    ) -> Result<R> {
        // SAFETY: the lock is held for as long as the reference lives, and is not reentrant.
        self.lock.hold(patience, |_| work(unsafe { &mut *self.value.get() }))
    }
}
