//! The sandbox's runtime in real time: the production files of its run queue, its pacer, its runners and
//! the bells of those who wait, with loom's threads.
//!
//! Seen to fail when:
//!
//! - the pacer does not look again after it has said that it rests, or looks before;
//! - its state or the count of ready tasks is read relaxed;
//! - the pacer is told of a task before it is there, or not at all;
//! - it wakes no runner, or a runner sleeps unlisted;
//! - a ring unparks nobody, or is relaxed, as its answer is;
//! - going to sleep, or waking up, overwrites a ring; who helps does not look at the bell;
//! - the task that was alone is forgotten when another comes.

#![cfg(loom)]

#[allow(dead_code, reason = "not all of it for each type")]
mod atomic;
#[allow(dead_code, reason = "the backend uses all of it")]
mod runtime;
#[allow(dead_code, reason = "the backend uses all of it")]
mod sync;
