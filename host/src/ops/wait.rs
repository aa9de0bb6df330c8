//! Where guests wait.

use crate::blocked::{Server, Told};
use crate::process::HostProcess;
use crate::state::Standing;
use procbox_core::observe::{Awaited, Operation, Waiting};
use procbox_core::{Error, Result, Wait};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Runs a future for a process: for as long as `wait` allows, and until it is interrupted, or is known
/// to wait for ever. Those who watch are told that it waits in this call, on the object of this number.
/// `servers` says who can end the wait.
///
/// # Errors
/// [`Error::TimedOut`], [`Error::Interrupted`], [`Error::Deadlock`], or what the future says.
pub(super) async fn within<T>(
    standing: Standing<'_>,
    wait: Wait,
    (operation, object): (Operation, u64),
    servers: impl Fn() -> Vec<Server>,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    let process = standing.process;
    let waiting = Waiting::begin(|| process.identity.pid, operation, object);
    let alarm = process.runtime.alarm();
    let bounded = bounded(process, wait, future);
    let is_watched = wait == Wait::Forever && alarm.is_on() && !standing.is_bounded;
    let result = if is_watched {
        let answers = process.interrupt.answers();
        let tell = || {
            let (held, carriers) = (standing.held(), standing.carriers());
            Told { servers: servers(), held, carriers, answers }
        };
        process.waiter.until(alarm, Awaited { operation, object }, tell, bounded).await
    } else {
        bounded.await
    };
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
