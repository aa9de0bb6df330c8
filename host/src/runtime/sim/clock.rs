//! A clock that stands still unless it is moved.

use crate::sync::lock;
use procbox_core::time::{Clock, SystemClock};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

/// The time of day at which each simulation begins: 2000-01-01, 00:00 UTC.
const BEGIN: Duration = Duration::from_secs(946_684_800);

/// Virtual time.
#[derive(Debug)]
pub(super) struct VirtualClock {
    /// A moment of the system's clock, for there is no other way to have one. Nobody sees which.
    origin: Instant,
    elapsed: Mutex<Duration>,
}

impl VirtualClock {
    pub(super) fn new() -> VirtualClock {
        VirtualClock { origin: SystemClock.now(), elapsed: Mutex::new(Duration::ZERO) }
    }

    /// How much time has passed.
    pub(super) fn elapsed(&self) -> Duration {
        *lock(&self.elapsed)
    }

    /// Lets time pass.
    pub(super) fn advance(&self, by: Duration) {
        let mut elapsed = lock(&self.elapsed);
        let sum = elapsed.checked_add(by);
        // At the end of time it stands still.
        if let Some(sum) = sum.filter(|sum| self.origin.checked_add(*sum).is_some()) {
            *elapsed = sum;
        }
    }

    /// Lets time pass until then, if that is not past.
    pub(super) fn jump(&self, at: Instant) {
        let mut elapsed = lock(&self.elapsed);
        *elapsed = at.saturating_duration_since(self.origin).max(*elapsed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        self.origin.checked_add(self.elapsed()).unwrap_or(self.origin)
    }

    fn system_time(&self) -> SystemTime {
        let begin = SystemTime::UNIX_EPOCH + BEGIN;
        begin.checked_add(self.elapsed()).unwrap_or(begin)
    }

    fn is_virtual(&self) -> bool {
        true
    }
}
