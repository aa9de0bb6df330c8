//! What `procbox map` says on stderr: a progress bar on a terminal, failures, and a summary.
//!
//! It subscribes to the events of the pool: what it says and counts is what those say.

use super::inputs::Ledger;
use crate::status::say;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use procbox::observe::{Event, Subscriber};
use procbox::{Error, native};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use terminal_size::terminal_size_of;

/// The width of a terminal from which on there is room for all of the bar.
const WIDE: u16 = 70;

pub(super) struct Progress {
    bar: ProgressBar,
    began: Instant,
    quiet: bool,
    ledger: Ledger,
    ended: AtomicU64,
    failed: AtomicU64,
    retried: AtomicU64,
    replaced: AtomicU64,
}

/// Whether an error is the pool's end, or the caller's wish, and not a task's own.
pub(super) fn ends_the_pool(error: &Error) -> bool {
    matches!(
        error,
        Error::Interrupted
            | Error::PoolBroken(_)
            | Error::PoolClosed
            | Error::NotRunnable { .. }
            | Error::NotFound(_)
    )
}

impl Subscriber for Progress {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::TaskDone { .. } => self.ended(),
            // After a signal it may have been that which ended the worker.
            Event::TaskFailed { task, error, .. }
                if !ends_the_pool(error) && !native::interrupted() =>
            {
                self.failed(*task, error);
            }
            Event::TaskRetried { count, .. } => add(&self.retried, *count as u64),
            Event::WorkerReplaced { .. } => add(&self.replaced, 1),
            _ => {}
        }
    }
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Progress {
    /// The bar, to be out of the way of what else goes to the terminal.
    pub(super) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// A bar over so many tasks, if that is known, where it is to be shown.
    pub(super) fn new(total: Option<u64>, shows: bool, quiet: bool, ledger: Ledger) -> Progress {
        let visible = std::io::stderr().is_terminal() && shows && !quiet;
        let target =
            if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let is_narrow =
            terminal_size_of(std::io::stderr()).is_some_and(|(width, _)| width.0 < WIDE);
        let bar = ProgressBar::with_draw_target(total, target);
        // What does not fit into the line would be left behind in the next.
        let style = match total {
            Some(_) if is_narrow => "{pos}/{len} {rate} {msg} {eta}",
            Some(_) => "{bar:12} {pos}/{len} {rate} {msg} {eta} left",
            None if is_narrow => "{pos} {rate} {msg}",
            None => "{spinner} {pos} tasks {rate} {msg}",
        };
        let rate = |state: &ProgressState, into: &mut dyn std::fmt::Write| {
            // Writing to a string does not fail.
            let _ = write!(into, "{:.1}/s", state.per_sec());
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.with_key("rate", rate));
        }
        let zero = || AtomicU64::new(0);
        let (ended, failed, retried, replaced) = (zero(), zero(), zero(), zero());
        let began = Instant::now();
        Progress { bar, began, quiet, ledger, ended, failed, retried, replaced }
    }

    fn ended(&self) {
        add(&self.ended, 1);
        self.bar.inc(1);
    }

    /// Names a task that failed. This is said with `--quiet` too: it is the result.
    fn failed(&self, task: u64, why: &Error) {
        add(&self.failed, 1);
        let name = self.ledger.name(task).unwrap_or_else(|| format!("task {}", task + 1));
        self.bar.suspend(|| say(&format!("{name}: {why}")));
        self.bar.set_message(format!("{} failed", self.failures()));
        self.ended();
    }

    pub(super) fn failures(&self) -> u64 {
        get(&self.failed)
    }

    /// Says that it ends before all is done: why, how much that is, and how to go on.
    pub(super) fn stopped(&self, why: &str, done: u64, left: Option<u64>, resumable: bool) {
        self.bar.finish_and_clear();
        if self.quiet {
            return;
        }
        let left = left.map_or(String::new(), |left| format!(", {left} left"));
        let how = if resumable {
            "the same command with --resume goes on from here"
        } else {
            "with --joblog FILE it could be resumed"
        };
        say(&format!("stopped early, {why}: {done} done{left}; {how}"));
    }

    /// The last line: what was done and how fast.
    pub(super) fn summary(&self) {
        self.bar.finish_and_clear();
        if self.quiet {
            return;
        }
        let (ended, unreadable) = (get(&self.ended), self.ledger.unreadable());
        let seconds = self.began.elapsed().max(Duration::from_micros(1)).as_secs_f64();
        let skipped = match self.ledger.skipped() {
            0 => String::new(),
            n => format!("{n} skipped, "),
        };
        say(&format!(
            "{} tasks, {skipped}{} failed, {} retried, {} workers replaced, {:.1} tasks/s",
            ended + unreadable,
            self.failures() + unreadable,
            get(&self.retried),
            get(&self.replaced),
            ended as f64 / seconds,
        ));
    }
}
