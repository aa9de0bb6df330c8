//! Waits that last: the list, in shared memory, of the threads that sleep in a call without a bound.
//!
//! Nobody is on it in the first moments of a wait, so that waits that end soon cost nothing. Who has
//! waited longer takes an entry, says what it waits for, and has somebody look whether it is one of a
//! circle (see `deadlock`): at once, and a few times later. While it sleeps the entry's *turn* is odd.
//! It is even again before the thread touches what it has waited for, so that one whose turn is odd has
//! done nothing since, whether it has been woken or not.
//!
//! Who finds a circle writes the turn of each of its waits into the entry as a verdict, and wakes them.
//! The entries of a dead process are freed by its recovery.

use super::Arena;
use super::layout::{MOST_WAITS, WAITS, WaitEntry};
use crate::sync::futex::{self, now};
use crate::sync::interrupted;
use crate::sync::robust::FIRST;
use crate::sync::thread;
use procbox_core::observe::{Deadlocks, Operation};
use procbox_core::time::{Deadline, SystemClock};
use procbox_core::{Error, Result, Wait};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Pauses between looks from then on; after the last there are none until it is woken.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_millis(600), Duration::from_millis(1500)];

/// The calls that are on the list, by their numbers there.
const OPERATIONS: [Operation; 7] = [
    Operation::LockAcquire,
    Operation::SemaphoreAcquire,
    Operation::EventWait,
    Operation::QueueGet,
    Operation::QueuePut,
    Operation::Join,
    Operation::LedgerWait,
];

/// One who may wait long.
pub(crate) struct Patient<'a> {
    arena: &'a Arena,
    is_watched: bool,
    awaits: Awaits,
    listed: Option<Listed<'a>>,
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awaits {
    pub(crate) operation: Operation,
    /// The object by whose handle; for a join, the slot of the process.
    pub(crate) object: u64,
    /// For a put the bytes, for an event its word when the wait began, for a
    /// ledger the bell and how often it had been rung, for a join the pid.
    pub(crate) detail: u64,
}

