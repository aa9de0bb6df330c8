//! The production files, and what they need of their neighbours.

#[path = "../../../../host/src/runtime/bell.rs"]
mod bell;
#[path = "../../../../host/src/runtime/lane.rs"]
mod lane;
mod model;
#[path = "../../../../host/src/runtime/ring.rs"]
mod ring;
#[path = "../../../../host/src/runtime/scheduler.rs"]
mod scheduler;
#[path = "../../../../host/src/runtime/share.rs"]
mod share;
#[path = "../../../../host/src/runtime/threads/mod.rs"]
mod threads;
#[path = "../../../../host/src/runtime/timers.rs"]
mod timers;

mod meter {
    /// What guests' work is measured in.
    pub(super) enum Unit {
        CpuTime,
    }
}
