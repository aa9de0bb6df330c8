//! The guests' monotonic clock: nanoseconds since this program first looked.

use std::sync::LazyLock;
use std::time::Instant;
use wasmtime_wasi::HostMonotonicClock;

static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// One origin for all guests, so that a moment means the same to each of them and to the host.
pub(super) struct Monotonic;

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(ORIGIN.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
