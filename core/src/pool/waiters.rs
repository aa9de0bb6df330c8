//! Threads that wait for a pool's tasks to move, and the one of them that moves them.
//!
//! One thread at a time *drives*; the others wait until it has made progress or has stopped driving.
//! Progress is counted, so that none is missed between looking and sleeping. The driver itself sleeps
//! in a wait for its workers' queues; *notify* wakes it there, by a queue of its own.

use crate::raw::Waitable;
use crate::sync::lock;
use crate::time::Deadline;
use crate::{Context, Error, Queue, Result, Wait, ready};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::ThreadId;
use std::time::Duration;

/// The time that a thread that waits for another to drive may take to notice Ctrl-C.
const LOOK_FOR_INTERRUPT: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Progress {
    /// Counts progress.
    made: u64,
    /// The number of threads that wait while another drives.
    waiting: usize,
    /// `true` while the driver sleeps until there is news from a worker.
    asleep: bool,
    /// The thread that drives.
    driver: Option<ThreadId>,
}

/// The state that the threads that wait for one pool share.
pub(super) struct Waiters {
    /// Held by the one that drives.
    driving: Mutex<()>,
    progress: Mutex<Progress>,
    progressed: Condvar,
    /// Wakes a sleeping driver when there is something new to wait for.
    notify: Queue<()>,
    /// The number of times that the bell was rung.
    rings: AtomicU64,
}

/// The right to drive; given up when dropped, also by a panic, and the others are told.
pub(super) struct Turn<'a> {
    waiters: &'a Waiters,
    driving: Option<MutexGuard<'a, ()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.waiters.progress).driver = None;
        self.driving = None;
        self.waiters.progressed();
    }
}

impl Waiters {
    pub(super) fn new(ctx: &Context) -> Result<Waiters> {
        Ok(Waiters {
            driving: Mutex::new(()),
            progress: Mutex::new(Progress::default()),
            progressed: Condvar::new(),
            notify: ctx.queue(1)?,
            rings: AtomicU64::new(0),
        })
    }

    /// The count of progress so far.
    pub(super) fn seen(&self) -> u64 {
        lock(&self.progress).made
    }

    /// `true` if somebody waits while another drives.
    pub(super) fn any(&self) -> bool {
        lock(&self.progress).waiting > 0
    }

    /// The right to drive, unless another has it.
    pub(super) fn try_drive(&self) -> Option<Turn<'_>> {
        let driving = match self.driving.try_lock() {
            Ok(driving) => driving,
            // A callback panicked while it drove; the state was unlocked then.
            Err(TryLockError::Poisoned(poisoned)) => {
                self.driving.clear_poison();
                poisoned.into_inner()
            }
            Err(TryLockError::WouldBlock) => return None,
        };
        lock(&self.progress).driver = Some(std::thread::current().id());
        Some(Turn { waiters: self, driving: Some(driving) })
    }

    /// `true` if the calling thread is the one that drives.
    pub(super) fn is_driver(&self) -> bool {
        lock(&self.progress).driver == Some(std::thread::current().id())
    }

    /// There was progress: everybody looks again at what it waits for.
    pub(super) fn progressed(&self) {
        let mut progress = lock(&self.progress);
        progress.made += 1;
        if progress.waiting > 0 {
            self.progressed.notify_all();
        }
    }

    /// Wakes the driver if it sleeps.
    pub(super) fn notify(&self) {
        if lock(&self.progress).asleep {
            // Full is as good: it will wake.
            let _ = self.notify.try_put(&());
        }
    }

    /// Makes every waiter look again at what it waits for.
    pub(super) fn ring(&self) {
        self.rings.fetch_add(1, Ordering::Release);
        // Full is as good: the driver will not sleep before it has looked. It is put whether or not
        // the driver sleeps, since it may have looked and be about to.
        let _ = self.notify.try_put(&());
        self.progressed();
    }

    pub(super) fn rings(&self) -> u64 {
        self.rings.load(Ordering::Acquire)
    }

    /// Waits, while another drives, until there is more progress than `seen`.
    pub(super) fn wait(&self, ctx: &Context, seen: u64, deadline: Deadline) -> Result<()> {
        let clock = ctx.clock();
        lock(&self.progress).waiting += 1;
        // The background thread hands over to whoever waits, once it is awake.
        self.notify();
        let mut progress = lock(&self.progress);
        // A condition variable knows nothing of Ctrl-C: looked at now and then.
        let slice = Wait::AtMost(LOOK_FOR_INTERRUPT).deadline(&*clock);
        while progress.made == seen && !slice.is_past(&*clock) && !deadline.is_past(&*clock) {
            let left = deadline.min(slice).remaining(&*clock).unwrap_or_default();
            progress = self
                .progressed
                .wait_timeout(progress, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        progress.waiting -= 1;
        if progress.made == seen && deadline.is_past(&*clock) {
            return Err(Error::TimedOut);
        }
        drop(progress);
        self.check_interrupt(ctx)
    }

    /// Looks whether Ctrl-C has come, while another thread drives.
    fn check_interrupt(&self, ctx: &Context) -> Result<()> {
        match ready(ctx, &[self.notify.waitable()], Wait::AtMost(Duration::from_nanos(1))) {
            Err(Error::Interrupted) => Err(Error::Interrupted),
            _ => Ok(()),
        }
    }

    /// The driver's waitables besides its workers': the one that notifies it.
    pub(super) fn waitables(&self) -> Vec<Waitable> {
        vec![self.notify.waitable()]
    }

    /// The driver's sleep: until one of `those` is ready or the wait runs out. Not at all if it need
    /// not.
    pub(super) fn sleep(
        &self,
        ctx: &Context,
        those: &[Waitable],
        wait: Wait,
        need_not: &dyn Fn() -> bool,
    ) -> Result<()> {
        // Looked at after saying so: what happened before is seen here, and what happens now wakes.
        let woken = if need_not() { Ok(Vec::new()) } else { ready(ctx, those, wait) };
        lock(&self.progress).asleep = false;
        // It is there to wake, not to be read; empty is as good.
        let _ = self.notify.try_get();
        match woken {
            Ok(_) | Err(Error::TimedOut) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// To be said, under the lock of what is looked at, before a [`Waiters::sleep`] may begin.
    pub(super) fn falls_asleep(&self) {
        lock(&self.progress).asleep = true;
    }
}
