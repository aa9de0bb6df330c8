//! Timers: who is to be woken at which moment, and a future that is ready at one.

use super::{Runtime, lock};
use procbox_core::Deadline;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// A timer: the moment, and a number that tells those of one moment apart.
type Id = (Instant, u64);

/// Those that are set.
#[derive(Default)]
pub(super) struct Timers(Mutex<Set>);

#[derive(Default)]
struct Set {
    by_time: BTreeMap<Id, Waker>,
    next: u64,
}

impl Timers {
    /// Wakes those that are due; the moment of the next.
    pub(super) fn fire(&self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        let (due, next) = {
            let mut set = lock(&self.0);
            if set.by_time.is_empty() {
                return None;
            }
            let later = set.by_time.split_off(&(now(), u64::MAX));
            let due = std::mem::replace(&mut set.by_time, later);
            (due, set.by_time.keys().next().map(|(at, _)| *at))
        };
        due.into_values().for_each(Waker::wake);
        next
    }

    /// The moment of the next.
    pub(super) fn next(&self) -> Option<Instant> {
        lock(&self.0).by_time.keys().next().map(|(at, _)| *at)
    }

    /// Sets one, or its waker if it is set; and whether it is new and the first now.
    fn set(&self, old: Option<Id>, at: Instant, waker: Waker) -> (Id, bool) {
        let mut set = lock(&self.0);
        let id = old.unwrap_or_else(|| {
            set.next += 1;
            (at, set.next)
        });
        set.by_time.insert(id, waker);
        let first = set.by_time.keys().next() == Some(&id);
        (id, first && old.is_none())
    }

    fn cancel(&self, id: Id) {
        lock(&self.0).by_time.remove(&id);
    }
}

/// A future that is ready at a deadline; see [`Runtime::sleep_until`].
pub(crate) struct Sleep {
    runtime: Arc<Runtime>,
    deadline: Deadline,
    id: Option<Id>,
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
        if self.deadline.is_past(&**self.runtime.clock()) {
            return Poll::Ready(());
        }
        let (id, first) = self.runtime.scheduler.timers().set(self.id, at, cx.waker().clone());
        self.id = Some(id);
        if first {
            self.runtime.scheduler.first_timer_changed();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.runtime.scheduler.timers().cancel(id);
        }
    }
}
