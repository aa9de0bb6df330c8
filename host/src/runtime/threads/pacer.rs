//! The pacer: one thread per runtime that keeps time.
//!
//! While anything is ready, running or due it ticks once a millisecond: it fires the timers that
//! are due, makes running guests yield, and wakes runners if tasks wait. With nothing to do it
//! lingers for a while, so that a burst of short calls need not wake it each time, and then sleeps
//! until the next timer: blocked processes cost nothing.

use super::Threads;
use crate::atomic::{AtomicBool, AtomicU8, Ordering};
use crate::runtime::scheduler::Scheduler;
use crate::sync::thread::{self, Thread};
use procbox_core::time::{Clock, SystemClock};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

/// How long a ready task waits at most before somebody is woken to run it.
const TICK: Duration = Duration::from_millis(1);
/// Guests are made to yield every so many ticks.
const PREEMPT_TICKS: u32 = 4;
/// Ticks without anything to do before the pacer sleeps.
const LINGER_TICKS: u32 = if cfg!(loom) { 1 } else { 20 };

const TICKING: u8 = 0;
const SLEEPING: u8 = 1;

pub(super) struct Pacer {
    threads: Weak<Threads>,
    thread: OnceLock<Option<Thread>>,
    state: AtomicU8,
    stopped: AtomicBool,
}

impl Pacer {
    pub(super) fn new(threads: Weak<Threads>) -> Pacer {
        Pacer {
            threads,
            thread: OnceLock::new(),
            state: AtomicU8::new(TICKING),
            stopped: AtomicBool::new(false),
        }
    }

    /// There is something to do now: sees to it that the pacer ticks.
    pub(super) fn see_to_it(&self) {
        let thread = self.thread.get_or_init(|| {
            let threads = self.threads.clone();
            let thread = thread::Builder::new().name("procbox-pace".into());
            thread.spawn(move || pace(&threads)).ok().map(|t| t.thread().clone())
        });
        // SeqCst: the push before this and the state after it must not be reordered, see `rest`.
        if self.state.load(Ordering::SeqCst) == SLEEPING
            && self.state.swap(TICKING, Ordering::SeqCst) == SLEEPING
        {
            thread.iter().for_each(Thread::unpark);
        }
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        if let Some(Some(thread)) = self.thread.get() {
            thread.unpark();
        }
    }
}

fn pace(threads: &Weak<Threads>) {
    let mut idle = 0;
    let mut ticks: u32 = 0;
    loop {
        thread::park_timeout(TICK);
        let Some(threads) = threads.upgrade() else { return };
        let next = threads.timers.fire(|| SystemClock.now());
        let waiting = !threads.ready.is_empty();
        let running = threads.active.load(Ordering::Relaxed) > 0;
        if waiting {
            threads.wake_runners();
        }
        ticks = ticks.wrapping_add(1);
        if running && (ticks.is_multiple_of(PREEMPT_TICKS) || threads.is_pressed()) {
            threads.preempt();
        }
        idle = if waiting || running { 0 } else { idle + 1 };
        if idle < LINGER_TICKS {
            continue;
        }
        idle = 0;
        if rest(threads, next) {
            return;
        }
    }
}

/// Sleeps until the next timer or until there is something to do. Whether to end.
fn rest(threads: Arc<Threads>, next: Option<Instant>) -> bool {
    let weak = Arc::downgrade(&threads);
    let pacer = &threads.pacer;
    pacer.state.store(SLEEPING, Ordering::SeqCst);
    // Looked at again after saying so: a push or a timer from before is seen here, a later one
    // wakes us. A guest that runs has to be made to yield.
    let next_now = threads.timers.next();
    let busy = !threads.ready.is_empty()
        || threads.active.load(Ordering::SeqCst) > 0
        || next_now != next
        || pacer.stopped.load(Ordering::Acquire);
    if busy {
        pacer.state.store(TICKING, Ordering::SeqCst);
        return pacer.stopped.load(Ordering::Acquire);
    }
    // Not held while asleep, so that the runtime can be dropped.
    drop(threads);
    loop {
        match next.map(|at| at.saturating_duration_since(SystemClock.now())) {
            None => thread::park(),
            Some(left) => thread::park_timeout(left),
        }
        let Some(threads) = weak.upgrade() else { return true };
        let pacer = &threads.pacer;
        let due = next.is_some_and(|at| at <= SystemClock.now());
        if due || pacer.state.load(Ordering::SeqCst) == TICKING {
            pacer.state.store(TICKING, Ordering::SeqCst);
            return false;
        }
    }
}
