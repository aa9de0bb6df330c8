//! Queues: the production files of the ring and of signals, with threads for processes, and one that is
//! killed before each of its steps.
//!
//! The locks are robust, and transactions are whole, in a simpler way than in production: that they are
//! is for other models to show. Seen to fail when:
//!
//! - the tail is stored or read relaxed, or stored before the record is written;
//! - a put or a get tells nobody, or one of them does not look between announcing itself and sleeping;
//! - a signal's fence is left out on either side;
//! - the holder after a death does not repair the counts, or a record begins without them;
//! - the recovery wakes nobody.

#![cfg(loom)]

#[allow(dead_code, reason = "the backend uses all of it")]
mod arena;
mod messages;
#[path = "../../../../native/src/ring/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the backend uses all of it")]
mod ring;
#[allow(dead_code, reason = "the backend uses all of it")]
mod sync;
