//! A list of those who sleep until something changes, with a count that makes a change nobody waits
//! for cost one load. `tests/models` goes through the interleavings of this file.

use super::atomic::{AtomicUsize, Ordering, fence};
use event_listener::{Event, EventListener, Listener};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Those who sleep until something changes: a list of listeners that counts the ones not yet woken,
/// so that a change that nobody waits for costs one load.
///
/// The count is never less than the number of listeners that still have to be woken: one that joins
/// counts itself before it looks again, and one that leaves before it was woken takes itself off.
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
        let woken = self.asleep.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |asleep| {
            (asleep > 0).then(|| asleep.saturating_sub(n))
        });
        if let Ok(asleep) = woken {
            self.event.notify_additional(asleep.min(n));
        }
    }

    pub(crate) fn listen(&self) -> Sleeper<'_> {
        let listener = Some(self.event.listen());
        self.asleep.fetch_add(1, Ordering::Relaxed);
        // The other half of the one in `wake`: orders the count before the sleeper's next look.
        fence(Ordering::SeqCst);
        Sleeper { list: self, listener }
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
        if listener.discard() {
            // It was woken and does not use that (its process was killed): the next one may.
            self.list.wake(1);
        } else {
            // Saturating: a wake of all may have counted it meanwhile.
            let _ = self
                .list
                .asleep
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |asleep| asleep.checked_sub(1));
        }
    }
}
