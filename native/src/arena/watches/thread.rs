//! A thread that sleeps for those who watch.

use super::group::Thing;
use super::{Reactor, State, Thread};
use crate::arena::Arena;
use crate::arena::held::Held;
use crate::arena::map::Map;
use crate::signals;
use crate::sync::futex;
use crate::sync::robust::RobustLock;
use crate::sync::signal::Signal;
use crate::sync::wakers;
use crate::syscalls::os;
use procbox_core::time::{Deadline, SystemClock};
use procbox_core::{Error, Result, Wait};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

/// Starts the thread of this number.
pub(super) fn start(reactor: &Arc<Reactor>, number: usize) -> Result<Arc<Thread>> {
    let arena = reactor.arena.upgrade().ok_or(Error::Closed)?;
    let head = arena.first_pages()?;
    let (reactor, thread) = (reactor.clone(), Arc::new(Thread::default()));
    let runner = Runner { reactor, head, number, thread: thread.clone() };
    std::thread::Builder::new()
        .name("procbox-reactor".into())
        .spawn(move || while runner.turn() {})
        .map_err(|e| os("thread", e))?;
    Ok(thread)
}

/// What the thread has.
struct Runner {
    reactor: Arc<Reactor>,
    /// The pages of the arena in which the shared word is.
    head: Map,
    number: usize,
    thread: Arc<Thread>,
}

/// What comes of a look.
#[derive(Default)]
struct Look {
    due: Vec<Waker>,
    locks: Vec<Awaited>,
    /// There is something to be looked after, besides: those who died and have nobody else.
    orphans: Option<Deadline>,
    is_told_of_parent: bool,
}

/// A lock to sleep for.
struct Awaited {
    held: Arc<Held>,
    offset: u64,
    expected: u32,
}

impl Awaited {
    fn lock(&self) -> &RobustLock {
        self.held.arena.at(self.offset)
    }

    /// Hands on the wake that this thread may have had: others may sleep for the lock.
    fn hand_on(&self) {
        if self.lock().word().load(Ordering::SeqCst) != self.expected {
            self.lock().wake_one();
        }
    }
}

impl Runner {
    /// Looks, wakes and sleeps once; `false` at the end.
    fn turn(&self) -> bool {
        let news = (&self.thread.news, self.thread.news.load(Ordering::SeqCst));
        // Read before the signals are looked at: what changes after the look changes this.
        let shared = (self.head.shared(), self.head.shared().load(Ordering::SeqCst));
        let arena = self.reactor.arena.upgrade();
        let mut look = Look::default();
        let mut state = self.reactor.state();
        if state.ending {
            return false;
        }
        if let Some(arena) = arena.as_deref() {
            state.look(arena, self.number, &mut look);
        }
        drop(state);
        // Only now: it may be the last.
        drop(arena);
        look.due.drain(..).for_each(wakers::wake);
        let mut words = vec![news];
        words.extend((self.number == 0).then_some(shared));
        words.extend(look.is_told_of_parent.then(|| (signals::parent_word(), 0)));
        words.extend(look.locks.iter().map(|it| (it.lock().word(), it.expected)));
        futex::wait_many(&words, look.orphans.unwrap_or_else(|| Deadline::from(None)));
        look.locks.iter().for_each(Awaited::hand_on);
        if let (true, Some(arena)) = (signals::parent_died(), self.reactor.arena.upgrade()) {
            arena.look_after_orphans();
        }
        true
    }
}

impl State {
    /// What has changed for the thread of this number, and what it is to sleep for.
    fn look(&mut self, arena: &Arena, thread: usize, look: &mut Look) {
        self.groups.retain(|offset, group| {
            let is_answer_due = group.is_answer_due();
            match &mut group.thing {
                Thing::Signal { seen } if thread == 0 && !group.waiting.is_empty() => {
                    let signal: &Signal = arena.at(*offset);
                    if signal.value() != *seen {
                        // Before anybody is woken: who then finds nothing is told of the next change.
                        *seen = signal.announce_watched();
                        group.wake(&mut look.due);
                    }
                }
                Thing::Lock { held, thread: own }
                    if *own == thread && !group.waiting.is_empty() =>
                {
                    let lock: &RobustLock = arena.at(*offset);
                    match (lock.want(), held.upgrade()) {
                        (Some(expected), Some(held)) => {
                            look.locks.push(Awaited { held, offset: *offset, expected });
                        }
                        // One that was woken and has not tried yet says what became of it.
                        _ if is_answer_due => {}
                        _ => group.wake(&mut look.due),
                    }
                }
                _ => {}
            }
            !group.is_over()
        });
        if arena.parent().is_some() && !self.groups.is_empty() && thread == 0 {
            if signals::parent_died() {
                let pause = Wait::AtMost(arena.orphan_check());
                look.orphans = Some(pause.deadline(&SystemClock));
            } else {
                look.is_told_of_parent = true;
            }
        }
    }
}
