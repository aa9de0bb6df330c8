//! The one way in which everything here waits: try, listen, try again, sleep. And the way in which
//! somebody waits who has no thread for it: a place on the same lists.

use crate::ctrl_c;
use crate::runtime::Runtime;
use crate::wait_list::{WaitList, Watcher};
use crossbeam::utils::Backoff;
use procbox_core::observe::{Awaited, Operation, Waiting};
use procbox_core::raw::{Place, Watch};
use procbox_core::{Error, Result, Wait};
use std::cell::Cell;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::task::Waker;

/// Rounds of spinning before a wait sleeps, each twice as long: a few microseconds in all, less than
/// it takes to suspend and resume two processes that hand each other messages.
const SPINS: u32 = 7;

/// After so many spins in a row that were of no use, a thread spins
const PATIENT: u32 = 16;
/// only every so many waits: those who run are of another tree, or have other things to do.
const SELDOM: u32 = 64;

thread_local! {
    /// Waits of this thread since spinning was last of use.
    static FUTILE: Cell<u32> = const { Cell::new(0) };
}

/// Whether it was lately. Counts the wait as one in which it is not: who finds that it is says so.
fn is_spinning_of_use() -> bool {
    let futile = FUTILE.get();
    FUTILE.set(futile.wrapping_add(1));
    futile < PATIENT || futile.is_multiple_of(SELDOM)
}

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
        if runtime.others_run() && is_spinning_of_use() {
            let backoff = Backoff::new();
            for _ in 0..SPINS {
                backoff.spin();
                if let Some(answer) = attempt() {
                    FUTILE.set(0);
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

/// Tries for a few microseconds, if that was of use lately: for who waits for somebody outside.
pub(crate) fn spin<T>(attempt: &mut impl FnMut() -> Option<T>) -> Option<T> {
    if let Some(answer) = attempt() {
        return Some(answer);
    }
    if is_spinning_of_use() {
        let backoff = Backoff::new();
        for _ in 0..SPINS {
            backoff.spin();
            if let Some(answer) = attempt() {
                FUTILE.set(0);
                return Some(answer);
            }
        }
    }
    None
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

impl<T: Send + Sync, F: Fn(&T) -> &WaitList + Send> Place for Watcher<T, F> {
    fn about_to_try(&mut self) {
        Watcher::about_to_try(self);
    }

    fn tried(self: Box<Self>, _: bool) {
        Watcher::tried(*self);
    }
}

/// A place on a list of an object, for a waker of the embedding program. In a simulation there is none:
/// its processes run in the calls that wait.
pub(crate) fn watch<T: Send + Sync + 'static>(
    runtime: &Runtime,
    of: &Weak<T>,
    list: impl Fn(&T) -> &WaitList + Send + 'static,
    waker: &Waker,
) -> Result<Option<Watch>> {
    let of = of.upgrade().filter(|_| !runtime.clock().is_virtual());
    Ok(of.map(|of| Watch::of(Watcher::new(of, list, waker))))
}

/// The embedding program's number among the processes of a sandbox.
pub(crate) const OWN_PID: u32 = 1;

/// A number for an object, for those who watch: it is the object's as long as it lives.
pub(crate) fn number<T>(object: &T) -> u64 {
    std::ptr::from_ref(object).addr() as u64
}

/// Waits on the calling thread, in this call on the object of this number. `attempt` is the form that
/// does not wait, tried first.
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

/// The same for what is up to one alone: a lock to its holder, the end of a process to that. `me` is
/// the calling thread as a holder of locks, `server` says who it is up to.
///
/// # Errors
/// [`Error::Deadlock`] too.
pub(crate) fn block_on_one<T, F: Future<Output = Result<T>>>(
    runtime: &Arc<Runtime>,
    wait: Wait,
    on: Awaited,
    (me, server): (u64, impl Fn() -> u64),
    attempt: impl FnOnce() -> Option<Result<T>>,
    future: impl FnOnce() -> F,
) -> Result<T> {
    let is_watched = wait == Wait::Forever && runtime.alarm().is_on();
    let of = (on.operation, on.object);
    if !is_watched {
        return block(runtime, wait, of, attempt, future);
    }
    let watched = || runtime.alarm().outside(me, on, server, future());
    block(runtime, wait, of, attempt, watched)
}

#[cfg(test)]
mod tests;
