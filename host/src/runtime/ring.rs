//! Shares that take turns: those of the contexts, and in a context those of its trees.
//!
//! That which has used least for its weight goes first. One that had nothing to do for a while
//! counts as if it had used a little less than those that had ([`CREDIT`]): so it is served at
//! once, but does not save up what it did not use.

use super::share::Share;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

/// How much less a share counts as having used than those that were in use while it was not, in
/// nanoseconds: a few of the pieces in which guests run.
pub(super) const CREDIT: u64 = 8_000_000;

/// The shares in use.
#[derive(Default)]
pub(super) struct Ring {
    /// Each once; the one that goes next on top.
    turns: BinaryHeap<Reverse<Turn>>,
    /// What those have used that had a turn lately: the most that one had used then.
    floor: u64,
    /// Turns given so far: shares that have used the same go in this order.
    given: u64,
}

/// A share's turn: what it had used when this was last looked at, and since when it waits.
struct Turn {
    used: u64,
    since: u64,
    share: Arc<Share>,
}

impl Ring {
    /// Adds one that is not in it.
    pub(super) fn enter(&mut self, share: Arc<Share>) {
        share.catch_up(self.floor.saturating_sub(CREDIT));
        self.given += 1;
        self.turns.push(Reverse(Turn { used: share.used(), since: self.given, share }));
    }

    /// The one that goes next.
    pub(super) fn first(&mut self) -> Option<&Arc<Share>> {
        loop {
            let mut turn = self.turns.peek_mut()?;
            // It may have run since it was put here; then it is put where it belongs now.
            let used = turn.0.share.used();
            if used == turn.0.used {
                break;
            }
            turn.0.used = used;
        }
        self.turns.peek().map(|turn| &turn.0.share)
    }

    /// The one that goes next has had its turn; whether it wants another, behind those that have
    /// used the same.
    pub(super) fn had_turn(&mut self, more: bool) {
        let Some(mut turn) = self.turns.peek_mut() else { return };
        self.floor = self.floor.max(turn.0.used);
        self.given += 1;
        if more {
            turn.0.since = self.given;
        } else {
            PeekMut::pop(turn);
        }
    }

    /// One that is not in it has a turn.
    pub(super) fn ran(&mut self, share: &Share) {
        share.catch_up(self.floor.saturating_sub(CREDIT));
        self.floor = self.floor.max(share.used());
    }

    /// Whether one that is not in it has used less than those that had a turn lately.
    pub(super) fn would_be_behind(&self, share: &Share) -> bool {
        share.used() < self.floor
    }

    /// Whether the one that goes next has used less than those that had a turn lately.
    pub(super) fn is_behind(&mut self) -> bool {
        self.first().map(|share| share.used()).is_some_and(|used| used < self.floor)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
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
