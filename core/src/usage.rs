//! What a process has used.

use std::time::Duration;

/// What a process and all that it has started have used: so far, or in all once it has ended. What a
/// backend does not count is `None`.
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let p = ctx.process("greet").args(("world",)).start()?;
/// p.join()?;
/// let usage = p.usage()?;
/// println!("{:?}, at most {:?} bytes", usage.wall_time, usage.peak_memory);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Time from the process's start to its own end.
    pub wall_time: Duration,
    /// CPU time. In the sandbox it is measured if there is a limit of it for the tree, however large.
    /// Natively it is that of the process and of what it has waited for.
    pub cpu_time: Option<Duration>,
    /// Fuel, in a sandbox that counts it, of the processes that have ended by themselves.
    pub fuel: Option<u64>,
    /// Memory now, in bytes, in the sandbox: all that the tree's account counts. Of one that has ended
    /// that is what its [`Process`](crate::Process) keeps, and what it made that others have.
    pub memory: Option<u64>,
    /// The most memory at any time, in bytes: in the sandbox all that the tree's account has counted,
    /// natively the largest resident set of one process.
    pub peak_memory: Option<u64>,
    /// Processes started, itself included.
    pub processes: Option<u64>,
    /// Bytes printed, to stdout and stderr.
    pub printed: Option<u64>,
    /// Bytes written to files in granted directories.
    pub written: Option<u64>,
    /// `true` if a process was refused memory: whatever became of it, it was out of that.
    pub lacked_memory: bool,
}
