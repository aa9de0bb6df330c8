//! The CPU time that a process may use: measured around each piece that its task runs.
//!
//! A guest gives its thread back every few milliseconds, so that is how far it may overrun.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// What is left.
pub(crate) struct Budget(Duration);

impl Budget {
    pub(crate) fn new(limit: Duration) -> Budget {
        Budget(limit)
    }

    /// Runs a piece at the budget's expense.
    pub(crate) fn spend<T>(&mut self, piece: impl FnOnce() -> T) -> T {
        let began = thread_time();
        let result = piece();
        self.0 = self.0.saturating_sub(thread_time().saturating_sub(began));
        result
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.0.is_zero()
    }
}

/// The CPU time that the calling thread has used so far.
fn thread_time() -> Duration {
    // It fails on no system that has the clock, and all that we run on have it.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
