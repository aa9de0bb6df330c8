//! Timers: who is to be woken at which moment.

use crate::sync::{Mutex, lock};
use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Instant;

/// A timer: the moment, and a number that tells those of one moment apart.
pub(super) type Id = (Instant, u64);

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
    pub(super) fn set(&self, old: Option<Id>, at: Instant, waker: Waker) -> (Id, bool) {
        let mut set = lock(&self.0);
        let id = old.unwrap_or_else(|| {
            set.next += 1;
            (at, set.next)
        });
        set.by_time.insert(id, waker);
        let first = set.by_time.keys().next() == Some(&id);
        (id, first && old.is_none())
    }

    pub(super) fn cancel(&self, id: Id) {
        lock(&self.0).by_time.remove(&id);
    }
}
