//! Wakers that wait for one thing that happens in this process: they are woken all together.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Wakes one, whatever it does: a waker is the embedding program's, and one that panics takes neither the
/// thread that wakes nor others' wakes with it.
pub(crate) fn wake(waker: Waker) {
    // The panic hook has reported it.
    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
}

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
        // Not under the lock: it is the embedding program's code.
        let waker = waker.clone();
        let mut list = self.list();
        list.next += 1;
        let number = list.next;
        list.waiting.insert(number, waker);
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

    /// Takes all off, for who wakes them later.
    pub(crate) fn take(&self) -> Vec<Waker> {
        let waiting = std::mem::take(&mut self.list().waiting);
        waiting.into_values().collect()
    }

    /// Wakes all.
    pub(crate) fn wake(&self) {
        self.take().into_iter().for_each(wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics")
        }
    }

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_waker_that_panics_takes_no_other_with_it() {
        let (wakers, counter) = (Wakers::default(), Arc::new(Counter::default()));
        wakers.add(&Arc::new(Panics).into());
        wakers.add(&counter.clone().into());
        wakers.wake();
        assert_eq!(counter.0.load(Ordering::Relaxed), 1);
        assert!(wakers.is_empty());
    }
}
