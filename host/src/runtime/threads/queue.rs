//! The run queue: which of the tasks that can go on does so next.
//!
//! It has three levels:
//!
//! 1. tasks of processes that are to end come first: ending takes little time, and gives much back;
//! 2. trees take turns: that which has used least of its share goes first. One that had nothing to
//!    do for a while counts as if it had used a little less than those that had ([`CREDIT`]), so it
//!    is served at once, but does not save up what it did not use;
//! 3. in a tree, first in, first out.

use super::super::scheduler::Runnable;
use super::super::share::{Seat, Share};
use crate::sync::lock;
use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// How much less a tree counts as having used than those that ran while it had nothing to do, in
/// nanoseconds: a few of the pieces in which guests run.
const CREDIT: u64 = 8_000_000;

/// The tasks that can go on.
#[derive(Default)]
pub(super) struct Queue {
    /// How many there are, for those who only look.
    len: AtomicUsize,
    turns: Mutex<Turns>,
}

#[derive(Default)]
struct Turns {
    /// Of processes that are to end.
    doomed: VecDeque<Runnable>,
    /// Trees that have tasks in their lanes, each once: the one that goes next on top.
    trees: BinaryHeap<Reverse<Turn>>,
    /// What trees have used that ran lately: the most that one had when it was chosen.
    floor: u64,
    /// Turns given so far: trees that have used the same go in this order.
    given: u64,
}

/// A tree's turn: what it had used when this was last looked at, and since when it waits.
struct Turn {
    used: u64,
    since: u64,
    share: Arc<Share>,
}

impl Turn {
    fn key(&self) -> (u64, u64) {
        (self.used, self.since)
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Turn) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Turn {}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Turn) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Turn {
    fn cmp(&self, other: &Turn) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        // SeqCst: see `pacer::rest`.
        self.len.load(Ordering::SeqCst)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn push(&self, task: Runnable) {
        let mut turns = lock(&self.turns);
        turns.push(task);
        self.count(|len| len + 1);
    }

    pub(super) fn pop(&self) -> Option<Runnable> {
        let mut turns = lock(&self.turns);
        let task = turns.pop()?;
        self.count(|len| len - 1);
        Some(task)
    }

    /// Puts a process's task, if it is here, before those of processes that are not to end, and each
    /// time that it comes here from now on.
    pub(super) fn hasten(&self, seat: &Seat) {
        let mut turns = lock(&self.turns);
        seat.doom();
        let Some(place) = seat.leave() else { return };
        let task = lock(&seat.share.lane).take(place);
        turns.doomed.extend(task);
    }

    /// Whether the next task should not have to wait until a guest gives its thread back by itself:
    /// its process is to end, or its tree has used less than those that ran lately.
    pub(super) fn is_urgent(&self) -> bool {
        !self.is_empty() && lock(&self.turns).is_urgent()
    }

    /// Changes the count. To be called with the lock held.
    fn count(&self, change: impl Fn(usize) -> usize) {
        self.len.store(change(self.len.load(Ordering::Relaxed)), Ordering::SeqCst);
    }
}

impl Turns {
    fn push(&mut self, task: Runnable) {
        if task.metadata().is_doomed() {
            self.doomed.push_back(task);
            return;
        }
        let share = task.metadata().share.clone();
        let mut lane = lock(&share.lane);
        lane.push(task);
        if !std::mem::replace(&mut lane.has_turn, true) {
            drop(lane);
            share.catch_up(self.floor.saturating_sub(CREDIT));
            self.given += 1;
            self.trees.push(Reverse(Turn { used: share.used(), since: self.given, share }));
        }
    }

    fn pop(&mut self) -> Option<Runnable> {
        if let Some(task) = self.doomed.pop_front() {
            return Some(task);
        }
        let (used, given) = (self.first()?, self.given + 1);
        let mut turn = self.trees.peek_mut()?;
        let share = turn.0.share.clone();
        let mut lane = lock(&share.lane);
        let task = lane.pop();
        lane.has_turn = !lane.is_empty();
        if lane.has_turn {
            // Behind those that have used the same.
            turn.0.since = given;
        } else {
            PeekMut::pop(turn);
        }
        (self.floor, self.given) = (self.floor.max(used), given);
        task
    }

    fn is_urgent(&mut self) -> bool {
        !self.doomed.is_empty() || self.first().is_some_and(|used| used < self.floor)
    }

    /// Brings the tree that goes next to the top; what it has used.
    fn first(&mut self) -> Option<u64> {
        loop {
            let mut turn = self.trees.peek_mut()?;
            if lock(&turn.0.share.lane).is_empty() {
                // Its tasks were hastened away.
                lock(&turn.0.share.lane).has_turn = false;
                PeekMut::pop(turn);
                continue;
            }
            // It may have run since it was put here; then it is put where it belongs now.
            let used = turn.0.share.used();
            if used == turn.0.used {
                return Some(used);
            }
            turn.0.used = used;
        }
    }
}

#[cfg(test)]
mod tests;
