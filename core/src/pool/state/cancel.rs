//! Tasks that their caller takes back.

use super::State;
use crate::Error;
use crate::pool::exchange::Action;
use crate::pool::slot::{Chunk, Work};

impl<W: Work, S: Clone> State<W, S> {
    /// The slots whose workers have tasks of such a sink.
    pub(in crate::pool) fn slots_of(&self, is: impl Fn(&S) -> bool) -> Vec<usize> {
        let slots = self.slots.iter().enumerate();
        let those = slots.filter(|(_, slot)| slot.outstanding.iter().any(|chunk| is(&chunk.sink)));
        those.map(|(at, _)| at).collect()
    }

    /// The number of chunks that may be in the queue of the worker in this slot, and can be taken out.
    pub(in crate::pool) fn recallable(&self, slot: usize) -> usize {
        let slot = &self.slots[slot];
        // A process that is there for one chunk would be of no use without it.
        let keeps = slot.own || self.rules.initializes && slot.answered == 0;
        if keeps { 0 } else { slot.outstanding.len() }
    }

    /// These chunks were taken out of a worker's queue, in this order.
    pub(in crate::pool) fn recalled(&mut self, slot: usize, ids: &[u64]) {
        let slot = &mut self.slots[slot];
        let back: Vec<_> = ids.iter().filter_map(|id| slot.take_back(*id, &self.rules)).collect();
        back.into_iter().rev().for_each(|chunk| self.backlog.put_back(chunk));
    }

    /// Ends the tasks of such a sink that no worker has; whether there were any.
    pub(in crate::pool) fn cancel_waiting(&mut self, is: impl Fn(&S) -> bool) -> bool {
        let those = self.backlog.take_out(|chunk| is(&chunk.sink));
        self.cancel(those)
    }

    /// Ends the tasks of such a sink that the worker in this slot is at, and it; whether there were any.
    pub(in crate::pool) fn cancel_begun(&mut self, at: usize, is: impl Fn(&S) -> bool) -> bool {
        let those = self.slots[at].cancel(is);
        if !those.is_empty() {
            self.actions.push_back(Action::Kill(at));
        }
        self.cancel(those)
    }

    fn cancel(&mut self, those: impl IntoIterator<Item = Chunk<W, S>>) -> bool {
        those.into_iter().map(|chunk| self.fail(chunk, Error::Cancelled)).count() > 0
    }
}
