//! The pacer: one thread per runtime that keeps time.
//!
//! While anything is ready, running or due it ticks once a millisecond: it fires the timers that
//! are due, makes running guests yield, and wakes runners if tasks wait. With nothing to do it
//! lingers for a while, so that a burst of short calls need not wake it each time, and then sleeps
//! until the next timer: blocked processes cost nothing.

use super::{Runtime, lock};
use procbox_core::Deadline;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Poll, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long a ready task waits at most before somebody is woken to run it.
const TICK: Duration = Duration::from_millis(1);
/// Guests are made to yield every so many ticks.
const PREEMPT_TICKS: u32 = 4;
/// Ticks without anything to do before the pacer sleeps.
const LINGER_TICKS: u32 = 20;

const TICKING: u8 = 0;
const SLEEPING: u8 = 1;

pub(super) struct Pacer {
    runtime: Weak<Runtime>,
    thread: OnceLock<Option<Thread>>,
    state: AtomicU8,
    stopped: AtomicBool,
    timers: Mutex<Timers>,
}

#[derive(Default)]
struct Timers {
    by_time: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
}

impl Pacer {
    pub(super) fn new(runtime: Weak<Runtime>) -> Pacer {
        Pacer {
            runtime,
            thread: OnceLock::new(),
            state: AtomicU8::new(TICKING),
            stopped: AtomicBool::new(false),
            timers: Mutex::new(Timers::default()),
        }
    }

    /// There is something to do now: sees to it that the pacer ticks.
    pub(super) fn see_to_it(&self) {
        let thread = self.thread.get_or_init(|| {
            let runtime = self.runtime.clone();
            let thread = std::thread::Builder::new().name("procbox-pace".into());
            thread.spawn(move || pace(&runtime)).ok().map(|t| t.thread().clone())
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

    fn fire(&self) -> Option<Instant> {
        let now = Instant::now();
        let (due, next) = {
            let mut timers = lock(&self.timers);
            if timers.by_time.is_empty() {
                return None;
            }
            let later = timers.by_time.split_off(&(now, u64::MAX));
            let due = std::mem::replace(&mut timers.by_time, later);
            (due, timers.by_time.keys().next().map(|(at, _)| *at))
        };
        due.into_values().for_each(Waker::wake);
        next
    }
}

fn pace(runtime: &Weak<Runtime>) {
    let mut idle = 0;
    let mut ticks: u32 = 0;
    loop {
        std::thread::park_timeout(TICK);
        let Some(runtime) = runtime.upgrade() else { return };
        let pacer = &runtime.pacer;
        let next = pacer.fire();
        let waiting = !runtime.ready.is_empty();
        let running = runtime.active.load(Ordering::Relaxed) > 0;
        if waiting {
            runtime.wake_runners();
        }
        ticks = ticks.wrapping_add(1);
        if running && ticks.is_multiple_of(PREEMPT_TICKS) {
            runtime.preempt();
        }
        idle = if waiting || running { 0 } else { idle + 1 };
        if idle < LINGER_TICKS {
            continue;
        }
        idle = 0;
        if rest(runtime, next) {
            return;
        }
    }
}

/// Sleeps until the next timer or until there is something to do. Whether to end.
fn rest(runtime: Arc<Runtime>, next: Option<Instant>) -> bool {
    let weak = Arc::downgrade(&runtime);
    let pacer = &runtime.pacer;
    pacer.state.store(SLEEPING, Ordering::SeqCst);
    // Looked at again after saying so: a push or a timer from before is seen here, a later one
    // wakes us. A guest that runs has to be made to yield.
    let next_now = lock(&pacer.timers).by_time.keys().next().map(|(at, _)| *at);
    let busy = !runtime.ready.is_empty()
        || runtime.active.load(Ordering::SeqCst) > 0
        || next_now != next
        || pacer.stopped.load(Ordering::Acquire);
    if busy {
        pacer.state.store(TICKING, Ordering::SeqCst);
        return pacer.stopped.load(Ordering::Acquire);
    }
    // Not held while asleep, so that the runtime can be dropped.
    drop(runtime);
    loop {
        match next.map(|at| at.saturating_duration_since(Instant::now())) {
            None => std::thread::park(),
            Some(left) => std::thread::park_timeout(left),
        }
        let Some(runtime) = weak.upgrade() else { return true };
        let pacer = &runtime.pacer;
        let due = next.is_some_and(|at| at <= Instant::now());
        if due || pacer.state.load(Ordering::SeqCst) == TICKING {
            pacer.state.store(TICKING, Ordering::SeqCst);
            return false;
        }
    }
}

/// A future that is ready at a deadline; see [`Runtime::sleep_until`].
pub(crate) struct Sleep {
    runtime: Arc<Runtime>,
    deadline: Deadline,
    id: Option<(Instant, u64)>,
}

impl Sleep {
    pub(super) fn new(runtime: Arc<Runtime>, deadline: Deadline) -> Sleep {
        Sleep { runtime, deadline, id: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.deadline.instant() else { return Poll::Pending };
        if at <= Instant::now() {
            return Poll::Ready(());
        }
        let first = {
            let mut timers = lock(&self.runtime.pacer.timers);
            let id = self.id.unwrap_or_else(|| {
                timers.next_id += 1;
                (at, timers.next_id)
            });
            timers.by_time.insert(id, cx.waker().clone());
            let first = timers.by_time.keys().next() == Some(&id);
            drop(timers);
            let new = self.id.replace(id).is_none();
            first && new
        };
        // A pacer that sleeps for a later timer has to sleep for this one now.
        if first {
            self.runtime.pacer.see_to_it();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            lock(&self.runtime.pacer.timers).by_time.remove(&id);
        }
    }
}
