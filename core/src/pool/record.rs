//! What the processes of a slot came to, one after the other: whether another is worth its start.
//!
//! A worker that dies of a task, or ends when it has done its share, is as it should be. One that ends
//! before it has done anything, and one that returns and leaves tasks behind that it was given, will
//! do so again: a pool that started it for ever would be held by it. Other slots count for nothing
//! here, so that one worker that answers does not make up for another that never does.

/// Processes that may end in a row before they did anything.
const IDLE_ENDS: u32 = 32;
/// The same if they were killed.
const KILLED_IDLE_ENDS: u32 = 200;
/// Processes that may return with tasks left behind ...
pub(super) const DESERTIONS: u32 = 16;
/// ... beyond one for so many chunks that were answered.
const MADE_UP_BY: u32 = 16;

/// The record of a slot.
#[derive(Clone, Copy, Default)]
pub(super) struct Record {
    /// Processes in a row that ended before they did anything.
    idle: u32,
    /// Chunks that are to be answered until nothing is held against it.
    owed: u32,
}

impl Record {
    /// A chunk was answered.
    pub(super) fn answered(&mut self) {
        self.idle = 0;
        self.owed = self.owed.saturating_sub(1);
    }

    /// A process died in a task: it had begun one.
    pub(super) fn began(&mut self) {
        self.idle = 0;
    }

    /// A process ended before it did anything, killed by somebody or by itself. After how many in a row
    /// that was, if it was the last that there should be.
    pub(super) fn idled(&mut self, killed: bool) -> Option<u32> {
        self.idle += 1;
        let most = if killed { KILLED_IDLE_ENDS } else { IDLE_ENDS };
        (self.idle >= most).then_some(self.idle)
    }

    /// A process returned as if all was done, and was given tasks that it has not taken. Whether it was
    /// the last that there should be.
    pub(super) fn deserted(&mut self) -> bool {
        self.owed += MADE_UP_BY;
        self.owed >= DESERTIONS * MADE_UP_BY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The desertions until one is the last, each after so many answers.
    fn desertions_with(answers: u32) -> Option<usize> {
        let mut record = Record::default();
        (1..10_000).find(|_| {
            (0..answers).for_each(|_| record.answered());
            record.deserted()
        })
    }

    #[test]
    fn who_leaves_more_often_than_it_works_is_found_out() {
        assert_eq!(desertions_with(0), Some(16));
        assert_eq!(desertions_with(1), Some(17));
        assert_eq!(desertions_with(MADE_UP_BY - 1), Some(241));
        assert_eq!(desertions_with(MADE_UP_BY), None);
    }

    #[test]
    fn one_that_did_something_begins_anew() {
        let mut record = Record::default();
        for did in [Record::answered, Record::began] {
            assert!((1..IDLE_ENDS).all(|_| record.idled(false).is_none()));
            did(&mut record);
        }
        assert!((1..IDLE_ENDS).all(|_| record.idled(true).is_none()));
        assert_eq!(record.idled(false), Some(IDLE_ENDS));
        assert!((1..KILLED_IDLE_ENDS - IDLE_ENDS).all(|_| record.idled(true).is_none()));
        assert_eq!(record.idled(true), Some(KILLED_IDLE_ENDS));
    }
}
