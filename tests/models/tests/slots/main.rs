//! The life of a slot of the process table, from its reservation to its next: the production files of
//! transactions, records, slots, recovery and the end of a start, with processes for actors, in every
//! order of their steps, killed before each.
//!
//! Memory is sequentially consistent here, and nobody is stopped. Seen to fail when:
//!
//! - a claim is compared by two loads, or only its slot is, by the recovery or by the new process;
//! - a reservation writes the state before the pid, or does not raise the generation;
//! - a start whose zygote is gone does not withdraw its claim, or that leaves the state as it is;
//! - slots that are starting are recovered unwithdrawn, or slots that were withdrawn are left;
//! - a slot is free before its record, or the record is not freed;
//! - the entry stays on the record when its reference is given back;
//! - what a dead process has committed is not finished.

#![cfg(loom)]

#[allow(dead_code, reason = "the backend uses all of it")]
mod arena;
mod kernel;
mod life;

#[path = "../../../../native/src/recover.rs"]
#[allow(dead_code, reason = "the backend uses all of it")]
mod recover;
#[path = "../../../../native/src/start/settle.rs"]
mod settle;
#[allow(dead_code, reason = "the backend uses all of it")]
mod sync;

use arena::{memory, world};

mod syscalls {
    use crate::kernel;
    use procbox_core::Error;
    use procbox_models::explore::{current, saw, step};
    use std::io;

    /// The pid that the world is set up for, where no actor runs.
    pub(crate) fn pid() -> u32 {
        current().map_or_else(crate::world::set_up_for, |(_, process)| process)
    }

    pub(crate) fn parent() -> u32 {
        step("getppid");
        let parent = kernel::parent(pid());
        saw(parent.into());
        parent
    }

    pub(crate) fn has_ended(pid: i32) -> bool {
        step("a look at a pid");
        let ended = kernel::has_ended(pid as u32);
        saw(ended.into());
        ended
    }

    pub(crate) fn os(operation: &'static str, error: io::Error) -> Error {
        Error::os(operation, error)
    }
}
