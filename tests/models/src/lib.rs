//! The protocols by which sleepers are woken, with the very files of the backends, compiled with
//! loom's atomics: loom runs each test in every interleaving that the memory model allows. A wake
//! that is lost shows as a deadlock.
//!
//! `make models` runs them.

#![cfg(all(loom, test))]

mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};
}
#[path = "../../../native/src/sync/signal.rs"]
#[allow(dead_code, reason = "the backend uses all of it")]
mod signal;
#[path = "../../../host/src/wait_list.rs"]
#[allow(dead_code, reason = "the backend uses all of it")]
mod wait_list;

mod native_signal;
mod sandbox_wait_list;
