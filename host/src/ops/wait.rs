//! Where guests wait.

use crate::process::HostProcess;
use procbox_core::observe::{Operation, Waiting};
use procbox_core::{Error, Result, Wait};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Runs a future for a process: for as long as `wait` allows, and until it is interrupted. Those
/// who watch are told that it waits in this call, on the object of this number.
///
/// # Errors
/// [`Error::TimedOut`], [`Error::Interrupted`], or what the future says.
pub(super) async fn within<T>(
    process: &HostProcess,
    wait: Wait,
    (operation, object): (Operation, u64),
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    let waiting = Waiting::begin(|| process.identity.pid, operation, object);
    let result = bounded(process, wait, future).await;
    waiting.end(result.is_ok());
    result
}

async fn bounded<T>(
    process: &HostProcess,
    wait: Wait,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    let deadline = wait.deadline(&**process.runtime.clock());
    let timed = deadline.instant().is_some();
    let answers = process.interrupt.answers();
    if !timed && !answers {
        return future.await;
    }
    let mut future = pin!(future);
    let mut sleep = pin!(process.runtime.sleep_until(deadline));
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