impl<'a> Patient<'a> {
    #[inline]
    pub(crate) fn new(arena: &'a Arena, wait: Wait, awaits: Awaits) -> Patient<'a> {
        Patient { arena, is_watched: wait == Wait::Forever, awaits, listed: None }
    }

    /// One whose first moments are over.
    pub(crate) fn long(arena: &'a Arena, awaits: Awaits) -> Patient<'a> {
        Patient { arena, is_watched: true, awaits, listed: Listed::new(arena, awaits) }
    }

    /// Like [`Arena::block`].
    ///
    /// # Errors
    /// Those of [`Arena::block`], and [`Error::Deadlock`].
    pub(crate) fn block(&mut self, word: (&AtomicU32, u32), until: Deadline) -> Result<()> {
        let arena = self.arena;
        self.sleep(until, Duration::MAX, |verdict, until| match verdict {
            None => arena.block(&[word], until),
            Some(verdict) => arena.block(&[word, verdict], until),
        })
    }

    /// Sleeps by `sleep`, which fails with [`Error::TimedOut`] at the deadline that it is given, and
    /// returns when there may be what is waited for, and when the word of the verdict has changed if it is
    /// given one; if it does not watch that, it is called again after `most`.
    ///
    /// # Errors
    /// Those of `sleep`, and [`Error::Deadlock`].
    pub(crate) fn sleep<T>(
        &mut self,
        until: Deadline,
        most: Duration,
        mut sleep: impl FnMut(Option<(&AtomicU32, u32)>, Deadline) -> Result<T>,
    ) -> Result<T> {
        let after = |pause: Duration| Wait::AtMost(pause).deadline(&SystemClock);
        if !self.is_watched {
            return sleep(None, until);
        }
        if self.listed.is_none() {
            match sleep(None, until.min(after(FIRST))) {
                Err(Error::TimedOut) => self.listed = Listed::new(self.arena, self.awaits),
                other => return other,
            }
        }
        let Some(listed) = &self.listed else {
            self.is_watched = false;
            return sleep(None, until);
        };
        let asleep = listed.fall_asleep();
        let mut pauses = PAUSES.into_iter();
        let mut due = after(Duration::ZERO);
        loop {
            if due.is_past(&SystemClock) {
                (self.arena.above.look_for_deadlock)(self.arena, listed.index);
                due = pauses.next().map_or(Wait::Forever.deadline(&SystemClock), after);
            }
            if asleep.is_condemned() {
                return Err(Error::Deadlock);
            }
            match sleep(Some(asleep.verdict), due.min(until).min(after(most))) {
                Err(Error::TimedOut) => {}
                // What is there by now is there because others of the circle have given up.
                _ if asleep.is_condemned() => return Err(Error::Deadlock),
                other => return other,
            }
        }
    }
}

/// An entry of this thread's.
struct Listed<'a> {
    arena: &'a Arena,
    index: u32,
}

impl<'a> Listed<'a> {
    /// `None` if there is none, or nobody wants to know.
    fn new(arena: &'a Arena, awaits: Awaits) -> Option<Listed<'a>> {
        if arena.deadlocks() == Deadlocks::Ignore {
            return None;
        }
        let me = u64::from(arena.me()) << 32 | u64::from(thread::my_id());
        let is_mine = |index: &u32| {
            let owner = &arena.wait_entry(*index).owner;
            owner.compare_exchange(0, me, Ordering::SeqCst, Ordering::Relaxed).is_ok()
        };
        let index = (0..MOST_WAITS as u32).find(is_mine)?;
        arena.header().waits.fetch_max(u64::from(index) + 1, Ordering::SeqCst);
        let entry = arena.wait_entry(index);
        let operation = OPERATIONS.iter().position(|it| *it == awaits.operation);
        entry.operation.store(operation.map_or(u32::MAX, |at| at as u32), Ordering::Relaxed);
        entry.object.store(awaits.object, Ordering::Relaxed);
        entry.detail.store(awaits.detail, Ordering::Relaxed);
        entry.answers.store(interrupted::watched().is_some().into(), Ordering::Relaxed);
        Some(Listed { arena, index })
    }

    fn fall_asleep(&self) -> Asleep<'_> {
        let entry = self.arena.wait_entry(self.index);
        entry.began.store(now().saturating_sub(FIRST).as_nanos() as u64, Ordering::Relaxed);
        let verdict = entry.verdict.load(Ordering::SeqCst);
        let turn = entry.turn.fetch_add(1, Ordering::SeqCst) + 1;
        self.arena.slot(self.arena.me()).blocked.fetch_add(1, Ordering::SeqCst);
        Asleep { listed: self, turn, verdict: (&entry.verdict, verdict) }
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.arena.wait_entry(self.index).owner.store(0, Ordering::SeqCst);
    }
}

/// A thread that sleeps until this is dropped.
struct Asleep<'a> {
    listed: &'a Listed<'a>,
    turn: u64,
    verdict: (&'a AtomicU32, u32),
}

impl Asleep<'_> {
    fn is_condemned(&self) -> bool {
        self.verdict.0.load(Ordering::SeqCst) == self.turn as u32
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        let Listed { arena, index } = self.listed;
        arena.wait_entry(*index).turn.fetch_add(1, Ordering::SeqCst);
        arena.slot(arena.me()).blocked.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One who sleeps, as others see it.
#[derive(Clone, Copy)]
pub(crate) struct Sleeper {
    pub(crate) index: u32,
    pub(crate) slot: u32,
    pub(crate) tid: u32,
    pub(crate) turn: u64,
    pub(crate) awaits: Awaits,
    /// Ctrl-C ends the wait.
    pub(crate) answers: bool,
    pub(crate) since: Duration,
}

impl Arena {
    fn wait_entry(&self, index: u32) -> &WaitEntry {
        self.at(WAITS + u64::from(index).min(MOST_WAITS - 1) * size_of::<WaitEntry>() as u64)
    }

    /// What becomes of deadlocks.
    pub(crate) fn deadlocks(&self) -> Deadlocks {
        match self.header().deadlocks.load(Ordering::Relaxed) {
            0 => Deadlocks::Fail,
            1 => Deadlocks::Report,
            _ => Deadlocks::Ignore,
        }
    }

    /// Says what becomes of deadlocks.
    pub(crate) fn set_deadlocks(&self, policy: Deadlocks) {
        let number = match policy {
            Deadlocks::Fail => 0,
            Deadlocks::Report => 1,
            _ => 2,
        };
        self.header().deadlocks.store(number, Ordering::Relaxed);
    }

    /// The one who sleeps by this entry, if one does.
    pub(crate) fn sleeper(&self, index: u32) -> Option<Sleeper> {
        let entry = self.wait_entry(index);
        let turn = entry.turn.load(Ordering::SeqCst);
        let owner = entry.owner.load(Ordering::SeqCst);
        if turn.is_multiple_of(2) || owner == 0 {
            return None;
        }
        let operation = entry.operation.load(Ordering::Relaxed) as usize;
        let awaits = Awaits {
            operation: *OPERATIONS.get(operation)?,
            object: entry.object.load(Ordering::Relaxed),
            detail: entry.detail.load(Ordering::Relaxed),
        };
        let began = Duration::from_nanos(entry.began.load(Ordering::Relaxed));
        let sleeper = Sleeper {
            index,
            slot: (owner >> 32) as u32,
            tid: owner as u32,
            turn,
            awaits,
            answers: entry.answers.load(Ordering::Relaxed) != 0,
            since: now().saturating_sub(began),
        };
        self.still_sleeps(&sleeper).then_some(sleeper)
    }

    /// All who sleep.
    pub(crate) fn sleepers(&self) -> Vec<Sleeper> {
        let listed = self.header().waits.load(Ordering::SeqCst).min(MOST_WAITS) as u32;
        (0..listed).filter_map(|index| self.sleeper(index)).collect()
    }

    /// True if it has not been awake since it was seen.
    pub(crate) fn still_sleeps(&self, sleeper: &Sleeper) -> bool {
        let entry = self.wait_entry(sleeper.index);
        entry.turn.load(Ordering::SeqCst) == sleeper.turn
            && entry.owner.load(Ordering::SeqCst)
                == u64::from(sleeper.slot) << 32 | u64::from(sleeper.tid)
    }

    /// Notes that those who watch are told of a wait; whether that is news.
    pub(crate) fn tell_of(&self, sleeper: &Sleeper) -> bool {
        let told = &self.wait_entry(sleeper.index).told;
        told.swap(sleeper.turn as u32, Ordering::SeqCst) != sleeper.turn as u32
    }

    /// Has a wait end with [`Error::Deadlock`].
    pub(crate) fn condemn(&self, sleeper: &Sleeper) {
        let entry = self.wait_entry(sleeper.index);
        entry.verdict.store(sleeper.turn as u32, Ordering::SeqCst);
        futex::wake_all(&entry.verdict);
    }

    /// Frees the entries of a dead process.
    pub(crate) fn forget_waits(&self, slot: u32) {
        let listed = self.header().waits.load(Ordering::SeqCst).min(MOST_WAITS) as u32;
        for entry in (0..listed).map(|index| self.wait_entry(index)) {
            let owner = entry.owner.load(Ordering::SeqCst);
            if owner != 0 && (owner >> 32) as u32 == slot {
                // Even again, and another than any that was.
                let turn = entry.turn.load(Ordering::SeqCst);
                entry.turn.store(turn + turn % 2, Ordering::SeqCst);
                entry.owner.store(0, Ordering::SeqCst);
            }
        }
        self.slot(slot).blocked.store(0, Ordering::SeqCst);
    }
}
