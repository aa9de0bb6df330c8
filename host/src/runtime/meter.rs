//! Guests' work: what it is measured in, how much of it a process may do, and when a guest has to
//! give its thread back.

use nix::time::{ClockId, clock_gettime};
use procbox_core::Limit;
use std::time::Duration;
use wasmtime::Store;

/// What guests' work is measured in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    /// The CPU time of the thread that runs a guest. The guest gives it back when the engine's epoch
    /// is raised.
    CpuTime,
    /// Fuel, a nanosecond a unit. The guest gives its thread back after so many units: where it does
    /// so is the same in every run.
    Fuel(u64),
}

impl Unit {
    pub(super) fn budget(self, cpu_time: Duration) -> Option<Budget> {
        match self {
            Unit::CpuTime => Some(Budget(cpu_time)),
            Unit::Fuel(_) => None,
        }
    }

    pub(super) fn meter<T>(
        self,
        store: &mut Store<T>,
        fuel: Option<u64>,
        cpu_time: Option<Duration>,
    ) -> wasmtime::Result<Limit> {
        store.epoch_deadline_async_yield_and_update(1);
        match self {
            Unit::CpuTime => {
                // Otherwise it would have passed already, and every guest would yield before it begins.
                store.set_epoch_deadline(1);
                if let Some(fuel) = fuel {
                    store.set_fuel(fuel)?;
                }
                Ok(Limit::Fuel)
            }
            Unit::Fuel(interval) => {
                store.fuel_async_yield_interval(Some(interval))?;
                let (units, limit) = fuel_of(fuel, cpu_time);
                store.set_fuel(units)?;
                Ok(limit)
            }
        }
    }
}

/// How much fuel both limits leave, and which of them that is.
fn fuel_of(fuel: Option<u64>, cpu_time: Option<Duration>) -> (u64, Limit) {
    let fuel = fuel.unwrap_or(u64::MAX);
    match cpu_time.map(|limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)) {
        Some(units) if units < fuel => (units, Limit::CpuTime),
        _ => (fuel, Limit::Fuel),
    }
}

/// The CPU time that a process may still use, measured around each piece that its task runs.
///
/// A guest gives its thread back every few milliseconds, so that is how far it may overrun.
pub(crate) struct Budget(Duration);

impl Budget {
    /// Runs a piece at the budget's expense; also what that was.
    pub(crate) fn spend<T>(&mut self, piece: impl FnOnce() -> T) -> (T, Duration) {
        let began = thread_time();
        let result = piece();
        let used = thread_time().saturating_sub(began);
        self.0 = self.0.saturating_sub(used);
        (result, used)
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.0.is_zero()
    }
}

/// The CPU time that the calling thread has used so far.
pub(crate) fn thread_time() -> Duration {
    // It fails on no system that has the clock, and all that we run on have it.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_fuel_and_cpu_time_is_the_limit() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(fuel_of(None, None), (u64::MAX, Limit::Fuel));
        assert_eq!(fuel_of(Some(7), None), (7, Limit::Fuel));
        assert_eq!(fuel_of(None, second), (1_000_000_000, Limit::CpuTime));
        assert_eq!(fuel_of(Some(7), second), (7, Limit::Fuel));
        assert_eq!(fuel_of(Some(u64::MAX), second), (1_000_000_000, Limit::CpuTime));
        assert_eq!(fuel_of(None, Some(Duration::MAX)), (u64::MAX, Limit::Fuel));
    }
}
