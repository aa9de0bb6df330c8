//! Tasks that go before others.
//!
//! The backlog has them in order. What workers have in their queues has left it: where that is of a lower
//! priority than a task that just came, and no worker is idle, it is taken back. So that this is little, a
//! worker has no more at hand than it needs not to wait for the pool once priorities are in use.

use super::State;
use crate::pool::exchange::Action;
use crate::pool::slot::Work;

/// The chunks that a worker has at hand in a pool that knows priorities: the one that it is at, and one.
pub(super) const PRIORITIZED_DEPTH: usize = 2;

impl<W: Work, S: Clone> State<W, S> {
    /// Takes back what would be done before a chunk of this priority, and should not be.
    pub(super) fn recall_for(&mut self, priority: i32) {
        if self.slots.iter().any(|slot| slot.load(&self.rules, 0) == Some(0)) {
            return;
        }
        for (at, slot) in self.slots.iter().enumerate() {
            let goes_behind = |chunk: &_| lower(chunk, priority);
            if slot.outstanding.iter().skip(1).any(goes_behind) && self.recallable(at) > 0 {
                self.actions.push_back(Action::Recall(at));
            }
        }
    }
}

fn lower<W, S>(chunk: &crate::pool::slot::Chunk<W, S>, priority: i32) -> bool {
    chunk.priority() < priority
}
