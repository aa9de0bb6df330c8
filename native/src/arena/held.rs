//! The holdings of this process: its own view of its record, and its rights to single objects.

use super::Arena;
use super::alloc::Txn;
use super::kind::{Kind, Rest};
use super::layout::Hold;
use super::put_off::Left;
use super::record::{By, HELD_ONCE, take_over};
use crate::sync::patience::Patience;
use procbox_core::raw::Taken;
use procbox_core::{Error, Result};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// Holdings of this process.
#[derive(Default)]
pub(crate) struct Registry {
    held: HashMap<u64, Weak<Held>>,
    /// Offsets of free entries of the record.
    pub(super) free: Vec<u64>,
}

/// This process's right to one object. Dropped, it gives the reference back.
pub(crate) struct Held {
    pub(crate) arena: Arc<Arena>,
    pub(crate) offset: u64,
    /// Entry in the record.
    entry: u64,
    /// If it is a semaphore: which thread has which permits.
    pub(crate) taken: OnceLock<Arc<Taken>>,
}

/// Locks that threads of this process hold, of which it has no handle any more. The list of held locks
/// that each thread has leads to them: they keep their arena mapped and their block from being used
/// again, until the thread has released them (by a handle that came again) or has ended.
static LOCKED: Mutex<Vec<Locked>> = Mutex::new(Vec::new());

struct Locked {
    arena: Arc<Arena>,
    offset: u64,
    entry: u64,
}

/// Lets go of those locks that were released, or whose holders have ended.
pub(super) fn let_go() {
    let mut locked = LOCKED.lock().unwrap_or_else(PoisonError::into_inner);
    let (kept, free): (Vec<_>, Vec<_>) =
        locked.drain(..).partition(|it| it.arena.rest(it.offset, it.entry) == Rest::Locked);
    *locked = kept;
    drop(locked);
    for Locked { arena, offset, entry } in free {
        arena.let_go_of(offset, entry);
    }
}

impl Arena {
    /// Makes sure that so many entries are free.
    pub(super) fn reserve(
        &self,
        registry: &mut Registry,
        entries: usize,
        patience: &Patience,
    ) -> Result<()> {
        while registry.free.len() < entries {
            let added = self.transaction(patience, |txn| self.add_holds(txn, self.me()))?;
            registry.free.extend(added);
        }
        Ok(())
    }

