//! Those who wait for one object, oldest first.

use super::Wakes;
use crate::arena::held::Held;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Weak;
use std::task::Waker;

/// Those who wait for one object.
pub(super) struct Group {
    pub(super) thing: Thing,
    wakes: Wakes,
    /// Those who have not been woken, by the numbers of their watches.
    pub(super) waiting: BTreeMap<u64, Waker>,
    /// The watches of those who have been woken, one at a time, and have not said what became of it.
    woken: usize,
    /// The numbers of those who were woken and found nothing: they watch again, and keep their places.
    kept: BTreeSet<u64>,
}

/// What is watched.
pub(super) enum Thing {
    /// A signal, whose value was this.
    Signal { seen: u32 },
    Lock {
        held: Weak<Held>,
        /// The thread that sleeps for it.
        thread: usize,
    },
}

/// The end of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It found what it waited for.
    Found,
    /// It tried, and found nothing.
    InVain,
    /// It does not wait any more.
    Left,
}

impl End {
    /// That of one that has tried. A wake that it had not had before the try was not for it: if the try was in
    /// vain, and one has come since, it is another's.
    pub(super) fn of_try(found: bool, had_wake: bool) -> End {
        match (found, had_wake) {
            (true, _) => End::Found,
            (false, true) => End::InVain,
            (false, false) => End::Left,
        }
    }
}

impl Group {
    pub(super) fn new(thing: Thing, wakes: Wakes) -> Group {
        Group { thing, wakes, waiting: BTreeMap::new(), woken: 0, kept: BTreeSet::new() }
    }

    /// One more, by a new number, or by that of one who tried in vain: where everybody who finds something
    /// wakes the next, some would otherwise be woken in vain each time, and be last each time. It says
    /// which.
    pub(super) fn enlist(&mut self, new: u64, waker: Waker) -> u64 {
        let number = self.kept.pop_first().unwrap_or(new);
        self.waiting.insert(number, waker);
        number
    }

    /// Takes off those who are to be woken for a change.
    pub(super) fn wake(&mut self, due: &mut Vec<Waker>) {
        match self.wakes {
            Wakes::One => due.extend(self.wake_next()),
            Wakes::All => due.extend(std::mem::take(&mut self.waiting).into_values()),
        }
    }

    fn wake_next(&mut self) -> Option<Waker> {
        let (_, waker) = self.waiting.pop_first()?;
        self.woken += 1;
        Some(waker)
    }

    /// True if somebody was woken and has not said what became of it.
    pub(super) fn is_answer_due(&self) -> bool {
        self.woken > 0
    }

    /// Takes a watch off: its waker, if it was not woken, and that of whoever is to be woken in its place.
    pub(super) fn end(&mut self, number: u64, end: End) -> (Option<Waker>, Option<Waker>) {
        let gone = self.waiting.remove(&number);
        if gone.is_some() || self.wakes == Wakes::All {
            return (gone, None);
        }
        self.woken = self.woken.saturating_sub(1);
        if end == End::InVain {
            // Its try was after the group had been announced again: for what has come since, there is a wake.
            self.kept.insert(number);
            return (None, None);
        }
        (None, self.wake_next())
    }

    /// True if nobody is in it.
    pub(super) fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.woken == 0
    }
}
