//! The trait by which each kind of object says what the arena has to know of it, and what is done by
//! means of it: handles become offsets and come back, and what nobody refers to is taken apart.

use super::Arena;
use super::alloc::{EMPTYING, RECLAIMING, SUSPECTS, Txn, UNREFERENCED};
use super::held::Held;
use super::layout::{Hold, Tag};
use super::record::{LINK, SUSPECT};
use super::trace::Trace;
use super::waits::Awaits;
use crate::sync::patience::Patience;
use procbox_core::raw::Handle;
use procbox_core::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The most handles in one message: all of them change in one transaction.
pub(crate) const MOST_HANDLES: usize = 256;

/// One kind of object. Its file has the layout of the object's body, and the only code that knows it.
pub(crate) trait Kind: Sync {
    /// The tag that its blocks begin with.
    fn tag(&self) -> Tag;

    /// The bytes of its block.
    fn size(&self) -> u64;

    /// True if handles point at it.
    fn is_handle(&self) -> bool {
        true
    }

    /// The handle for an object of this process.
    fn handle(&self, held: Arc<Held>) -> Option<Handle>;

    /// The object behind a handle, if it is one of this kind and backend.
    fn held<'a>(&self, handle: &'a Handle) -> Option<&'a Arc<Held>>;

    /// Remainder in an object that this process lets go of.
    fn rest(&self, _arena: &Arena, _object: u64, _hold: &Hold) -> Rest {
        Rest::Nothing
    }

    /// For a dead process that had it: repairs what it left half done, takes back what it had of it,
    /// and wakes all who wait, in case it died before it did so itself.
    ///
    /// # Errors
    /// Those of transactions and locks. What is left undone is done by the next recovery.
    fn recover(&self, arena: &Arena, object: u64, hold: &Hold, patience: &Patience) -> Result<()>;

    /// What a wait for it needs to end.
    fn needs(&self, _arena: &Arena, _awaits: &Awaits) -> Needs {
        Needs::Nothing
    }

    /// True if who has `other` could end a wait for an object of this kind.
    fn serves(&self, _arena: &Arena, awaits: &Awaits, other: u64) -> bool {
        awaits.object == other
    }

    /// True if there are messages in it, to be got by who has it, that carry handles.
    fn carries(&self, _arena: &Arena, _object: u64) -> bool {
        false
    }

    /// Calls `see` with each handle in those messages; `false` if that takes looking at more than so many
    /// records, of which those that were looked at are taken off. The caller holds the arena's lock.
    fn cargo(
        &self,
        _arena: &Arena,
        _object: u64,
        _records: &mut u32,
        _see: &mut dyn FnMut(u64),
    ) -> bool {
        true
    }

    /// Where it is seen what became of it, by one who does not hold it any more.
    fn trace(&self, arena: &Arena, object: u64) -> Trace {
        Trace::of_object(arena, object, self.tag(), None)
    }

    /// The messages that who has it can get.
    fn messages(&self, _arena: &Arena, _object: u64) -> usize {
        0
    }

    /// Drops those messages. It can be done twice.
    ///
    /// # Errors
    /// As for [`Kind::recover`].
    fn empty(&self, _arena: &Arena, _object: u64, _patience: &Patience) -> Result<()> {
        Ok(())
    }

    /// Takes apart one that nobody refers to. Each step is a transaction or can be done twice; the last
    /// one is [`reclaimed`].
    ///
    /// # Errors
    /// As for [`Kind::recover`].
    fn reclaim(&self, arena: &Arena, object: u64, patience: &Patience) -> Result<()> {
        arena.transaction(patience, |txn| reclaimed(txn, object, self.size(), None))
    }
}

/// What a wait needs to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing more, or nobody knows.
    Nothing,
    /// Something that the thread of this id does.
    Thread(u32),
    /// The end of a process.
    End {
        /// Its slot, if it still has that.
        slot: u32,
        /// Its pid.
        pid: u64,
    },
    /// Something that any process does that has one of the objects that serve: see [`Kind::serves`].
    Referrers,
}

/// Remainder in an object that a process lets go of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing: its reference is given back.
    Nothing,
    /// Something that stays on its record until it ends.
    Recorded,
    /// A lock that one of its threads holds, and whose list leads here: nothing is given back, and the
    /// arena stays mapped, until the thread has released it or has ended.
    Locked,
}