    /// A new object that this process holds. `fill` writes all but the object's header.
    pub(crate) fn create_object(
        self: &Arc<Arena>,
        kind: &dyn Kind,
        fill: impl FnOnce(&mut Txn<'_>, u64) -> Result<()>,
    ) -> Result<Arc<Held>> {
        self.create_objects([kind], |txn, [offset]| fill(txn, offset)).map(|[held]| held)
    }

    /// Several new objects, in one transaction.
    pub(crate) fn create_objects<const N: usize>(
        self: &Arc<Arena>,
        kinds: [&dyn Kind; N],
        fill: impl FnOnce(&mut Txn<'_>, [u64; N]) -> Result<()>,
    ) -> Result<[Arc<Held>; N]> {
        let patience = Patience::forever();
        self.registry.with(&patience, |registry| {
            self.reserve(registry, N, &patience)?;
            let kept = registry.free.len() - N;
            let offsets = self.transaction(&patience, |txn| {
                let mut offsets = [0; N];
                for (i, kind) in kinds.into_iter().enumerate() {
                    let offset = txn.alloc(kind.size(), kind.tag())?;
                    let object = self.object(offset);
                    object.refs.store(HELD_ONCE, Ordering::Relaxed);
                    object.link.store(0, Ordering::Relaxed);
                    object.suspect.store(0, Ordering::Relaxed);
                    let serial = self.header().made.fetch_add(1, Ordering::Relaxed) + 1;
                    object.serial.store(serial, Ordering::Relaxed);
                    txn.set(registry.free[kept + i], offset)?;
                    offsets[i] = offset;
                }
                fill(txn, offsets)?;
                Ok(offsets)
            })?;
            let mut entries = registry.free.split_off(kept).into_iter();
            Ok(offsets.map(|offset| {
                let entry = entries.next().unwrap_or_default();
                registry.adopt(self, offset, entry)
            }))
        })
    }

    /// Turns the references of a message into ones of this process, takes over its block if it has one
    /// apart, and `then` does, in the same transaction, what takes the message. One result per offset, in
    /// order, and the block's entry in the record of this process.
    pub(crate) fn take_over(
        self: &Arc<Arena>,
        offsets: &[u64],
        block: Option<u64>,
        patience: &Patience,
        then: impl FnOnce(&mut Txn<'_>) -> Result<()>,
    ) -> Result<(Vec<Arc<Held>>, u64)> {
        // Out here: a `Held` that is dropped wants the registry.
        let mut known: HashMap<u64, Arc<Held>> = HashMap::new();
        let mut fresh: Vec<(u64, u64)> = Vec::new();
        let mut of_block = 0;
        self.registry.with(patience, |registry| {
            self.reserve(registry, offsets.len() + 1, patience)?;
            self.transaction(patience, |txn| {
                for &offset in offsets {
                    if !self.kind(offset).is_some_and(Kind::is_handle) {
                        return Err(Error::ForeignHandle);
                    }
                    let live = || registry.held.get(&offset).and_then(Weak::upgrade);
                    if known.contains_key(&offset) || fresh.iter().any(|(o, _)| *o == offset) {
                        self.release(txn, offset, By::Message)?;
                    } else if let Some(held) = live() {
                        self.release(txn, offset, By::Message)?;
                        known.insert(offset, held);
                    } else {
                        let entry = registry.free[registry.free.len() - 1 - fresh.len()];
                        txn.set(entry, offset)?;
                        take_over(txn, offset)?;
                        fresh.push((offset, entry));
                    }
                }
                if let Some(block) = block {
                    of_block = registry.free[registry.free.len() - 1 - fresh.len()];
                    txn.set(of_block, block)?;
                }
                then(txn)
            })?;
            let kept = registry.free.len() - fresh.len() - usize::from(block.is_some());
            registry.free.truncate(kept);
            for (offset, entry) in fresh {
                let held = registry.adopt(self, offset, entry);
                known.insert(offset, held);
            }
            Ok(())
        })?;
        let taken = offsets.iter().filter_map(|offset| known.get(offset).cloned()).collect();
        Ok((taken, of_block))
    }

    pub(super) fn rest(&self, offset: u64, entry: u64) -> Rest {
        let kind = self.kind(offset);
        kind.map_or(Rest::Nothing, |kind| kind.rest(self, offset, self.at(entry)))
    }

    /// Gives the reference back of which an entry of this process's record tells.
    pub(super) fn give_back(&self, offset: u64, entry: u64, patience: &Patience) -> Result<()> {
        self.registry.with(patience, |registry| {
            // A newer `Held` may have taken the place.
            if registry.held.get(&offset).is_some_and(|weak| weak.strong_count() == 0) {
                registry.held.remove(&offset);
            }
            self.transaction(patience, |txn| {
                txn.set(entry, 0)?;
                self.release(txn, offset, By::Process)
            })?;
            registry.free.push(entry);
            Ok(())
        })
    }

    /// Gives a reference back, now or in the background.
    fn let_go_of(&self, offset: u64, entry: u64) {
        match self.give_back(offset, entry, &Patience::brief()) {
            Ok(()) => self.reclaim(),
            Err(Error::TimedOut | Error::Interrupted) => {
                self.put_off(Some(Left::Held { offset, entry }));
            }
            // It is left to the recovery at the end of the process.
            Err(_) => {}
        }
    }
}

impl Registry {
    pub(super) fn adopt(&mut self, arena: &Arc<Arena>, offset: u64, entry: u64) -> Arc<Held> {
        let taken = OnceLock::new();
        let held = Arc::new(Held { arena: arena.clone(), offset, entry, taken });
        self.held.insert(offset, Arc::downgrade(&held));
        held
    }
}

impl Held {
    /// Offset of the entry in this process's record.
    pub(crate) fn entry(&self) -> u64 {
        self.entry
    }

    /// Entry in this process's record.
    pub(crate) fn hold(&self) -> &Hold {
        self.arena.at(self.entry)
    }

    /// True if it is an object of this arena.
    pub(crate) fn is_of(&self, arena: &Arc<Arena>) -> bool {
        Arc::ptr_eq(&self.arena, arena)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (arena, offset, entry) = (&self.arena, self.offset, self.entry);
        match arena.rest(offset, entry) {
            Rest::Nothing => arena.let_go_of(offset, entry),
            // The entry of the registry is replaced when the object comes again.
            Rest::Recorded => {}
            Rest::Locked => {
                let_go();
                let mut locked = LOCKED.lock().unwrap_or_else(PoisonError::into_inner);
                locked.push(Locked { arena: arena.clone(), offset, entry });
            }
        }
    }
}
