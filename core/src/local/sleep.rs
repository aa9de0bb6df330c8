//! Sleeping until something changes: each thing has a list of those who wait for it, and whoever changes
//! it wakes all of them.
//!
//! A waiter puts itself into the list, *then* tries, then sleeps; whoever changes the thing does so, *then*
//! empties the list. Both go through the list's mutex, so either the try sees the change or the waiter is
//! woken. All are woken, and not one: nobody has to pass a wake on that it has no use for, whoever leaves,
//! and this backend is for looking at programs, not for their speed.

use super::circles::{self, Entered, Server};
use super::life;
use crate::observe::{Operation, Waiting};
use crate::raw::Watch;
use crate::sync::lock;
use crate::time::{Deadline, SystemClock};
use crate::{Error, Result, Wait};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// Those who wait for one thing.
#[derive(Default)]
pub(super) struct WaitList(Mutex<Waiters>);

#[derive(Default)]
struct Waiters {
    next: u64,
    all: Vec<(u64, Waker)>,
}

impl WaitList {
    pub(super) fn new() -> Arc<WaitList> {
        Arc::default()
    }

    fn enter(self: &Arc<WaitList>, waker: &Waker) -> Place {
        let mut waiters = lock(&self.0);
        let number = waiters.next;
        waiters.next += 1;
        waiters.all.push((number, waker.clone()));
        Place { list: self.clone(), number }
    }

    /// A place in the list until it is dropped, for [`Watch`].
    pub(super) fn watch(self: &Arc<WaitList>, waker: &Waker) -> Watch {
        Watch::new(self.enter(waker))
    }

    /// Has all who wait look again. The caller holds no lock: a waker may do anything.
    pub(super) fn wake(&self) {
        let all = std::mem::take(&mut lock(&self.0).all);
        all.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// A place in a list.
struct Place {
    list: Arc<WaitList>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiters = lock(&self.list.0);
        let at = waiters.all.iter().position(|(number, _)| *number == self.number);
        let waker = at.map(|at| waiters.all.swap_remove(at));
        drop(waiters);
        drop(waker);
    }
}

/// What a thread sleeps in. A wake that comes before the sleep ends it at once.
#[derive(Default)]
pub(super) struct Sleeper {
    woken: Mutex<bool>,
    changed: Condvar,
}

thread_local! {
    static SLEEPER: Arc<Sleeper> = Arc::default();
}

impl Sleeper {
    /// The calling thread's; a new one in the last moments of a thread.
    pub(super) fn of_this_thread() -> Arc<Sleeper> {
        SLEEPER.try_with(Arc::clone).unwrap_or_default()
    }

    fn sleep(&self, until: Deadline) {
        let mut woken = lock(&self.woken);
        while !*woken && !until.is_past(&SystemClock) {
            woken = match until.remaining(&SystemClock) {
                None => self.changed.wait(woken).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let slept = self.changed.wait_timeout(woken, left);
                    slept.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        *woken = false;
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Sleeper>) {
        *lock(&self.woken) = true;
        self.changed.notify_one();
    }
}

/// The number by which a thing is known to those who watch.
pub(super) fn number<T>(thing: &T) -> u64 {
    std::ptr::from_ref(thing).addr() as u64
}

/// Tries until there is an answer, and sleeps in these lists in between; what it waits for is told to those
/// who watch.
///
/// # Errors
/// Those of `attempt`; [`Error::TimedOut`]; [`Error::Interrupted`].
pub(super) fn block<T>(
    wait: Wait,
    on: (Operation, u64),
    lists: &[&Arc<WaitList>],
    attempt: impl FnMut() -> Option<Result<T>>,
) -> Result<T> {
    block_for(wait, on, lists, || None, attempt)
}

/// The same for what one thread alone can end at a time: `server` says which.
///
/// # Errors
/// Those of [`block`]; [`Error::Deadlock`].
pub(super) fn block_on_one<T>(
    wait: Wait,
    on: (Operation, u64),
    list: &Arc<WaitList>,
    server: impl FnOnce() -> Server,
    attempt: impl FnMut() -> Option<Result<T>>,
) -> Result<T> {
    let is_bounded = wait.deadline(&SystemClock).instant().is_some();
    block_for(wait, on, &[list], || (!is_bounded).then(server), attempt)
}

fn block_for<T>(
    wait: Wait,
    on: (Operation, u64),
    lists: &[&Arc<WaitList>],
    server: impl FnOnce() -> Option<Server>,
    mut attempt: impl FnMut() -> Option<Result<T>>,
) -> Result<T> {
    if life::has_exited() || !wait.is_never() && life::is_unwanted() {
        return Err(Error::Interrupted);
    }
    if let Some(done) = attempt() {
        return done;
    }
    if wait.is_never() {
        return Err(Error::TimedOut);
    }
    let until = wait.deadline(&SystemClock);
    let waiting = Waiting::begin(life::pid, on.0, on.1);
    let sleeper = Sleeper::of_this_thread();
    let waker = Waker::from(sleeper.clone());
    let entered = server().map(|server| circles::enter(server, waker.clone()));
    loop {
        let places: Vec<Place> = lists.iter().map(|list| list.enter(&waker)).collect();
        // First: another of the circle may have let go already.
        if entered.as_ref().is_some_and(Entered::is_doomed) {
            return Err(Error::Deadlock);
        }
        if let Some(done) = attempt() {
            waiting.end(done.is_ok());
            return done;
        }
        if life::is_interrupted() {
            return Err(Error::Interrupted);
        }
        if until.is_past(&SystemClock) {
            return Err(Error::TimedOut);
        }
        sleeper.sleep(until);
        drop(places);
    }
}
