//! Tasks that their caller takes back.

use super::State;
use crate::Error;
use crate::pool::exchange::Action;
use crate::pool::slot::{Chunk, Work};
use std::collections::VecDeque;

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
        if self.rules.initializes && slot.answered == 0 { 0 } else { slot.outstanding.len() }
    }

    /// These chunks were taken out of a worker's queue, in this order.
    pub(in crate::pool) fn recalled(&mut self, slot: usize, ids: &[u64]) {
        let slot = &mut self.slots[slot];
        let back: Vec<_> = ids.iter().filter_map(|id| slot.take_back(*id)).collect();
        back.into_iter().rev().for_each(|chunk| self.backlog.push_front(chunk));
    }

    /// Ends the tasks of such a sink that no worker has; whether there were any.
    pub(in crate::pool) fn cancel_waiting(&mut self, is: impl Fn(&S) -> bool) -> bool {
        let all = std::mem::take(&mut self.backlog).into_iter();
        let (those, others) = all.partition(|chunk| is(&chunk.sink));
        self.backlog = others;
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

    fn cancel(&mut self, those: VecDeque<Chunk<W, S>>) -> bool {
        let any = !those.is_empty();
        those.into_iter().for_each(|chunk| self.fail(chunk, Error::Cancelled));
        any
    }
}
