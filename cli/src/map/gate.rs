//! When the next input of `procbox map` may become a task: `--delay`, `--memfree`, `--load`; and when
//! none may any more: `--halt`.
//!
//! A gated map takes an input only when a worker is free for it, so that "the next" is the next that
//! starts. The gate hears of the ends of tasks as a subscriber, on whatever thread they are told; the
//! map asks it, at least every [`SLICE`].

use super::ends::End;
use super::progress::ends_the_pool;
use procbox::observe::{Event, Subscriber};
use procbox::{Error, native};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

/// How often a gated map looks again.
pub(super) const SLICE: Duration = Duration::from_millis(10);
/// How often memory and load are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What `--halt` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    Failed,
    Succeeded,
    Done,
}

/// How many of them are enough.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Enough {
    Tasks(u64),
    Percent(f64),
}

/// `--halt`: when to begin no more tasks, and whether those that run are ended too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Halt {
    now: bool,
    counted: Counted,
    enough: Enough,
}

impl FromStr for Halt {
    type Err = String;

    fn from_str(text: &str) -> Result<Halt, String> {
        const FORM: &str = "write now or soon, and fail, success or done with a number or a \
                            percentage: now,fail=1 or soon,fail=20%";
        // GNU parallel's old numbers.
        let text = match text {
            "1" => "soon,fail=1",
            "2" => "now,fail=1",
            text => text,
        };
        let (when, rest) = text.split_once(',').ok_or(FORM)?;
        let (counted, enough) = rest.split_once('=').ok_or(FORM)?;
        let now = match when {
            "now" => true,
            "soon" => false,
            _ => return Err(FORM.into()),
        };
        let counted = match counted {
            "fail" => Counted::Failed,
            "success" => Counted::Succeeded,
            "done" => Counted::Done,
            _ => return Err(FORM.into()),
        };
        let enough = match enough.strip_suffix('%') {
            Some(percent) => Enough::Percent(percent.parse().map_err(|_| FORM)?),
            None => Enough::Tasks(enough.parse().map_err(|_| FORM)?),
        };
        match enough {
            Enough::Tasks(0) => Err(FORM.into()),
            Enough::Percent(percent) if !(percent > 0.0 && percent <= 100.0) => Err(FORM.into()),
            enough => Ok(Halt { now, counted, enough }),
        }
    }
}

/// `--load`: the most processes that run on this machine for another to be begun.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load(f64);

impl FromStr for Load {
    type Err = String;

    fn from_str(text: &str) -> Result<Load, String> {
        let form = || "write a number, or a percentage of the CPUs: 4 or 80%".to_string();
        let (number, scale) = match text.strip_suffix('%') {
            Some(percent) => (percent, cpus() as f64 / 100.0),
            None => (text, 1.0),
        };
        let number: f64 = number.parse().map_err(|_| form())?;
        if number > 0.0 && number.is_finite() { Ok(Load(number * scale)) } else { Err(form()) }
    }
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// `--jobs`: a number, `+2` or `-1` from that of the CPUs, or a percentage of it.
pub(super) fn jobs(text: &str) -> Result<usize, String> {
    let form = || "write a number, +N or -N from the number of CPUs, or N%".to_string();
    let number = |text: &str| text.parse::<usize>().map_err(|_| form());
    let jobs = if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.parse().map_err(|_| form())?;
        if !(percent > 0.0 && percent <= 1e6) {
            return Err(form());
        }
        ((cpus() as f64 * percent / 100.0) as usize).max(1)
    } else if let Some(more) = text.strip_prefix('+') {
        cpus().checked_add(number(more)?).ok_or_else(form)?
    } else if let Some(less) = text.strip_prefix('-') {
        cpus().saturating_sub(number(less)?).max(1)
    } else {
        number(text)?
    };
    if jobs == 0 { Err("at least 1".into()) } else { Ok(jobs) }
}

/// What a gate goes by.
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) halt: Option<Halt>,
    pub(super) delay: Option<Duration>,
    /// The bytes of memory that have to be free.
    pub(super) memory_free: Option<usize>,
    pub(super) load: Option<Load>,
    /// The number of workers.
    pub(super) jobs: usize,
    /// The number of inputs, if that is known.
    pub(super) total: Option<u64>,
}

