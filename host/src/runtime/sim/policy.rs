//! Policies: who goes on at a switch point.

use super::source::Numbers;

/// A way to choose. One is asked by one simulation, at each of its switch points.
pub(super) trait Policy: Send {
    /// The index of the one that goes on, among the pids of those that can: never none, and in the
    /// order in which they could, the embedding program first.
    fn choose(&mut self, who: &[u32]) -> usize;
}

/// Each with the same probability.
pub(super) struct RandomWalk(Numbers);

impl RandomWalk {
    pub(super) fn new(seed: u64) -> RandomWalk {
        RandomWalk(Numbers::new(seed))
    }
}

impl Policy for RandomWalk {
    fn choose(&mut self, who: &[u32]) -> usize {
        self.0.below(who.len() as u64) as usize
    }
}
