//! What `procbox map` says on stderr: a progress bar on a terminal, failures, and a summary.

use crate::status::say;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use procbox::Counters;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

pub(super) struct Progress {
    bar: ProgressBar,
    began: Instant,
    quiet: bool,
    failed: u64,
    ended: u64,
}

impl Progress {
    /// A bar over so many tasks, if that is known.
    pub(super) fn new(total: Option<u64>, quiet: bool) -> Progress {
        let visible = std::io::stderr().is_terminal() && !quiet;
        let target =
            if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(total, target);
        let style = match total {
            Some(_) => "{bar:30} {pos}/{len} {per_sec} {msg} {eta} left",
            None => "{spinner} {pos} tasks {per_sec} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Progress { bar, began: Instant::now(), quiet, failed: 0, ended: 0 }
    }

    pub(super) fn done(&mut self) {
        self.ended += 1;
        self.bar.inc(1);
    }

    /// Names a task that failed. This is said with `--quiet` too: it is the result.
    pub(super) fn failed(&mut self, name: &str, why: &str) {
        self.ended += 1;
        self.failed += 1;
        self.bar.suspend(|| say(&format!("{name}: {why}")));
        self.bar.set_message(format!("{} failed", self.failed));
        self.bar.inc(1);
    }

    pub(super) fn failures(&self) -> u64 {
        self.failed
    }

    /// The last line: what was done and how fast.
    pub(super) fn summary(&self, counters: Counters, unreadable: u64, skipped: u64) {
        self.bar.finish_and_clear();
        if self.quiet {
            return;
        }
        let seconds = self.began.elapsed().max(Duration::from_micros(1)).as_secs_f64();
        let skipped = match skipped {
            0 => String::new(),
            n => format!("{n} skipped, "),
        };
        say(&format!(
            "{} tasks, {skipped}{} failed, {} retried, {} workers replaced, {:.0} tasks/s",
            self.ended + unreadable,
            self.failed + unreadable,
            counters.retried,
            counters.replaced,
            self.ended as f64 / seconds,
        ));
    }
}
