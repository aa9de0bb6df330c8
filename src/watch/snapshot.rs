//! What is told: how all that procbox does in one OS process is at one moment.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How things are in one OS process.
///
/// ```no_run
/// for there in procbox::watch::running()? {
///     let snapshot = there.snapshot()?;
///     println!("{}: {} processes", snapshot.command, snapshot.alive);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// The pid of the OS process.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// The time for which it has been watched.
    pub up: Duration,
    /// Processes alive, itself not among them.
    pub alive: usize,
    /// Processes started so far.
    pub started: u64,
    /// The tasks of its pools.
    pub tasks: Tasks,
    /// Itself, and then its processes: the oldest of them, if they are more than ten thousand.
    pub processes: Vec<ProcessView>,
    /// Locks and queues that it or a sandboxed process has made.
    pub things: Vec<ThingView>,
}

/// The tasks of all pools so far.
///
/// ```
/// let none = procbox::watch::Tasks::default();
/// assert_eq!(none.done, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tasks {
    /// Given to a worker that has not ended them.
    pub given: u64,
    /// Ended with a result.
    pub done: u64,
    /// Ended with an error.
    pub failed: u64,
    /// Given again for a worker's death.
    pub retried: u64,
}

/// A process.
///
/// ```
/// use procbox::watch::ProcessView;
/// fn is_stuck(process: &ProcessView) -> bool {
///     process.waits.iter().any(|(_, since)| since.as_secs() > 60)
/// }
/// # let _ = is_stuck;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProcessView {
    /// The pid: the system's, or the sandbox's own numbering.
    pub pid: u32,
    /// The pid of who started it.
    pub parent: u32,
    /// The name, as its maker chose it: not fit for a terminal as it is.
    pub name: String,
    /// `native`, `sandbox`, or `own` for the watched OS process itself.
    pub kind: String,
    /// `runs`, `waits`, or what the system says of a native process: `sleeps`, `stopped`, `ended`.
    pub state: String,
    /// The time since it was started.
    pub age: Duration,
    /// The CPU time that it has used.
    pub cpu: Option<Duration>,
    /// The bytes of memory that it has.
    pub memory: Option<u64>,
    /// The waits that it is in, and for how long. A native process's are known to itself alone.
    pub waits: Vec<(String, Duration)>,
    /// The task that it is at, and how many it has been given.
    pub task: Option<(u64, usize)>,
}

/// A lock or a queue.
///
/// ```
/// use procbox::watch::ThingView;
/// fn line(thing: &ThingView) -> String {
///     format!("{}: {}, {} wait", thing.name, thing.state, thing.waiters.len())
/// }
/// # let _ = line;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ThingView {
    /// The kind, and a number that it has here, such as `queue 3`.
    pub name: String,
    /// How it is: `2 of 16 messages`, `held by process 7`.
    pub state: String,
    /// The messages in a queue.
    pub depth: Option<usize>,
    /// The pids of those that wait for it.
    pub waiters: Vec<u32>,
}
