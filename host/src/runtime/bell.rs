//! The bell of an outside thread that is blocked in a call of ours: the waker of what it waits for.
//! `tests/models` goes through the interleavings of this file and of `threads`.

use super::scheduler::Scheduler;
use crate::atomic::{AtomicU8, Ordering};
use crate::sync::thread::{self, Thread};
use procbox_core::time::{Clock, Deadline};
use std::sync::{Arc, Weak};
use std::task::Wake;

const PARKED: u8 = 0;
const HELPING: u8 = 1;
const WOKEN: u8 = 2;

/// A blocked thread's bell. It has rung when it is made, so that the thread looks a first time.
pub(super) struct Bell {
    thread: Thread,
    state: AtomicU8,
    /// Whose tasks it runs meanwhile.
    scheduler: Weak<dyn Scheduler>,
}

impl Bell {
    /// One for the calling thread.
    pub(super) fn new(scheduler: &Arc<dyn Scheduler>) -> Arc<Bell> {
        Arc::new(Bell {
            thread: thread::current(),
            state: AtomicU8::new(WOKEN),
            scheduler: Arc::downgrade(scheduler),
        })
    }

    /// Whether it has rung since the last time that this was asked.
    pub(super) fn answer(&self) -> bool {
        self.state.swap(HELPING, Ordering::AcqRel) == WOKEN
    }

    /// Whether it has rung and was not answered.
    pub(super) fn has_rung(&self) -> bool {
        self.state.load(Ordering::Acquire) == WOKEN
    }

    /// Blocks its thread until it rings or the deadline has passed, or for a moment.
    pub(super) fn park(&self, deadline: Deadline, clock: &dyn Clock) {
        // Nobody has rung since the last look: sleep until somebody does.
        if self.state.compare_exchange(HELPING, PARKED, Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            match deadline.remaining(clock) {
                None => thread::park(),
                Some(left) => thread::park_timeout(left),
            }
            // Unless it has rung, the thread looks after its own affairs again.
            let _ =
                self.state.compare_exchange(PARKED, HELPING, Ordering::AcqRel, Ordering::Acquire);
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Bell>) {
        match self.state.swap(WOKEN, Ordering::AcqRel) {
            PARKED => self.thread.unpark(),
            // It runs somebody's guest: that guest should give the thread back.
            HELPING => {
                if self.thread.id() != thread::current().id()
                    && let Some(scheduler) = self.scheduler.upgrade()
                {
                    scheduler.preempt();
                }
            }
            _ => {}
        }
    }
}
