//! Time: clocks, how long a call may block, and until when.
//!
//! The only file of the library that reads the system's clocks. Everything else asks the [`Clock`] of
//! its context, so that a backend may have a time of its own.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

/// A source of time.
///
/// A backend says by [`crate::raw::RawContext::clock`] which one its processes live by.
///
/// ```
/// use procbox_core::time::{Clock, SystemClock};
/// let earlier = SystemClock.now();
/// assert!(SystemClock.now() >= earlier);
/// ```
pub trait Clock: fmt::Debug + Send + Sync {
    /// The moment on the monotonic clock.
    fn now(&self) -> Instant;

    /// The time of day.
    fn system_time(&self) -> SystemTime;

    /// `true` if time passes only as the backend makes it pass. Nothing sleeps by the system's
    /// clock then, and no thread of the library's own runs.
    fn is_virtual(&self) -> bool {
        false
    }
}

/// The clocks of the system.
///
/// ```
/// use procbox_core::time::{Clock, SystemClock};
/// assert!(SystemClock.system_time() > std::time::SystemTime::UNIX_EPOCH);
/// assert!(!SystemClock.is_virtual());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn system_time(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The time that a blocking call waits. Every blocking call has these three forms.
///
/// ```
/// use procbox_core::time::SystemClock;
/// use procbox_core::Wait;
/// use std::time::Duration;
/// assert_eq!(Wait::from(Duration::ZERO), Wait::AtMost(Duration::ZERO));
/// assert_eq!(Wait::Forever.deadline(&SystemClock).instant(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until it happens.
    Forever,
    /// At most this long. A duration too large for the clock waits for ever.
    AtMost(Duration),
    /// Not at all: try once.
    Never,
}

impl Wait {
    /// The moment at which this wait, begun now by `clock`, runs out.
    ///
    /// ```
    /// use procbox_core::time::SystemClock;
    /// use procbox_core::Wait;
    /// let until = Wait::AtMost(std::time::Duration::from_secs(60)).deadline(&SystemClock);
    /// assert!(!until.is_past(&SystemClock)); // one deadline serves several waits of one minute
    /// ```
    pub fn deadline(self, clock: &dyn Clock) -> Deadline {
        match self {
            Wait::Forever => Deadline(None),
            Wait::AtMost(d) => Deadline(clock.now().checked_add(d)),
            Wait::Never => Deadline(Some(clock.now())),
        }
    }

    /// `true` if this wait does not block at all.
    ///
    /// ```
    /// use procbox_core::Wait;
    /// assert!(Wait::Never.is_never() && Wait::AtMost(std::time::Duration::ZERO).is_never());
    /// assert!(!Wait::Forever.is_never());
    /// ```
    pub fn is_never(self) -> bool {
        self == Wait::Never || self == Wait::AtMost(Duration::ZERO)
    }

    /// The ABI's and the wire's form: nanoseconds, negative for ever, 0 not at all.
    ///
    /// ```
    /// use procbox_core::Wait;
    /// assert_eq!(Wait::AtMost(std::time::Duration::from_micros(5)).to_nanos(), 5000);
    /// assert_eq!(Wait::AtMost(std::time::Duration::MAX).to_nanos(), Wait::Forever.to_nanos());
    /// ```
    pub fn to_nanos(self) -> i64 {
        match self {
            Wait::Forever => -1,
            Wait::AtMost(d) => i64::try_from(d.as_nanos()).unwrap_or(-1),
            Wait::Never => 0,
        }
    }

    /// The inverse of [`Wait::to_nanos`]; every value has a meaning.
    ///
    /// ```
    /// use procbox_core::Wait;
    /// assert_eq!(Wait::from_nanos(0), Wait::Never);
    /// assert_eq!(Wait::from_nanos(-7), Wait::Forever);
    /// assert_eq!(Wait::from_nanos(5000).to_nanos(), 5000);
    /// ```
    pub fn from_nanos(nanos: i64) -> Wait {
        match nanos {
            0 => Wait::Never,
            n if n < 0 => Wait::Forever,
            n => Wait::AtMost(Duration::from_nanos(n.unsigned_abs())),
        }
    }
}

impl From<Duration> for Wait {
    fn from(d: Duration) -> Wait {
        Wait::AtMost(d)
    }
}

/// A moment on the monotonic clock, or never.
///
/// ```
/// use procbox_core::time::SystemClock;
/// use procbox_core::Wait;
/// assert!(Wait::Never.deadline(&SystemClock).is_past(&SystemClock));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// The moment, or `None` if it never comes.
    ///
    /// ```
    /// use procbox_core::time::{Deadline, SystemClock};
    /// use procbox_core::Wait;
    /// let now = std::time::Instant::now();
    /// assert_eq!(Deadline::from(Some(now)).instant(), Some(now));
    /// assert_eq!(Wait::Forever.deadline(&SystemClock).instant(), None);
    /// ```
    pub fn instant(self) -> Option<Instant> {
        self.0
    }

    /// The time left by `clock`, zero if it has passed, `None` if it never comes.
    ///
    /// ```
    /// use procbox_core::time::SystemClock;
    /// use procbox_core::Wait;
    /// use std::time::Duration;
    /// let left = Wait::AtMost(Duration::from_secs(60)).deadline(&SystemClock).remaining(&SystemClock);
    /// assert!(left.is_some_and(|left| left <= Duration::from_secs(60)));
    /// assert_eq!(Wait::Never.deadline(&SystemClock).remaining(&SystemClock), Some(Duration::ZERO));
    /// ```
    pub fn remaining(self, clock: &dyn Clock) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(clock.now()))
    }

    /// `true` if the moment has passed, by `clock`.
    ///
    /// ```
    /// use procbox_core::time::SystemClock;
    /// use procbox_core::Wait;
    /// let until = Wait::AtMost(std::time::Duration::from_millis(1)).deadline(&SystemClock);
    /// while !until.is_past(&SystemClock) {
    ///     std::thread::yield_now();
    /// }
    /// ```
    pub fn is_past(self, clock: &dyn Clock) -> bool {
        self.0.is_some_and(|at| at <= clock.now())
    }

    /// The time left by `clock`, as a wait.
    ///
    /// ```
    /// use procbox_core::time::SystemClock;
    /// use procbox_core::Wait;
    /// assert_eq!(Wait::Forever.deadline(&SystemClock).wait(&SystemClock), Wait::Forever);
    /// assert_eq!(Wait::Never.deadline(&SystemClock).wait(&SystemClock), Wait::Never);
    /// ```
    pub fn wait(self, clock: &dyn Clock) -> Wait {
        match self.remaining(clock) {
            None => Wait::Forever,
            Some(d) if d.is_zero() => Wait::Never,
            Some(d) => Wait::AtMost(d),
        }
    }

    /// The earlier of two.
    ///
    /// ```
    /// use procbox_core::time::SystemClock;
    /// use procbox_core::Wait;
    /// let soon = Wait::AtMost(std::time::Duration::from_secs(1)).deadline(&SystemClock);
    /// assert_eq!(Wait::Forever.deadline(&SystemClock).min(soon), soon);
    /// ```
    pub fn min(self, other: Deadline) -> Deadline {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Deadline(Some(a.min(b))),
            (a, b) => Deadline(a.or(b)),
        }
    }
}

impl From<Option<Instant>> for Deadline {
    fn from(at: Option<Instant>) -> Deadline {
        Deadline(at)
    }
}
