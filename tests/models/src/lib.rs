//! The protocols between processes and threads, with the very files of the backends, compiled with
//! other atomics, locks and system calls under them:
//!
//! - by loom, which runs each test in every interleaving that the memory model of C11 allows. A wake that
//!   is lost shows as a deadlock;
//! - by `explore`, which runs processes in every order of their steps, and kills them before each.
//!
//! `make models` runs them.

#![cfg(loom)]

pub mod explore;
pub mod victim;

#[cfg(test)]
mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};
}
#[cfg(test)]
#[path = "../../../native/src/sync/signal.rs"]
#[allow(dead_code, reason = "the backend uses all of it")]
mod signal;
#[cfg(test)]
#[path = "../../../host/src/wait_list.rs"]
#[allow(dead_code, reason = "the backend uses all of it")]
mod wait_list;

#[cfg(test)]
mod native_signal;
#[cfg(test)]
mod sandbox_wait_list;
