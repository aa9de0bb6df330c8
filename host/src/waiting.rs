//! The one way in which everything here waits: try, listen, try again, sleep.

use crate::ctrl_c;
use crate::runtime::Runtime;
use crate::wait_list::WaitList;
use crossbeam::utils::Backoff;
use procbox_core::observe::{Operation, Waiting};
use procbox_core::{Error, Result, Wait};
use std::future::Future;
use std::sync::Arc;

/// Rounds of spinning before a wait sleeps, each twice as long: a few microseconds in all, less than
/// it takes to suspend and resume two processes that hand each other messages.
const SPINS: u32 = 7;

/// Tries until `attempt` has an answer, sleeping on `list` in between.
///
/// Joining the list before the last try closes the window in which a wake could be missed.
pub(crate) async fn until<T>(
    runtime: &Runtime,
    list: &WaitList,
    mut attempt: impl FnMut() -> Option<T>,
) -> T {
    loop {
        if let Some(answer) = attempt() {
            return answer;
        }
        // Spinning is of use only if whoever has the answer runs at the same time.
        if runtime.others_run() {
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

/// The embedding program's number among the processes of a sandbox.
pub(crate) const OWN_PID: u32 = 1;

/// A number for an object, for those who watch: it is the object's as long as it lives.
pub(crate) fn number<T>(object: &T) -> u64 {
    std::ptr::from_ref(object).addr() as u64
}

/// Waits on the calling thread, in this call on the object of this number. `attempt` is the form that does not wait, tried first.
pub(crate) fn block<T, F: Future<Output = Result<T>>>(
    runtime: &Arc<Runtime>,
    wait: Wait,
    (operation, object): (Operation, u64),
    attempt: impl FnOnce() -> Option<Result<T>>,
    future: impl FnOnce() -> F,
) -> Result<T> {
    runtime.called();
    if let Some(answer) = attempt() {
        return answer;
    }
    if wait.is_never() {
        return Err(Error::TimedOut);
    }
    let waiting = Waiting::begin(|| OWN_PID, operation, object);
    let deadline = wait.deadline(&**runtime.clock());
    let answer = runtime.block_on(future(), deadline, ctrl_c::answers());
    waiting.end(answer.is_ok());
    answer
}
