//! The runtime in real time: one run queue (see `queue`: who goes next), and several threads that
//! take from it.
//!
//! Who runs tasks:
//!
//! - a *helper*: an outside thread that is blocked in a call of ours (join, get, ...) runs tasks
//!   until its own call is done. So a start-run-join, or a message there and back, needs no wake of
//!   another thread, which on many machines costs more than all the rest;
//! - *runners*: threads of the runtime, as many as there are CPUs, started when first needed.
//!
//! Who wakes them: only the *pacer* (see `pacer`), a thread that looks at the run queue every
//! millisecond while there is anything to do. A task that becomes ready thus starts at once if
//! somebody is running tasks, and within a millisecond otherwise.

mod pacer;
mod queue;

use super::bell::Bell;
use super::meter::Unit;
use super::scheduler::{Runnable, Scheduler};
use super::share::Seat;
use super::timers::Timers;
use crate::atomic::{AtomicUsize, Ordering};
use crate::sync::thread::{self, Thread};
use crate::sync::{Mutex, lock};
use pacer::Pacer;
use procbox_core::random::{Random, SystemRandom};
use procbox_core::time::{Clock, Deadline, SystemClock};
use procbox_core::{Error, Result};
use queue::Queue;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// The run queue and its threads, which end when it is dropped.
pub(super) struct Threads {
    ready: Queue,
    /// Threads that run a task at this moment, helpers included.
    active: AtomicUsize,
    /// The most that did since the pacer's last tick.
    peak: AtomicUsize,
    /// How many may, but for those that run what is urgent.
    parallelism: usize,
    runners: Mutex<Runners>,
    pacer: Pacer,
    timers: Timers,
    /// Makes every running guest yield.
    preempt: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Runners {
    started: usize,
    /// Those that sleep because there was nothing to run.
    idle: Vec<Thread>,
    stopped: bool,
}

impl Threads {
    pub(super) fn new(parallelism: usize, preempt: Box<dyn Fn() + Send + Sync>) -> Arc<Threads> {
        Arc::new_cyclic(|this| Threads {
            ready: Queue::default(),
            active: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            parallelism,
            runners: Mutex::new(Runners::default()),
            pacer: Pacer::new(this.clone()),
            timers: Timers::default(),
            preempt,
        })
    }

    /// Whether as many threads run a task as may.
    fn is_full(&self) -> bool {
        self.active.load(Ordering::Relaxed) >= self.parallelism
    }

    /// Runs one task, if there is one and a CPU for it; when it was done with that. If all CPUs are taken but
    /// the task is urgent, a `pressing` thread runs it all the same, and has the others give theirs
    /// back: one of them finds that there are too many.
    ///
    /// `before` is when the thread was done with another, if that was just now: a look at the clock
    /// for each is enough.
    fn run_one(&self, pressing: bool, before: Option<Instant>) -> Option<Instant> {
        if self.ready.is_empty() {
            return None;
        }
        let over = self.is_full();
        if over && !(pressing && self.ready.is_urgent()) {
            return None;
        }
        // Before it leaves the queue, so that the pacer sees it in one of the two and does not rest.
        let active = self.active.fetch_add(1, Ordering::SeqCst) + 1;
        // A task of ours never panics by itself; the guest's traps are values. Should it happen all
        // the same, async-task has dropped the future and the count must still be right.
        let counted = Active(&self.active);
        let runnable = self.ready.pop()?;
        if active > self.peak.load(Ordering::Relaxed) {
            self.peak.store(active, Ordering::Relaxed);
        }
        if over {
            self.preempt();
        }
        let share = runnable.metadata().share.clone();
        let began = before.unwrap_or_else(|| SystemClock.now());
        runnable.run();
        let done = SystemClock.now();
        share.charge(done.saturating_duration_since(began));
        drop(counted);
        Some(done)
    }

    /// Whether something urgent waits for a thread that runs something else.
    fn is_pressed(&self) -> bool {
        self.is_full() && self.ready.is_urgent()
    }

    /// Wakes as many idle runners as there is work and CPUs for. Called by the pacer.
    ///
    /// A CPU is free if it was all the time since the last tick: a helper that runs many small
    /// pieces, with little in between, has one, which a runner would take from it.
    fn wake_runners(self: &Arc<Threads>) {
        let waiting = self.ready.len();
        let active = self.active.load(Ordering::Relaxed);
        let peak = self.peak.swap(active, Ordering::Relaxed);
        let free = self.parallelism.saturating_sub(active.max(peak));
        let mut runners = lock(&self.runners);
        for _ in 0..waiting.min(free) {
            if let Some(idle) = runners.idle.pop() {
                idle.unpark();
            } else if runners.started < self.parallelism && !runners.stopped {
                let threads = Arc::downgrade(self);
                let name = format!("procbox-run-{}", runners.started);
                let thread = thread::Builder::new().name(name).spawn(move || runner(&threads));
                // Without the thread, helpers and the other runners do the work.
                if thread.is_ok() {
                    runners.started += 1;
                }
            }
        }
    }
}

impl Scheduler for Threads {
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    fn random(&self) -> Arc<dyn Random> {
        Arc::new(SystemRandom)
    }

    fn unit(&self) -> Unit {
        Unit::CpuTime
    }

    fn timers(&self) -> &Timers {
        &self.timers
    }

    fn first_timer_changed(&self) {
        // A pacer that sleeps for a later timer has to sleep for this one now.
        self.pacer.see_to_it();
    }

    fn schedule(&self, task: Runnable) {
        self.ready.push(task);
        self.pacer.see_to_it();
    }

    fn prompt(&self) {
        if self.ready.is_empty() || self.is_full() {
            return;
        }
        // Where none sleeps, the pacer starts one.
        if let Some(idle) = lock(&self.runners).idle.pop() {
            idle.unpark();
        }
    }

    fn run_until(&self, bell: &Bell, deadline: Deadline) -> Result<()> {
        let mut done = None;
        loop {
            if deadline.is_past(&SystemClock) {
                return Err(Error::TimedOut);
            }
            done = self.run_one(true, done);
            if done.is_none() {
                bell.park(deadline, &SystemClock);
            }
            if bell.has_rung() {
                return Ok(());
            }
        }
    }

    fn hasten(&self, seat: &Seat) {
        self.ready.hasten(seat);
    }

    fn others_run(&self) -> bool {
        self.active.load(Ordering::Relaxed) > 1 && self.ready.is_empty()
    }

    fn preempt(&self) {
        (self.preempt)();
    }
}

struct Active<'a>(&'a AtomicUsize);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many times a runner looks again before it sleeps: a few microseconds.
const LOOKS: u32 = if cfg!(loom) { 1 } else { 200 };

fn runner(threads: &Weak<Threads>) {
    while let Some(strong) = threads.upgrade() {
        let mut done = None;
        loop {
            done = strong.run_one(false, done);
            if done.is_none() {
                break;
            }
        }
        let looked = (0..LOOKS).any(|_| {
            std::hint::spin_loop();
            !strong.ready.is_empty()
        });
        if looked && !strong.is_full() {
            continue;
        }
        {
            let mut runners = lock(&strong.runners);
            if runners.stopped {
                return;
            }
            runners.idle.push(thread::current());
        }
        drop(strong);
        thread::park();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let mut runners = lock(&self.runners);
        runners.stopped = true;
        for idle in runners.idle.drain(..) {
            idle.unpark();
        }
        drop(runners);
        self.pacer.stop();
    }
}