#[derive(Default)]
struct State {
    under_way: usize,
    failed: u64,
    succeeded: u64,
    last: Option<Instant>,
    /// When memory and load were last looked at, and whether they were right.
    looked: Option<(Instant, bool)>,
    /// Why it has been closed for good: the status that comes of it.
    halted: Option<u8>,
}

/// Lets inputs through.
pub(super) struct Gate {
    conditions: Conditions,
    /// The number that is enough for `--halt`.
    enough: u64,
    state: Mutex<State>,
}

impl Subscriber for Gate {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::TaskDone { .. } => self.ended(None, true),
            Event::TaskFailed { error, .. } => {
                let is_its_own = !ends_the_pool(error) && !native::interrupted();
                self.ended(is_its_own.then_some(*error), !is_its_own);
            }
            _ => {}
        }
    }
}

impl Gate {
    /// # Errors
    /// [`Error::Invalid`] for a percentage of an unknown number.
    pub(super) fn new(conditions: Conditions) -> procbox::Result<Gate> {
        let enough = match (conditions.halt.map(|halt| halt.enough), conditions.total) {
            (None, _) => u64::MAX,
            (Some(Enough::Tasks(tasks)), _) => tasks,
            (Some(Enough::Percent(percent)), Some(total)) => {
                ((total as f64 * percent / 100.0).ceil() as u64).max(1)
            }
            (Some(Enough::Percent(_)), None) => {
                let why = "--halt: a percentage is of the number of inputs, which lines of a stream do not say";
                return Err(Error::Invalid(why.into()));
            }
        };
        Ok(Gate { conditions, enough, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has to be asked at all.
    pub(super) fn is_one(&self) -> bool {
        let Conditions { halt, delay, memory_free, load, .. } = &self.conditions;
        halt.is_some() || delay.is_some() || memory_free.is_some() || load.is_some()
    }

    /// A task has ended: with an error of its own, well, or neither.
    fn ended(&self, error: Option<&Error>, is_well: bool) {
        let mut state = self.state();
        state.under_way = state.under_way.saturating_sub(1);
        state.failed += u64::from(error.is_some());
        state.succeeded += u64::from(error.is_none() && is_well);
        let End { exitval, signal, .. } = End::now(error);
        self.count(&mut state, exitval, signal);
    }

    /// An input could not be read.
    pub(super) fn unread(&self) {
        let mut state = self.state();
        state.failed += 1;
        self.count(&mut state, 1, 0);
    }

    fn count(&self, state: &mut State, exitval: i32, signal: i32) {
        let Some(halt) = self.conditions.halt else { return };
        let count = match halt.counted {
            Counted::Failed => state.failed,
            Counted::Succeeded => state.succeeded,
            Counted::Done => state.failed + state.succeeded,
        };
        if count >= self.enough && state.halted.is_none() {
            let status = if signal == 0 { exitval } else { 128 + signal };
            state.halted = Some(u8::try_from(status).unwrap_or(u8::MAX));
        }
    }

    /// The status of a map that `--halt` has stopped.
    pub(super) fn halted(&self) -> Option<u8> {
        self.state().halted
    }

    /// Whether what runs is to be ended too.
    pub(super) fn ends_all(&self) -> bool {
        self.conditions.halt.is_some_and(|halt| halt.now) && self.halted().is_some()
    }

    /// Whether an input may become a task now. `None`: never again.
    fn is_open(&self) -> Option<bool> {
        let mut state = self.state();
        if state.halted.is_some() {
            return None;
        }
        let now = Instant::now();
        let too_early = |delay: Duration| state.last.is_some_and(|last| now < last + delay);
        if state.under_way >= self.conditions.jobs || self.conditions.delay.is_some_and(too_early) {
            return Some(false);
        }
        let (at, fit) =
            state.looked.filter(|(at, _)| now < *at + LOOK).unwrap_or((now, self.fits()));
        state.looked = Some((at, fit));
        Some(fit)
    }

    /// Whether this machine has memory and time for another.
    fn fits(&self) -> bool {
        let fits_memory = self
            .conditions
            .memory_free
            .is_none_or(|due| memory_free().is_none_or(|free| free >= due as u64));
        fits_memory
            && self
                .conditions
                .load
                .is_none_or(|Load(most)| running().is_none_or(|running| (running as f64) < most))
    }

    fn began(&self) {
        let mut state = self.state();
        state.under_way += 1;
        state.last = Some(Instant::now());
    }

    /// Those inputs, each when it may be taken.
    pub(super) fn gated<'a, T>(
        &'a self,
        mut inputs: impl Iterator<Item = Poll<T>> + 'a,
    ) -> impl Iterator<Item = Poll<T>> + 'a {
        let is_one = self.is_one();
        std::iter::from_fn(move || {
            if !is_one {
                return inputs.next();
            }
            if !self.is_open()? {
                return Some(Poll::Pending);
            }
            let next = inputs.next();
            if matches!(next, Some(Poll::Ready(_))) {
                self.began();
            }
            next
        })
    }
}

/// The bytes of memory that processes could still get.
fn memory_free() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The number of processes that run now, this one not counted.
fn running() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let running = text.split_whitespace().nth(3)?.split('/').next()?;
    Some(running.parse::<u64>().ok()?.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halting(text: &str, total: Option<u64>) -> procbox::Result<Gate> {
        Gate::new(Conditions {
            halt: Some(text.parse().unwrap()),
            jobs: 2,
            total,
            ..Conditions::default()
        })
    }

    #[test]
    fn halt_is_written_as_for_gnu_parallel() {
        for text in [
            "",
            "now",
            "now,fail",
            "later,fail=1",
            "now,fail=0",
            "now,fail=x",
            "now,fail=101%",
            "soon,fail=nan%",
        ] {
            assert!(text.parse::<Halt>().is_err(), "{text}");
        }
        assert_eq!("2".parse::<Halt>(), "now,fail=1".parse());
    }

    #[test]
    fn so_many_failures_close_it_for_good() {
        let failure = Error::Task("no".into());
        for (text, total, ends_all) in
            [("now,fail=2", None, true), ("soon,fail=20%", Some(10), false)]
        {
            let gate = halting(text, total).unwrap();
            gate.ended(Some(&failure), false);
            gate.ended(None, true);
            assert_eq!((gate.halted(), gate.is_open()), (None, Some(true)), "{text}");
            gate.ended(Some(&failure), false);
            assert_eq!((gate.halted(), gate.is_open()), (Some(1), None), "{text}");
            assert_eq!(gate.ends_all(), ends_all, "{text}");
        }
        assert!(halting("now,fail=20%", None).is_err());
        let gate = halting("now,success=1", None).unwrap();
        gate.ended(Some(&failure), false);
        assert_eq!(gate.halted(), None);
        gate.ended(None, true);
        assert_eq!(gate.halted(), Some(0));
    }

    #[test]
    fn no_more_are_let_through_than_there_are_workers() {
        let gate = halting("now,fail=1", None).unwrap();
        let mut inputs = gate.gated([1, 2, 3].map(Poll::Ready).into_iter());
        assert_eq!([inputs.next(), inputs.next()], [Some(Poll::Ready(1)), Some(Poll::Ready(2))]);
        assert_eq!(inputs.next(), Some(Poll::Pending));
        gate.ended(None, true);
        assert_eq!(inputs.next(), Some(Poll::Ready(3)));
    }

    #[test]
    fn jobs_are_a_number_or_relative_to_the_cpus() {
        let all = cpus();
        for (text, due) in [("3", 3), ("100%", all), ("+2", all + 2), ("-1000000", 1), ("1%", 1)] {
            assert_eq!(jobs(text), Ok(due), "{text}");
        }
        for text in ["", "0", "x", "-", "+x", "-5%", "0%", "nan%", "1.5"] {
            assert!(jobs(text).is_err(), "{text}");
        }
    }

    #[test]
    fn this_machine_says_what_it_has() {
        assert!(memory_free().is_some_and(|free| free > 0));
        assert!(running().is_some());
        assert_eq!("200%".parse(), Ok(Load(2.0 * cpus() as f64)));
    }
}
