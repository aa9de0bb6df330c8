//! The guests' clocks: those of the runtime.

use crate::runtime::Runtime;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// Nanoseconds since the sandbox was made.
pub(super) struct Monotonic(pub(super) Arc<Runtime>);

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The time of day.
pub(super) struct Wall(pub(super) Arc<Runtime>);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        since_epoch(&self.0)
    }
}

/// The time of day, as what has passed since 1970.
pub(super) fn since_epoch(runtime: &Runtime) -> Duration {
    runtime.clock().system_time().duration_since(UNIX_EPOCH).unwrap_or_default()
}
