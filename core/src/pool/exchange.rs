//! What the bookkeeping of a pool asks for, is told, and counts.

use crate::{Error, ExitStatus, Printed, TaskUsage, signal};
use std::sync::Arc;

/// The counts of what happened in a pool so far.
///
/// ```no_run
/// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
/// let so_far: procbox_core::Counters = pool.counters();
/// println!("{} of {} tasks have ended", so_far.done + so_far.failed, so_far.submitted);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Tasks taken.
    pub submitted: u64,
    /// Tasks that ended with a result or with an error of their own.
    pub done: u64,
    /// Tasks that failed with their worker, or were cancelled.
    pub failed: u64,
    /// Times that a task was run again.
    pub retried: u64,
    /// Workers that were replaced after they died.
    pub replaced: u64,
}

/// Something that the driver is to do.
#[derive(Debug, PartialEq)]
pub(super) enum Action<S> {
    /// Start a process in this slot, and report it by [`State::started`].
    Start(usize),
    /// Send this chunk to the worker in this slot, or start a process with it if there is none, and
    /// report only a failure, by [`State::refused`].
    Give { slot: usize, chunk: u64 },
    /// Take out of this worker's queue what it has not begun, one chunk, and report it by
    /// [`State::taken_back`].
    TakeBack(usize),
    /// Take out of this worker's queue all that it has not begun, and report it by [`State::recalled`].
    Recall(usize),
    /// Tell the worker in this slot, which has nothing to do, to end.
    Retire(usize),
    /// Kill the process in this slot. Its death is reported when it is there, by [`State::ended`].
    Kill(usize),
    /// End so many tasks with an error: the sink's indices from `base` on.
    Fail {
        sink: S,
        base: usize,
        first: u64,
        count: usize,
        error: Error,
        used: Option<Box<TaskUsage>>,
    },
    /// Tell those who watch: so many tasks from this one on are run again.
    Retry { first: u64, count: usize, attempts: u32 },
}

/// The reason why a chunk could not be given out.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is no room for it now.
    NoRoom,
    /// The worker has closed the queue of its tasks.
    Closed,
    /// The chunk can never be sent.
    Unfit(Error),
    /// The chunk's process could not be started.
    NotStarted(Error),
}

/// The end of a process, as the driver saw it.
pub(super) struct Death {
    pub(super) worker: String,
    pub(super) status: ExitStatus,
    /// The chunks that were still in its queue, in order.
    pub(super) unbegun: Vec<u64>,
    /// `true` if what it printed was taken as the result of its task.
    pub(super) delivered: bool,
    /// What it had printed, if it was a program that failed.
    pub(super) printed: Option<Arc<Printed>>,
}

impl Death {
    /// By SIGKILL or SIGTERM, and not for a limit of its own.
    pub(super) fn was_a_kill(&self) -> bool {
        let signal = self.status.signal();
        self.status.limit().is_none() && matches!(signal, Some(signal::KILL | signal::TERM))
    }

    pub(super) fn error(&self, attempts: u32) -> Error {
        let (worker, printed) = (self.worker.clone(), self.printed.clone());
        Error::WorkerDied { worker, status: self.status, attempts, printed }
    }
}
