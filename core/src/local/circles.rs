//! Circles of waits that nobody can end: threads each of which waits for ever for the next, by a lock that the
//! next one holds, or for its end.
//!
//! Only these two can be ended by one alone. A queue or an event may be served by whatever thread has it, and
//! any may, by a static.
//!
//! Who begins such a wait says so in a table, and then goes from thread to thread, by whom each waits for at
//! that moment. If that leads back to it they are a circle: no other can release those locks, or end those
//! processes. All of them are told, once each.

use crate::sync::lock;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

/// Says which thread alone can end a wait at this moment.
pub(super) type Server = Box<dyn Fn() -> Option<u64> + Send>;

struct Waiter {
    server: Server,
    waker: Waker,
    /// It is in a circle.
    is_doomed: bool,
}

/// The threads that wait for one other without a bound.
static WAITERS: Mutex<Option<HashMap<u64, Waiter>>> = Mutex::new(None);

/// The calling thread's number: no other has it, nor will.
pub(super) fn thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static ME: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    ME.with(|me| *me)
}

/// A wait in the table, until this is dropped.
pub(super) struct Entered(u64);

/// The calling thread waits for one other from now on. If that closes a circle all in it are told.
pub(super) fn enter(server: Server, waker: Waker) -> Entered {
    let me = thread();
    let mut table = lock(&WAITERS);
    let waiters = table.get_or_insert_default();
    waiters.insert(me, Waiter { server, waker, is_doomed: false });
    let circle = circle(waiters, me);
    for thread in &circle {
        if let Some(waiter) = waiters.get_mut(thread) {
            waiter.is_doomed = true;
        }
    }
    let told: Vec<_> =
        circle.iter().filter_map(|thread| Some(waiters.get(thread)?.waker.clone())).collect();
    drop(table);
    told.into_iter().for_each(Waker::wake);
    Entered(me)
}

/// The threads of the circle that a thread is in; none if it is in none.
fn circle(waiters: &HashMap<u64, Waiter>, me: u64) -> Vec<u64> {
    let mut all = vec![me];
    let mut at = me;
    loop {
        let next = waiters.get(&at).filter(|it| !it.is_doomed).and_then(|it| (it.server)());
        match next {
            // Who has what it waited for waits no more.
            Some(next) if next != at => at = next,
            _ => return Vec::new(),
        }
        if at == me {
            return all;
        }
        if all.contains(&at) {
            // It leads to a circle, and is not in it.
            return Vec::new();
        }
        all.push(at);
    }
}

impl Entered {
    pub(super) fn is_doomed(&self) -> bool {
        let table = lock(&WAITERS);
        table.as_ref().and_then(|waiters| waiters.get(&self.0)).is_some_and(|it| it.is_doomed)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut table = lock(&WAITERS);
        let gone = table.as_mut().and_then(|waiters| waiters.remove(&self.0));
        drop(table);
        // Not in the table: what it refers to may go with it.
        drop(gone);
    }
}
