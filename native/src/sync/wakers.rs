//! Wakers that wait for one thing that happens in this process: they are woken all together.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Those who wait.
#[derive(Default)]
pub(crate) struct Wakers(Mutex<List>);

#[derive(Default)]
struct List {
    next: u64,
    waiting: BTreeMap<u64, Waker>,
}

impl Wakers {
    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more; its number.
    pub(crate) fn add(&self, waker: &Waker) -> u64 {
        let mut list = self.list();
        list.next += 1;
        let number = list.next;
        list.waiting.insert(number, waker.clone());
        number
    }

    /// One less, if it has not been woken.
    pub(crate) fn remove(&self, number: u64) {
        let waker = self.list().waiting.remove(&number);
        drop(waker);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list().waiting.is_empty()
    }

    /// Wakes all.
    pub(crate) fn wake(&self) {
        let waiting = std::mem::take(&mut self.list().waiting);
        waiting.into_values().for_each(Waker::wake);
    }
}
