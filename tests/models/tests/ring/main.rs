//! Queues: the production files of the ring and of signals, with threads for processes, and one that is
//! killed before each of its steps.
//!
//! The locks are robust, and transactions are whole, in a simpler way than in production: that they are
//! is for other models to show. Seen to fail when:
//!
//! - the tail is stored or read relaxed, or stored before the record is written;
//! - a put or a get tells nobody, or one of them does not look between announcing itself and sleeping;
//! - a signal's fence is left out on either side;
//! - a signal's word is read after its flag is raised;
//! - the jump to a new segment is written after the tail;
//! - the holder after a death does not repair the counts, or not finish the dead one's transaction first;
//! - a record begins without its counts;
//! - the recovery wakes nobody.
//!
//! It does not fail when the counts of what was got are stored relaxed, nor when a transaction does not
//! say whom to wake: who waits is woken by the recovery too.

#![cfg(loom)]

#[allow(dead_code, reason = "the backend uses all of it")]
mod arena;
mod messages;
#[path = "../../../../native/src/ring/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the backend uses all of it")]
mod ring;
#[allow(dead_code, reason = "the backend uses all of it")]
mod sync;