/// Frees the block of what was taken apart; `next`, if there is one, is taken apart after it.
pub(crate) fn reclaimed(
    txn: &mut Txn<'_>,
    object: u64,
    size: u64,
    next: Option<u64>,
) -> Result<()> {
    txn.free(object, size)?;
    txn.set(RECLAIMING, next.unwrap_or_default())
}

impl Arena {
    /// The object behind a handle, if it is one of this arena.
    pub(crate) fn held<'a>(self: &Arc<Arena>, handle: &'a Handle) -> Option<&'a Arc<Held>> {
        let held = self.above.kinds.iter().find_map(|kind| kind.held(handle));
        held.filter(|held| held.is_of(self))
    }

    /// The offsets of objects that are to travel.
    ///
    /// # Errors
    /// [`Error::ForeignHandle`] for one of another context, [`Error::Invalid`] for too many.
    pub(crate) fn offsets(self: &Arc<Arena>, handles: &[Handle]) -> Result<Vec<u64>> {
        if handles.len() > MOST_HANDLES {
            return Err(Error::Invalid(format!(
                "a message carries at most {MOST_HANDLES} handles"
            )));
        }
        let offset = |handle| self.held(handle).map(|held| held.offset);
        handles.iter().map(|handle| offset(handle).ok_or(Error::ForeignHandle)).collect()
    }

    /// Takes the unreferenced objects apart, and empties those that are cut off. If another thread is at it, that one does it all; what a
    /// stopped process is in the way of is done in the background.
    pub(crate) fn reclaim(&self) {
        // Other errors come of memory that was scribbled over.
        if let Err(Error::TimedOut | Error::Interrupted) = self.try_reclaim(&Patience::brief()) {
            self.put_off(None);
        }
    }

    pub(super) fn try_reclaim(&self, patience: &Patience) -> Result<()> {
        let header = self.header();
        let any = || {
            [&header.unreferenced, &header.reclaiming, &header.suspects, &header.emptying]
                .iter()
                .any(|list| list.load(Ordering::Acquire) != 0)
        };
        let all = |_| {
            while any() {
                self.reclaim_one(patience)?;
            }
            Ok(())
        };
        // What comes while the lock is being given back is for whoever sees that it is free.
        while any() {
            if header.recovery.0.try_hold(all)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn reclaim_one(&self, patience: &Patience) -> Result<()> {
        match self.transaction(patience, |txn| self.next_step(txn))? {
            Step::Looked => Ok(()),
            Step::Empty(object) => {
                if let Some(kind) = self.kind(object) {
                    kind.empty(self, object, patience)?;
                }
                self.transaction(patience, |txn| txn.set(EMPTYING, 0))
            }
            Step::TakeApart(object) => match self.kind(object) {
                Some(kind) => kind.reclaim(self, object, patience),
                None => self.transaction(patience, |txn| txn.set(RECLAIMING, 0)),
            },
        }
    }

    /// What has been begun goes before suspects, and those before what nobody refers to: so none of these
    /// is taken apart while it is on the list of the suspects.
    fn next_step(&self, txn: &mut Txn<'_>) -> Result<Step> {
        let (emptying, reclaiming) = (txn.get(EMPTYING), txn.get(RECLAIMING));
        if emptying != 0 {
            return Ok(Step::Empty(emptying));
        }
        if reclaiming != 0 {
            return Ok(Step::TakeApart(reclaiming));
        }
        let suspect = txn.get(SUSPECTS);
        if suspect != 0 {
            let next = txn.get(suspect + SUSPECT) & !1;
            txn.set(SUSPECTS, next)?;
            txn.set(suspect + SUSPECT, 0)?;
            if !self.is_cut_off(suspect) {
                return Ok(Step::Looked);
            }
            return txn.set(EMPTYING, suspect).map(|()| Step::Empty(suspect));
        }
        let first = txn.get(UNREFERENCED);
        if first == 0 {
            return Ok(Step::Looked);
        }
        let next = txn.get(first + LINK);
        txn.set(RECLAIMING, first)?;
        txn.set(UNREFERENCED, next)?;
        Ok(Step::TakeApart(first))
    }
}

/// The next of the steps that are due.
enum Step {
    /// None: one that was suspected is in use.
    Looked,
    /// This one's messages are to be dropped.
    Empty(u64),
    /// This one is to be taken apart.
    TakeApart(u64),
}

impl Held {
    /// The handle for it.
    pub(crate) fn handle(self: Arc<Held>) -> Option<Handle> {
        self.arena.kind(self.offset)?.handle(self.clone())
    }
}
