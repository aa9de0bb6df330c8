//! Watches: wakers of this process, each of which is woken when an object of the arena changes.
//!
//! One thread sleeps for all of them. It is started by the first watch, and sleeps on the word that the
//! arena's signals share; when that changes, it looks which signals were told (see `sync::signal`), and
//! wakes those who wait for these. So a watch costs an entry in a table and a flag in the arena, and no
//! system call. All who wait for one object share an entry, and where one alone can have what has come,
//! one is woken; it wakes the next when it has found something, or goes without having tried.
//!
//! Locks have no signal, for their release is to cost nothing: the thread sleeps on the words of those
//! that are watched too, as one of their waiters. The kernel takes some hundred words; beyond these there
//! is another thread for every [`MOST_LOCKS`] locks.
//!
//! A process that is killed between its change and the wake is made up for by its recovery, which changes
//! the shared word and wakes those who sleep for locks.
//!
//! The thread keeps neither arena nor object: it has the page of the shared word mapped for itself, and of
//! the locks it lets go when nobody watches them. It ends with the arena.

mod group;
mod thread;

use super::Arena;
use super::held::Held;
use crate::signals;
use crate::sync::futex;
use crate::sync::robust::RobustLock;
use crate::sync::signal::Signal;
use crate::sync::wakers;
use crate::syscalls;
use group::{End, Group, Thing};
use procbox_core::Result;
use procbox_core::raw::{Place, Watch};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

/// The most locks that one thread watches: with the shared word, the news and the parent's death they are
/// fewer than the 128 words that the kernel takes.
const MOST_LOCKS: usize = 120;

/// Those who are woken for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wakes {
    /// One: it is for one alone, and who has found something wakes the next.
    One,
    /// All: it is for all, or the next may need another than the first.
    All,
}

/// The watches of an arena, which end with it.
pub(crate) struct Watches(Arc<Reactor>);

/// What the threads and those who watch have in common.
struct Reactor {
    arena: Weak<Arena>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The process whose threads these are: one that was forked has none.
    pid: u32,
    ending: bool,
    /// The number of the next watch.
    next: u64,
    /// By the offset of their signal or lock. None is empty.
    groups: HashMap<u64, Group>,
    threads: Vec<Arc<Thread>>,
}

/// A thread, as others reach it.
#[derive(Default)]
struct Thread {
    /// Bumped when there is a lock more or less, or the thread is to end.
    news: AtomicU32,
}

impl Thread {
    fn nudge(&self) {
        self.news.fetch_add(1, Ordering::SeqCst);
        futex::wake_all(&self.news);
    }
}

impl Watches {
    pub(super) fn new(arena: Weak<Arena>) -> Watches {
        Watches(Arc::new(Reactor { arena, state: Mutex::default() }))
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.ending = true;
        state.threads.iter().for_each(|thread| thread.nudge());
    }
}

impl Held {
    /// Has a waker woken when this signal of the object is told of a change. Who looks after this, and finds
    /// nothing, is woken.
    ///
    /// # Errors
    /// [`procbox_core::Error::Os`] if there can be no thread.
    pub(crate) fn watch(
        self: &Arc<Held>,
        signal: &Signal,
        wakes: Wakes,
        waker: &Waker,
    ) -> Result<Watch> {
        let reactor = &self.arena.watches.0;
        let offset = self.arena.offset_of(signal);
        let waker = waker.clone();
        let mut state = reactor.state();
        reactor.prepare(&mut state, 0)?;
        let group = state.groups.entry(offset);
        let group = group.or_insert_with(|| Group::new(Thing::Signal { seen: 0 }, wakes));
        // One whose change has come already, and was not seen to yet, keeps what it has seen.
        let value = signal.announce_watched();
        if let Thing::Signal { seen } = &mut group.thing
            && group.waiting.is_empty()
        {
            *seen = value;
        }
        let watch = reactor.enlist(&mut state, self, offset, waker);
        // What is to be looked at from time to time, if the parent has died, is so only while there are some.
        if signals::parent_died() {
            state.threads.iter().for_each(|thread| thread.nudge());
        }
        Ok(watch)
    }

