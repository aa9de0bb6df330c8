//! What a process has used, and what a task of a pool has.

use crate::raw::Backend;
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
    /// Fuel, in a sandbox that counts it, of the processes that have ended. One that was killed, or has
    /// trapped, counts with all that it was given.
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
    /// Bytes read from stdin, and from files and directories that were granted.
    pub read: Option<u64>,
    /// `true` if a process was refused memory: whatever became of it, it was out of that.
    pub lacked_memory: bool,
}

/// What a task of a pool has used, in all its attempts, if the pool was asked to [measure
/// that](crate::PoolBuilder::measured). What is not known is `None`.
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let pool = ctx.pool::<(u64,), bool>("is_prime").measured().build()?;
/// let result = pool.apply_async((7u64,))?;
/// result.wait(std::time::Duration::from_secs(1))?;
/// if let Some(usage) = result.usage() {
///     println!("{:?} of CPU time in {} attempts", usage.cpu_time, usage.attempts);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskUsage {
    /// Times that it was begun; of a `map`'s tasks, the sum.
    pub attempts: u32,
    /// Time from when it was given to a worker until its end was known, in all attempts. With a fresh
    /// process per task that is the process's end.
    pub wall_time: Duration,
    /// CPU time. With a process of its own: all that this has used, as [`Usage::cpu_time`] has it. On a
    /// worker that does other tasks too: what this one has used meanwhile, natively; `None` in the
    /// sandbox.
    pub cpu_time: Option<Duration>,
    /// Fuel, in a sandbox that counts it, with a process of its own.
    pub fuel: Option<u64>,
    /// The most memory of its process at any time, in bytes, if it had one of its own; of several, that
    /// of the largest.
    pub peak_memory: Option<u64>,
    /// Bytes of its arguments, as they travel.
    pub sent: u64,
    /// Bytes of its result, as they travel; 0 if it has none.
    pub received: u64,
    /// The backend on which it ran; of several attempts or tasks, the last one.
    pub ran_on: Option<Backend>,
}

/// The sum of what two have used, if both is known.
fn both<T>(a: Option<T>, b: Option<T>, sum: impl FnOnce(T, T) -> T) -> Option<T> {
    Some(sum(a?, b?))
}

impl TaskUsage {
    /// Adds what another has used, or another attempt: it counts after the first.
    pub(crate) fn add(&mut self, more: &TaskUsage) {
        if self.attempts == 0 {
            *self = *more;
            return;
        }
        self.attempts = self.attempts.saturating_add(more.attempts);
        self.wall_time += more.wall_time;
        self.cpu_time = both(self.cpu_time, more.cpu_time, |a, b| a + b);
        self.fuel = both(self.fuel, more.fuel, |a, b| a + b);
        self.peak_memory = both(self.peak_memory, more.peak_memory, u64::max);
        self.sent += more.sent;
        self.received += more.received;
        self.ran_on = more.ran_on;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_of_one_is_not_known_of_both() {
        let millis = Duration::from_millis;
        let known = TaskUsage {
            attempts: 1,
            wall_time: millis(3),
            cpu_time: Some(millis(2)),
            fuel: None,
            peak_memory: Some(70),
            sent: 5,
            received: 6,
            ran_on: None,
        };
        let mut sum = TaskUsage::default();
        sum.add(&known);
        assert_eq!(sum, known);
        sum.add(&TaskUsage { peak_memory: Some(60), ..known });
        assert_eq!((sum.cpu_time, sum.peak_memory, sum.attempts), (Some(millis(4)), Some(70), 2));
        sum.add(&TaskUsage { cpu_time: None, ..known });
        assert_eq!((sum.cpu_time, sum.wall_time, sum.sent), (None, millis(9), 15));
    }
}
