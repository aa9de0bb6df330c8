//! The trait by which each kind of object says what the arena has to know of it, and what is done by
//! means of it: handles become offsets and come back, and what nobody refers to is taken apart.

use super::Arena;
use super::alloc::{RECLAIMING, Txn, UNREFERENCED};
use super::held::Held;
use super::layout::{Hold, Tag};
use super::record::LINK;
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

    /// The objects whose handles lie in messages that can be received by a handle for it, each as often
    /// as it is there; `None` if that is more than `left` to look at. Asked with the arena's lock.
    fn carried(&self, _arena: &Arena, _object: u64, _left: &mut usize) -> Option<Vec<u64>> {
        Some(Vec::new())
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
        let offset = |handle| {
            let held = self.above.kinds.iter().find_map(|kind| kind.held(handle));
            held.filter(|held| held.is_of(self)).map(|held| held.offset)
        };
        handles.iter().map(|handle| offset(handle).ok_or(Error::ForeignHandle)).collect()
    }

    /// Takes the unreferenced objects apart. If another thread is at it, that one does it all; what a
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
            header.unreferenced.load(Ordering::Acquire) != 0
                || header.reclaiming.load(Ordering::Acquire) != 0
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
        let object = self.transaction(patience, |txn| {
            let object = txn.get(RECLAIMING);
            let first = txn.get(UNREFERENCED);
            if object != 0 || first == 0 {
                return Ok(object);
            }
            let next = txn.get(first + LINK);
            txn.set(RECLAIMING, first)?;
            txn.set(UNREFERENCED, next)?;
            Ok(first)
        })?;
        match self.kind(object) {
            Some(kind) => kind.reclaim(self, object, patience),
            None => self.transaction(patience, |txn| txn.set(RECLAIMING, 0)),
        }
    }
}

impl Held {
    /// The handle for it.
    pub(crate) fn handle(self: Arc<Held>) -> Option<Handle> {
        self.arena.kind(self.offset)?.handle(self.clone())
    }
}
