//! The one way in which everything here waits: try, listen, try again, sleep.

use crate::executor::Executor;
use crate::process::HostProcess;
use crossbeam::utils::Backoff;
use event_listener::{Event, EventListener, Listener};
use procbox_core::{Deadline, Error, Result, Wait};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
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
        self.asleep.fetch_add(1, Ordering::SeqCst);
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

/// Rounds of spinning before a wait sleeps, each twice as long: a few microseconds in all, less than
/// it takes to suspend and resume two processes that hand each other messages.
const SPINS: u32 = 7;

/// Tries until `attempt` has an answer, sleeping on `list` in between.
///
/// Joining the list before the last try closes the window in which a wake could be missed.
pub(crate) async fn until<T>(
    executor: &Executor,
    list: &WaitList,
    mut attempt: impl FnMut() -> Option<T>,
) -> T {
    loop {
        if let Some(answer) = attempt() {
            return answer;
        }
        // Spinning is of use only if whoever has the answer runs at the same time.
        if executor.others_run() {
            let backoff = Backoff::new();
            for _ in 0..SPINS {
                backoff.spin();
                if let Some(answer) = attempt() {
                    return answer;
                }
            }
        }
        let sleeper = list.listen();
        if let Some(answer) = attempt() {
            return answer;
        }
        sleeper.await;
    }
}

/// [`until`] without the spinning, for what seldom comes.
pub(crate) async fn asleep_until<T>(list: &WaitList, mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        let sleeper = list.listen();
        if let Some(answer) = attempt() {
            return answer;
        }
        sleeper.await;
    }
}

/// Runs a future for a process: for as long as `deadline` allows, and until it is interrupted.
/// For guests; threads use [`block`].
pub(crate) async fn within<T>(
    process: &HostProcess,
    deadline: Deadline,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    let timed = deadline.instant().is_some();
    let answers = process.interrupt.answers();
    if !timed && !answers {
        return future.await;
    }
    let mut future = pin!(future);
    let mut sleep = pin!(process.executor.sleep_until(deadline));
    let mut interrupt = pin!(process.interrupt.raised());
    poll_fn(|cx| {
        if let Poll::Ready(result) = future.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        if answers && let Poll::Ready(interrupted) = interrupt.as_mut().poll(cx) {
            return Poll::Ready(interrupted);
        }
        sleep.as_mut().poll(cx).map(|()| Err(Error::TimedOut))
    })
    .await
}

/// Waits on the calling thread. `attempt` is the form that does not wait, tried first.
pub(crate) fn block<T, F: Future<Output = Result<T>>>(
    executor: &Arc<Executor>,
    wait: Wait,
    attempt: impl FnOnce() -> Option<Result<T>>,
    future: impl FnOnce() -> F,
) -> Result<T> {
    if let Some(answer) = attempt() {
        return answer;
    }
    if wait.is_never() {
        return Err(Error::TimedOut);
    }
    executor.block_on(future(), wait.deadline())
}
