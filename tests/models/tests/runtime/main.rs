//! The sandbox's runtime in real time: the production files of its run queue, its pacer, its runners and
//! the bells of those who wait, with loom's threads.

#![cfg(loom)]

#[allow(dead_code, reason = "not all of it for each type")]
mod atomic;
#[allow(dead_code, reason = "the backend uses all of it")]
mod runtime;
#[allow(dead_code, reason = "the backend uses all of it")]
mod sync;
