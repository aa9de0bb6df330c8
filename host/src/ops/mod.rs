//! What a guest may ask, in Rust types, on its store's data.
//!
//! An operation knows nothing of how the guest asked: no linear memory, no codes. It takes handles as
//! the numbers that they are in the process's table, and answers with values or an [`Error`]. The
//! front ends in `guest/` translate. An operation that can wait has two forms: one that tries, and an
//! async one that waits; the latter is the guest's fiber, suspended.

pub(crate) mod connection;
mod error;
pub(crate) mod event;
pub(crate) mod foreign;
pub(crate) mod handle;
pub(crate) mod ledger;
pub(crate) mod lock;
pub(crate) mod message;
pub(crate) mod own;
pub(crate) mod pipe;
pub(crate) mod process;
pub(crate) mod queue;
pub(crate) mod region;
pub(crate) mod semaphore;
mod wait;

pub(crate) use error::{Error, Result};
