//! Locks that a panic does not poison, and threads. The models of the runtime have loom's instead.

pub(crate) use std::sync::{Mutex, MutexGuard};

use std::sync::PoisonError;

/// Locks. What is behind the locks of this crate is whole whenever other code runs.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) mod thread {
    //! Threads that sleep until they are woken.
    pub(crate) use std::thread::{Builder, Thread, current, park, park_timeout};
}