    /// Has a waker woken when this lock of the object may be free. Who tries after this in vain is woken.
    ///
    /// # Errors
    /// [`procbox_core::Error::Os`] if there can be no thread.
    pub(crate) fn watch_lock(self: &Arc<Held>, lock: &RobustLock, waker: &Waker) -> Result<Watch> {
        let reactor = &self.arena.watches.0;
        let offset = self.arena.offset_of(lock);
        let waker = waker.clone();
        let mut state = reactor.state();
        let thread = match state.groups.get(&offset) {
            Some(Group { thing: Thing::Lock { thread, .. }, .. }) => *thread,
            _ => state.thread_with_room(),
        };
        reactor.prepare(&mut state, thread)?;
        let thing = || Thing::Lock { held: Arc::downgrade(self), thread };
        state.groups.entry(offset).or_insert_with(|| Group::new(thing(), Wakes::One));
        let watch = reactor.enlist(&mut state, self, offset, waker);
        state.nudge(thread);
        Ok(watch)
    }
}

impl Reactor {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that there is a thread of this number, which is at most one more than there are.
    fn prepare(self: &Arc<Reactor>, state: &mut State, thread: usize) -> Result<()> {
        let pid = syscalls::pid();
        if state.pid != pid {
            // Forked: what the parent's threads watch, its threads watch. Its wakers are not for this process
            // to drop, and its numbers are not given again.
            let next = state.next;
            std::mem::forget(std::mem::replace(state, State { pid, next, ..State::default() }));
        }
        // Of the first, the others have nothing: but it is there.
        while state.threads.len() <= thread {
            let thread = thread::start(self, state.threads.len())?;
            state.threads.push(thread);
        }
        Ok(())
    }

    fn enlist(
        self: &Arc<Reactor>,
        state: &mut State,
        held: &Arc<Held>,
        offset: u64,
        waker: Waker,
    ) -> Watch {
        state.next += 1;
        let mut number = state.next;
        if let Some(group) = state.groups.get_mut(&offset) {
            number = group.enlist(number, waker);
        }
        Watch::of(Listed {
            reactor: self.clone(),
            pid: state.pid,
            offset,
            number,
            _held: held.clone(),
            end: End::Left,
            had_wake: true,
        })
    }
}

impl State {
    /// The first thread that can watch one lock more.
    fn thread_with_room(&self) -> usize {
        let mut locks = vec![0; self.threads.len()];
        for group in self.groups.values() {
            if let Thing::Lock { thread, .. } = group.thing {
                locks[thread] += 1;
            }
        }
        locks.iter().position(|locks| *locks < MOST_LOCKS).unwrap_or(locks.len())
    }

    fn nudge(&self, thread: usize) {
        self.threads.get(thread).into_iter().for_each(|thread| thread.nudge());
    }
}

/// A watch.
struct Listed {
    reactor: Arc<Reactor>,
    /// The process that it was made in.
    pid: u32,
    offset: u64,
    number: u64,
    /// While there is a watch, the object is where it is.
    _held: Arc<Held>,
    end: End,
    /// Whether it had its wake when it was about to try; true also if it did not say that it was.
    had_wake: bool,
}

impl Place for Listed {
    fn about_to_try(&mut self) {
        if self.pid != syscalls::pid() {
            return;
        }
        let state = self.reactor.state();
        let group = state.groups.get(&self.offset);
        self.had_wake = group.is_none_or(|group| !group.waiting.contains_key(&self.number));
    }

    fn tried(mut self: Box<Self>, found: bool) {
        self.end = End::of_try(found, self.had_wake);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if self.pid != syscalls::pid() {
            // Forked: the table, if this process has one, is its own.
            return;
        }
        let mut state = self.reactor.state();
        let Some(group) = state.groups.get_mut(&self.offset) else { return };
        // Its own waker is dropped when the table is free: what that does is up to the embedding program.
        let (gone, next) = group.end(self.number, self.end);
        let is_over = group.is_over();
        // A thread lets go of a lock, or looks whether it is held again.
        let news = match group.thing {
            Thing::Lock { thread, .. } if is_over || self.end == End::InVain => Some(thread),
            _ => None,
        };
        if is_over {
            state.groups.remove(&self.offset);
        }
        news.into_iter().for_each(|thread| state.nudge(thread));
        drop(state);
        drop(gone);
        next.into_iter().for_each(wakers::wake);
    }
}

#[cfg(test)]
mod tests;
