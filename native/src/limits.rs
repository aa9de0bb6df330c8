//! The limits of a process's time, and what the reaper does about them.
//!
//! Wall-clock time ends in SIGKILL. CPU time ends in SIGXCPU, as with `setrlimit`, and in SIGKILL
//! for a process that goes on all the same; the kernel's own limit counts whole seconds only.

use nix::sys::signal::Signal;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use procbox_core::Limit;
use procbox_core::raw::ProcessSpec;
use procbox_core::time::{Clock, SystemClock};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A look at a process's CPU time is not worth more than one in so long.
const LEAST_PAUSE: Duration = Duration::from_millis(1);
/// Most by which a process that has waited, a little below its limit, may overrun it.
const MOST_PAUSE: Duration = Duration::from_millis(50);
/// Time that a process which catches SIGXCPU has to end.
const GRACE: Duration = Duration::from_millis(500);

/// State of a process.
#[derive(Clone, Copy)]
enum State {
    /// Time that it had used at the last look, and the pause since then.
    Within(Duration, Duration),
    /// It was told that its CPU time is up, and may end by itself until then.
    Told(Instant),
    /// It was killed for this.
    Killed(Limit),
}

/// The limits of one process.
pub(crate) struct Limits {
    deadline: Option<Instant>,
    cpu_time: Option<Duration>,
    state: Mutex<State>,
}

impl Limits {
    pub(crate) fn new(spec: &ProcessSpec) -> Limits {
        Limits {
            deadline: spec.timeout.and_then(|timeout| SystemClock.now().checked_add(timeout)),
            cpu_time: spec.cpu_time,
            state: Mutex::new(State::Within(Duration::ZERO, LEAST_PAUSE)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if there are any.
    pub(crate) fn any(&self) -> bool {
        self.deadline.is_some() || self.cpu_time.is_some()
    }

    /// Looks at a process that was not reaped: what to send it, and when to look again.
    pub(crate) fn look(&self, pid: i32, now: Instant) -> (Option<Signal>, Option<Instant>) {
        let mut state = self.state();
        match *state {
            State::Killed(_) => return (None, None),
            State::Told(until) if until > now => return (None, Some(until)),
            State::Told(_) => {
                *state = State::Killed(Limit::CpuTime);
                return (Some(Signal::SIGKILL), None);
            }
            State::Within(..) => {}
        }
        if self.deadline.is_some_and(|at| at <= now) {
            *state = State::Killed(Limit::WallClock);
            return (Some(Signal::SIGKILL), None);
        }
        let Some(limit) = self.cpu_time else { return (None, self.deadline) };
        let used = cpu_time(pid);
        let left = limit.saturating_sub(used);
        if left.is_zero() {
            *state = State::Told(now + GRACE);
            return (Some(Signal::SIGXCPU), Some(now + GRACE));
        }
        // It cannot be through with what is left before then, on all CPUs together. One that waits, a
        // little below its limit, is looked at less and less often.
        let pause = match *state {
            State::Within(before, pause) if before == used => (pause * 2).min(MOST_PAUSE),
            _ => LEAST_PAUSE,
        };
        *state = State::Within(used, pause);
        let look = now.checked_add((left / cpus()).max(pause));
        (None, [look, self.deadline].into_iter().flatten().min())
    }

    /// The limit for which this signal was sent, if it was for one.
    pub(crate) fn broken(&self, by: Signal) -> Option<Limit> {
        match (*self.state(), by) {
            (State::Told(_), Signal::SIGXCPU) => Some(Limit::CpuTime),
            (State::Killed(limit), Signal::SIGKILL) => Some(limit),
            // It caught the one and is ended by the other in the same moment.
            (State::Killed(Limit::CpuTime), Signal::SIGXCPU) => Some(Limit::CpuTime),
            _ => None,
        }
    }
}

fn cpus() -> u32 {
    static CPUS: OnceLock<u32> = OnceLock::new();
    *CPUS.get_or_init(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u32))
}

/// The CPU time that a process has used so far.
pub(crate) fn cpu_time(pid: i32) -> Duration {
    let used = clock_getcpuclockid(Pid::from_raw(pid)).and_then(clock_gettime);
    used.map_or(Duration::ZERO, Duration::from)
}
