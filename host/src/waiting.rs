//! The one way in which everything here waits: try, listen, try again, sleep.

use crate::executor::Executor;
use event_listener::Event;
use procbox_core::{Deadline, Error, Result, Wait};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// Tries until `attempt` has an answer, sleeping on `event` in between.
///
/// Listening before the second try closes the window in which a notification could be missed. A
/// listener that is dropped after it was notified (its process was killed) passes that on.
pub(crate) async fn until<T>(event: &Event, mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(answer) = attempt() {
            return answer;
        }
        let listener = event.listen();
        if let Some(answer) = attempt() {
            return answer;
        }
        listener.await;
    }
}

/// Runs a future for as long as `deadline` allows. For guests; threads use [`block`].
pub(crate) async fn within<T>(
    executor: &Arc<Executor>,
    deadline: Deadline,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    if deadline.instant().is_none() {
        return future.await;
    }
    let mut future = pin!(future);
    let mut sleep = pin!(executor.sleep_until(deadline));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| Err(Error::TimedOut)),
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
