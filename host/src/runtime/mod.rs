//! Runs the tasks of sandboxed processes. The seam behind which time and scheduling sit.
//!
//! One shared run queue. Who runs tasks:
//!
//! - a *helper*: an outside thread that is blocked in a call of ours (join, get, ...) runs tasks
//!   until its own call is done. So a start-run-join, or a message there and back, needs no wake of
//!   another thread, which on many machines costs more than all the rest;
//! - *runners*: threads of the runtime, as many as there are CPUs, started when first needed.
//!
//! Who wakes them: only the *pacer* (see `pacer`), a thread that looks at the run queue every
//! millisecond while there is anything to do. A task that becomes ready thus starts at once if
//! somebody is running tasks, and within a millisecond otherwise.

mod helper;
mod pacer;

pub(crate) use helper::{answer_interrupts, interrupt};
pub(crate) use pacer::Sleep;

use async_task::Runnable;
use crossbeam::deque::{Injector, Steal};
use pacer::Pacer;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::Thread;

/// The runtime of one sandbox. Its threads end when it is dropped.
pub(crate) struct Runtime {
    ready: Injector<Runnable>,
    /// Threads that run a task at this moment, helpers included.
    active: AtomicUsize,
    /// How many may.
    parallelism: usize,
    runners: Mutex<Runners>,
    pacer: Pacer,
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

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Runtime {
    /// `preempt` must make every running guest yield soon; it is called every few milliseconds.
    pub(crate) fn new(parallelism: usize, preempt: Box<dyn Fn() + Send + Sync>) -> Arc<Runtime> {
        Arc::new_cyclic(|this| Runtime {
            ready: Injector::new(),
            active: AtomicUsize::new(0),
            parallelism,
            runners: Mutex::new(Runners::default()),
            pacer: Pacer::new(this.clone()),
            preempt,
        })
    }

    /// Runs a future to its end, in the background.
    pub(crate) fn spawn(self: &Arc<Runtime>, future: impl Future<Output = ()> + Send + 'static) {
        let runtime = Arc::downgrade(self);
        let schedule = move |runnable| {
            if let Some(runtime) = runtime.upgrade() {
                runtime.push(runnable);
            }
        };
        let (runnable, task) = async_task::spawn(future, schedule);
        task.detach();
        runnable.schedule();
    }

    fn push(&self, runnable: Runnable) {
        self.ready.push(runnable);
        self.pacer.see_to_it();
    }

    fn pop(&self) -> Option<Runnable> {
        loop {
            match self.ready.steal() {
                Steal::Success(runnable) => return Some(runnable),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }

    /// Runs one task, if there is one and a CPU for it; whether it did.
    fn run_one(&self) -> bool {
        if self.ready.is_empty() || self.active.load(Ordering::Relaxed) >= self.parallelism {
            return false;
        }
        // Before it leaves the queue, so that the pacer sees it in one of the two and does not rest.
        self.active.fetch_add(1, Ordering::SeqCst);
        // A task of ours never panics by itself; the guest's traps are values. Should it happen all
        // the same, async-task has dropped the future and the count must still be right.
        let active = Active(&self.active);
        let Some(runnable) = self.pop() else { return false };
        runnable.run();
        drop(active);
        true
    }

    /// Whether another thread runs a task at this moment.
    pub(crate) fn others_run(&self) -> bool {
        self.active.load(Ordering::Relaxed) > 1
    }

    /// Makes every running guest yield, so that somebody can look at what has changed.
    pub(crate) fn preempt(&self) {
        (self.preempt)();
    }

    /// A future that is ready at `deadline`.
    pub(crate) fn sleep_until(self: &Arc<Runtime>, deadline: procbox_core::Deadline) -> Sleep {
        Sleep::new(self.clone(), deadline)
    }

    /// Wakes as many idle runners as there is work and CPUs for. Called by the pacer.
    fn wake_runners(self: &Arc<Runtime>) {
        let waiting = self.ready.len();
        let free = self.parallelism.saturating_sub(self.active.load(Ordering::Relaxed));
        let mut runners = lock(&self.runners);
        for _ in 0..waiting.min(free) {
            if let Some(idle) = runners.idle.pop() {
                idle.unpark();
            } else if runners.started < self.parallelism && !runners.stopped {
                let runtime = Arc::downgrade(self);
                let name = format!("procbox-run-{}", runners.started);
                let thread = std::thread::Builder::new().name(name).spawn(move || runner(&runtime));
                // Without the thread, helpers and the other runners do the work.
                if thread.is_ok() {
                    runners.started += 1;
                }
            }
        }
    }
}

struct Active<'a>(&'a AtomicUsize);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many times a runner looks again before it sleeps: a few microseconds.
const LOOKS: u32 = 200;

fn runner(runtime: &Weak<Runtime>) {
    while let Some(strong) = runtime.upgrade() {
        while strong.run_one() {}
        let looked = (0..LOOKS).any(|_| {
            std::hint::spin_loop();
            !strong.ready.is_empty()
        });
        if looked && strong.active.load(Ordering::Relaxed) < strong.parallelism {
            continue;
        }
        {
            let mut runners = lock(&strong.runners);
            if runners.stopped {
                return;
            }
            runners.idle.push(std::thread::current());
        }
        drop(strong);
        std::thread::park();
    }
}

impl Drop for Runtime {
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
