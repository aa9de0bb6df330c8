//! The kinds of objects that there are, and what else every arena of this process is told when it is
//! made: the recovery of the dead, and the look for circles of waits.

use crate::arena::Above;
use crate::{deadlock, event, ledger, lock, pipe, queue, recover, region, semaphore};

/// The kinds, and the rows above the arena.
pub(crate) static ABOVE: Above = Above {
    kinds: &[
        &lock::LockKind,
        &semaphore::SemaphoreKind,
        &event::EventKind,
        &queue::QueueKind,
        &pipe::EndKind,
        &pipe::PipeKind,
        &ledger::LedgerKind,
        &region::RegionKind,
    ],
    recover_orphaned: recover::recover_orphaned,
    recover: recover::try_recover,
    look_for_deadlock: deadlock::look,
};

#[cfg(test)]
mod tests {
    use super::ABOVE;
    use crate::arena::layout::Tag;

    #[test]
    fn each_kind_stands_where_its_tag_leads() {
        let mut numbers = 1..;
        for kind in ABOVE.kinds {
            assert_eq!(Some(kind.tag()), numbers.next().map(Tag::number));
        }
    }
}
