//! One way to run the tasks of a sandbox's processes: the trait that the tenants implement.

use super::bell::Bell;
use super::meter::Unit;
use super::share::Seat;
use super::timers::Timers;
use procbox_core::Result;
use procbox_core::random::Random;
use procbox_core::time::{Clock, Deadline};
use std::sync::Arc;

/// A task that can go on, with its process's seat.
pub(super) type Runnable = async_task::Runnable<Arc<Seat>>;

/// One way to run the tasks of a sandbox's processes.
///
/// Which process runs next is decided in [`Scheduler::schedule`] and [`Scheduler::run_until`] and
/// nowhere else; by which time and with which random bytes, in the other methods.
pub(super) trait Scheduler: Send + Sync {
    /// The clock that processes live by.
    fn clock(&self) -> Arc<dyn Clock>;

    /// The random bytes that processes get.
    fn random(&self) -> Arc<dyn Random>;

    /// What guests' work is measured in, and after how much of it they give their thread back.
    fn unit(&self) -> Unit;

    /// The timers of its processes; it wakes those that are due.
    fn timers(&self) -> &Timers;

    /// There is a timer earlier than those before.
    fn first_timer_changed(&self) {}

    /// A task can go on: it is run some time later.
    fn schedule(&self, task: Runnable);

    /// A task was made ready by somebody who runs none: a thread is woken for it now, if there is a CPU.
    fn prompt(&self) {}

    /// A process is to end: its task, if it can go on, does so before others.
    fn hasten(&self, _seat: &Seat) {}

    /// Runs tasks on the calling thread until its bell has rung.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; [`Error::Deadlock`] if it is certain that nothing will ring.
    fn run_until(&self, bell: &Bell, deadline: Deadline) -> Result<()>;

    /// The embedding program calls, where that is a switch point.
    fn called(&self) {}

    /// Every process is about to end: tasks that nobody would run any more are run now.
    fn settle(&self) {}

    /// Whether another thread runs a task at this moment, and there is nothing better to do than to
    /// wait for what comes of it.
    fn others_run(&self) -> bool {
        false
    }

    /// Makes every running guest yield, so that somebody can look at what has changed.
    fn preempt(&self) {}

    /// Has a process end when it has gone on so many times; whether that is possible here.
    fn kill_after(&self, _pid: u32, _times: u64) -> bool {
        false
    }

    /// A number that stands for all choices made so far, where they are made from a seed.
    fn trace_hash(&self) -> Option<u64> {
        None
    }
}
