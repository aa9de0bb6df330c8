//! A list of those who sleep until something changes, with a count that makes a change nobody waits
//! for cost one load. `tests/models` goes through the interleavings of this file.
//!
//! One sleeps by a future, or by a place that has a waker woken and is no future: a watch.

use super::atomic::{AtomicUsize, Ordering, fence};
use event_listener::{Event, EventListener, Listener};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Those who sleep until something changes: a list of listeners that counts the ones not yet woken,
/// so that a change that nobody waits for costs one load.
///
/// The count is never less than the number of listeners that still have to be woken: one that joins counts
/// itself before it listens, and is taken off once it was told, by who told it, or once it has left untold,
/// by itself. Taken off before, it could be taken off twice, the second time in the place of one that has
/// joined meanwhile.
pub(crate) struct WaitList {
    event: Event,
    asleep: AtomicUsize,
}

impl WaitList {
    pub(crate) fn new() -> WaitList {
        WaitList { event: Event::new(), asleep: AtomicUsize::new(0) }
    }

    /// Wakes up to `n`, after a change to an atomic word.
    pub(crate) fn wake(&self, n: usize) {
        // Either the change is seen by the sleeper's second look, or its count is seen here.
        fence(Ordering::SeqCst);
        self.wake_ordered(n);
    }

    /// Wakes up to `n`, after a change by a sequentially consistent operation, which is before the look
    /// here in the one order of all of them, as the fence in [`WaitList::wake`] would be.
    #[inline]
    pub(crate) fn wake_swapped(&self, n: usize) {
        if self.asleep.load(Ordering::SeqCst) != 0 {
            self.wake_ordered(n);
        }
    }

    /// Wakes up to `n`, after a change under a mutex that sleepers take for their second look; the
    /// mutex gives the order.
    pub(crate) fn wake_ordered(&self, n: usize) {
        if self.asleep.load(Ordering::Relaxed) == 0 {
            return;
        }
        let told = self.event.notify_additional(n);
        self.asleep.fetch_sub(told, Ordering::AcqRel);
    }

    pub(crate) fn listen(&self) -> Sleeper<'_> {
        Sleeper { list: self, listener: Some(self.join()) }
    }

    fn join(&self) -> EventListener {
        self.asleep.fetch_add(1, Ordering::Relaxed);
        let listener = self.event.listen();
        // The other half of the one in `wake`: orders the count before the sleeper's next look.
        fence(Ordering::SeqCst);
        listener
    }

    /// Takes a listener off; whether it was woken before.
    fn leave(&self, listener: EventListener) -> bool {
        let woken = listener.discard();
        if !woken {
            self.asleep.fetch_sub(1, Ordering::AcqRel);
        }
        woken
    }
}

/// One who sleeps on a [`WaitList`]; ready when woken.
pub(crate) struct Sleeper<'a> {
    list: &'a WaitList,
    /// `None` once woken.
    listener: Option<EventListener>,
}

impl Future for Sleeper<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.listener.as_mut().map(|listener| Pin::new(listener).poll(cx)) {
            Some(Poll::Pending) => Poll::Pending,
            _ => {
                self.listener = None;
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let Some(listener) = self.listener.take() else { return };
        if self.list.leave(listener) {
            // It was woken and does not use that (its process was killed): the next one may.
            self.list.wake(1);
        }
    }
}

/// A place on the list of an object for one who has a waker woken: it keeps the object. `list` says which
/// of the object's lists it is.
pub(crate) struct Watcher<T, F: Fn(&T) -> &WaitList> {
    of: Arc<T>,
    list: F,
    /// `None` once it was seen to be woken.
    listener: Option<EventListener>,
    waker: Waker,
    /// It has tried since it was woken, so that there is nothing to hand on.
    tried: bool,
    /// Whether it was woken when it was about to try; true also if it did not say that it was.
    had_wake: bool,
}

impl<T, F: Fn(&T) -> &WaitList> Watcher<T, F> {
    /// Joins the list. Who looks after this, and finds nothing, is woken.
    pub(crate) fn new(of: Arc<T>, list: F, waker: &Waker) -> Watcher<T, F> {
        let listener = Some(list(&of).join());
        let (waker, tried) = (waker.clone(), false);
        let mut watcher = Watcher { of, list, listener, waker, tried, had_wake: true };
        if watcher.was_woken() {
            watcher.waker.wake_by_ref();
        }
        watcher
    }

    /// Notes, before a try, whether it was woken so far.
    pub(crate) fn about_to_try(&mut self) {
        self.had_wake = self.was_woken();
    }

    fn was_woken(&mut self) -> bool {
        let Some(listener) = &mut self.listener else { return true };
        let woken = Pin::new(listener).poll(&mut Context::from_waker(&self.waker)).is_ready();
        if woken {
            self.listener = None;
        }
        woken
    }

    /// Ends it after a try: a wake stands for one change, and was of use. One that has come since it was about
    /// to try stands for another, and is handed on.
    pub(crate) fn tried(mut self) {
        self.tried = self.had_wake;
    }
}

impl<T, F: Fn(&T) -> &WaitList> Drop for Watcher<T, F> {
    fn drop(&mut self) {
        let list = (self.list)(&self.of);
        let woken = self.listener.take().is_none_or(|listener| list.leave(listener));
        if woken && !self.tried {
            list.wake(1);
        }
    }
}
