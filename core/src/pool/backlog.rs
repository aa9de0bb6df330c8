//! Chunks that wait for a worker: the highest priority first, and among equals in the order in which
//! their tasks were submitted.

use super::slot::Chunk;
use std::collections::{BTreeMap, VecDeque};

/// The chunks of one priority, by the numbers of their tasks.
type Lane<W, S> = VecDeque<Chunk<W, S>>;

/// Those that wait. Most pools know one priority, whose lane is at hand.
pub(super) struct Backlog<W, S> {
    /// That of priority 0.
    plain: Lane<W, S>,
    /// The others; none is empty.
    others: BTreeMap<i32, Lane<W, S>>,
    len: usize,
}

impl<W, S> Backlog<W, S> {
    pub(super) fn new() -> Backlog<W, S> {
        Backlog { plain: VecDeque::new(), others: BTreeMap::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn lane(&mut self, priority: i32) -> &mut Lane<W, S> {
        if priority == 0 { &mut self.plain } else { self.others.entry(priority).or_default() }
    }

    /// A chunk whose tasks were just submitted.
    pub(super) fn push(&mut self, chunk: Chunk<W, S>) {
        self.len += 1;
        self.lane(chunk.priority()).push_back(chunk);
    }

    /// A chunk that was given out before, or a part of one: to where it would be if it had not been.
    pub(super) fn put_back(&mut self, chunk: Chunk<W, S>) {
        self.len += 1;
        let lane = self.lane(chunk.priority());
        // It is among the first: those behind were submitted later.
        let at = lane.iter().position(|other| other.first > chunk.first).unwrap_or(lane.len());
        lane.insert(at, chunk);
    }

    /// The priority of the chunk that is next, unless that is 0 for all.
    fn highest(&self) -> Option<i32> {
        let (highest, _) = self.others.last_key_value()?;
        (*highest > 0 || self.plain.is_empty()).then_some(*highest)
    }

    /// The chunk that is next.
    pub(super) fn first(&self) -> Option<&Chunk<W, S>> {
        match self.highest() {
            None => self.plain.front(),
            Some(priority) => self.others.get(&priority)?.front(),
        }
    }

    /// Takes out the chunk that is next.
    pub(super) fn pop(&mut self) -> Option<Chunk<W, S>> {
        let chunk = match self.highest() {
            None => self.plain.pop_front()?,
            Some(priority) => {
                let lane = self.others.get_mut(&priority)?;
                let chunk = lane.pop_front()?;
                if lane.is_empty() {
                    self.others.remove(&priority);
                }
                chunk
            }
        };
        self.len -= 1;
        Some(chunk)
    }

    /// Takes out all chunks like this, each lane's in order.
    pub(super) fn take_out(&mut self, is: impl Fn(&Chunk<W, S>) -> bool) -> Vec<Chunk<W, S>> {
        let mut taken = Vec::new();
        let lanes = std::iter::once(&mut self.plain).chain(self.others.values_mut());
        for lane in lanes {
            for chunk in std::mem::take(lane) {
                if is(&chunk) { taken.push(chunk) } else { lane.push_back(chunk) }
            }
        }
        self.others.retain(|_, lane| !lane.is_empty());
        self.len -= taken.len();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::options::Asked;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn chunk(priority: i32, first: u64) -> Chunk<(), ()> {
        let asked = Some(Arc::new(Asked { priority, ..Asked::default() }));
        Chunk { id: 0, work: (), sink: (), base: 0, first, attempts: 0, used: None, asked }
    }

    fn all(backlog: &mut Backlog<(), ()>) -> Vec<(i32, u64)> {
        let mut next = || {
            let seen = backlog.first().map(|chunk| chunk.first);
            let chunk = backlog.pop();
            assert_eq!(chunk.as_ref().map(|chunk| chunk.first), seen);
            chunk.map(|chunk| (chunk.priority(), chunk.first))
        };
        std::iter::from_fn(&mut next).collect()
    }

    proptest! {
        /// Whatever is taken out meanwhile and put back, they leave in one order.
        #[test]
        fn the_highest_priority_goes_first_and_equals_in_order(
            priorities in prop::collection::vec(-2i32..3, 0..40),
            returned in prop::collection::vec(0usize..40, 0..40),
            cancelled in 0u64..4,
        ) {
            let mut backlog = Backlog::new();
            for (n, priority) in priorities.iter().enumerate() {
                backlog.push(chunk(*priority, n as u64));
                if returned.contains(&n) {
                    let out: Vec<_> = std::iter::from_fn(|| backlog.pop()).take(3).collect();
                    out.into_iter().rev().for_each(|chunk| backlog.put_back(chunk));
                }
            }
            prop_assert_eq!(backlog.len(), priorities.len());
            let is = |first: u64| first % 4 == cancelled;
            let gone = backlog.take_out(|chunk| is(chunk.first)).len();
            let mut due: Vec<_> = priorities.iter().copied().zip(0u64..).collect();
            due.retain(|(_, first)| !is(*first));
            due.sort_by_key(|(priority, first)| (-*priority, *first));
            prop_assert_eq!(gone + due.len(), priorities.len());
            prop_assert_eq!(backlog.len(), due.len());
            prop_assert_eq!(all(&mut backlog), due);
            prop_assert!(backlog.is_empty());
        }
    }
}
