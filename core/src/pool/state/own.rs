//! Chunks that have a process of their own, in a pool whose processes do many.
//!
//! Such a chunk needs a slot without a process. When it is the next and there is none, an idle worker is
//! told to end; if all are busy nothing more is given out, so that one is idle soon. Its process does that
//! one chunk and ends, and then the slot's next one is the pool's again.

use super::State;
use crate::pool::exchange::Action;
use crate::pool::slot::Work;

impl<W: Work, S: Clone> State<W, S> {
    /// Gives the next chunk to a slot without a process, if it is one that has a process of its own.
    pub(super) fn give_own(&mut self, slot: usize) -> Option<Action<S>> {
        let is_next = self.backlog.first().is_some_and(|chunk| self.rules.needs_own(chunk));
        let chunk = if is_next { self.backlog.pop()? } else { return None };
        let id = chunk.id;
        self.slots[slot].give_own(chunk, &self.rules);
        Some(Action::Give { slot, chunk: id })
    }

    /// Sees to it that there will be a slot without a process.
    pub(super) fn make_room(&mut self) -> Option<Action<S>> {
        if self.slots.iter().any(|slot| slot.retires) {
            return None;
        }
        // Rather one that has answered: another may be at its initializer still, and be slow to end.
        let idle = self.slots.iter().enumerate().filter(|(_, slot)| slot.may_retire(&self.rules));
        let (slot, _) = idle.min_by_key(|(_, slot)| slot.answered == 0)?;
        self.slots[slot].retire(&self.rules);
        Some(Action::Retire(slot))
    }

    /// The process in this slot has nothing to do, and was made for something else than all others.
    pub(super) fn retire(&mut self, slot: usize) {
        self.slots[slot].retire(&self.rules);
        self.actions.push_back(Action::Retire(slot));
    }
}
