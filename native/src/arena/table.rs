//! Who holds what: the process table, and this process's own view of it.
//!
//! A process holds an object once, however many Rust objects in it stand for it; the slot's record
//! has one entry for it, which counts as one reference. A message that carries a handle counts as
//! one too. Entry and count change in one transaction, so the record of a process that was killed
//! says exactly what to give back.

use super::Arena;
use super::alloc::{GRAVEYARD, SLOTS_USED, Txn};
use super::layout::{
    FREE, HOLDS_PER_BLOCK, Hold, Holds, Object, RUNNING, SLOTS, STARTING, Slot, Tag,
};
use procbox_core::{Error, Result, Wait};
use std::collections::HashMap;
use std::mem::offset_of;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

const REFS: u64 = offset_of!(Object, refs) as u64;
pub(super) const LINK: u64 = offset_of!(Object, link) as u64;
const ENTRIES: u64 = offset_of!(Holds, entries) as u64;
pub(super) const NEXT: u64 = offset_of!(Holds, next) as u64;
pub(super) const HOLDS_SIZE: u64 = size_of::<Holds>() as u64;

/// What this process holds.
#[derive(Default)]
pub(crate) struct Registry {
    held: HashMap<u64, Weak<Held>>,
    /// Offsets of free entries of the record.
    free: Vec<u64>,
}

/// This process's right to one object. Dropped, it gives the reference back.
pub(crate) struct Held {
    pub(crate) arena: Arc<Arena>,
    pub(crate) offset: u64,
    /// Its entry in the record.
    pub(crate) entry: u64,
}

/// Offsets of a slot's words, for transactions.
pub(super) struct SlotWords(u64);

impl SlotWords {
    pub(super) fn of(index: u32) -> SlotWords {
        SlotWords(Arena::slot_offset(index))
    }
    pub(super) fn state(&self) -> u64 {
        self.0 + offset_of!(Slot, state) as u64
    }
    pub(super) fn parent(&self) -> u64 {
        self.0 + offset_of!(Slot, parent) as u64
    }
    pub(super) fn pid(&self) -> u64 {
        self.0 + offset_of!(Slot, pid) as u64
    }
    pub(super) fn holds(&self) -> u64 {
        self.0 + offset_of!(Slot, holds) as u64
    }
    pub(super) fn spec(&self) -> u64 {
        self.0 + offset_of!(Slot, spec) as u64
    }
    pub(super) fn spec_size(&self) -> u64 {
        self.0 + offset_of!(Slot, spec_size) as u64
    }
}

/// One reference more, as part of a transaction.
pub(crate) fn retain(txn: &mut Txn<'_>, object: u64) -> Result<()> {
    let refs = txn.get(object + REFS);
    txn.set(object + REFS, refs + 1)
}

/// One reference less; an object without any goes to the graveyard.
pub(crate) fn release(txn: &mut Txn<'_>, object: u64) -> Result<()> {
    let refs = txn.get(object + REFS).saturating_sub(1);
    txn.set(object + REFS, refs)?;
    if refs == 0 {
        let first = txn.get(GRAVEYARD);
        txn.set(object + LINK, first)?;
        txn.set(GRAVEYARD, object)?;
    }
    Ok(())
}

impl Arena {
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Links one more block to a slot's record; its entries' offsets.
    fn add_holds(&self, txn: &mut Txn<'_>, slot: u32) -> Result<Vec<u64>> {
        let block = txn.alloc(HOLDS_SIZE, Tag::HOLDS)?;
        let words = SlotWords::of(slot);
        let holds: &Holds = self.at(block);
        holds.next.store(txn.get(words.holds()), Ordering::Relaxed);
        for entry in &holds.entries {
            entry.object.store(0, Ordering::Relaxed);
            entry.permits.store(0, Ordering::Relaxed);
        }
        txn.set(words.holds(), block)?;
        let size = size_of::<Hold>() as u64;
        Ok((0..HOLDS_PER_BLOCK as u64).map(|i| block + ENTRIES + i * size).collect())
    }

    /// Makes sure that so many entries are free.
    fn reserve(&self, registry: &mut Registry, entries: usize) -> Result<()> {
        while registry.free.len() < entries {
            let mut txn = self.begin()?;
            let added = self.add_holds(&mut txn, self.me())?;
            txn.commit();
            registry.free.extend(added);
        }
        Ok(())
    }

    /// A new object that this process holds. `fill` writes all but the object's header.
    pub(crate) fn create_object(
        self: &Arc<Arena>,
        size: u64,
        tag: Tag,
        fill: impl FnOnce(&mut Txn<'_>, u64) -> Result<()>,
    ) -> Result<Arc<Held>> {
        self.create_objects([(size, tag)], |txn, [offset]| fill(txn, offset)).map(|[held]| held)
    }

    /// Several new objects, in one transaction.
    pub(crate) fn create_objects<const N: usize>(
        self: &Arc<Arena>,
        those: [(u64, Tag); N],
        fill: impl FnOnce(&mut Txn<'_>, [u64; N]) -> Result<()>,
    ) -> Result<[Arc<Held>; N]> {
        let mut registry = self.registry();
        self.reserve(&mut registry, N)?;
        let kept = registry.free.len() - N;
        let mut txn = self.begin()?;
        let mut offsets = [0; N];
        for (i, (size, tag)) in those.into_iter().enumerate() {
            let offset = txn.alloc(size, tag)?;
            self.object(offset).refs.store(1, Ordering::Relaxed);
            self.object(offset).link.store(0, Ordering::Relaxed);
            txn.set(registry.free[kept + i], offset)?;
            offsets[i] = offset;
        }
        fill(&mut txn, offsets)?;
        txn.commit();
        let entries = registry.free.split_off(kept);
        let mut entries = entries.into_iter();
        Ok(offsets.map(|offset| {
            let entry = entries.next().unwrap_or_default();
            registry.adopt(self, offset, entry)
        }))
    }

    /// Turns the references of a message into ones of this process, and `then` does, in the same
    /// transaction, what takes the message. One result per offset, in order.
    pub(crate) fn take_handles(
        self: &Arc<Arena>,
        offsets: &[u64],
        then: impl FnOnce(&mut Txn<'_>) -> Result<()>,
    ) -> Result<Vec<Arc<Held>>> {
        // Declared before the registry's guard: a `Held` that is dropped here locks the registry.
        let mut known: HashMap<u64, Arc<Held>> = HashMap::new();
        let mut fresh: Vec<(u64, u64)> = Vec::new();
        let mut registry = self.registry();
        self.reserve(&mut registry, offsets.len())?;
        let mut txn = self.begin()?;
        for &offset in offsets {
            if !self.tag(offset).is_some_and(Tag::is_handle) {
                return Err(Error::ForeignHandle);
            }
            let live = || registry.held.get(&offset).and_then(Weak::upgrade);
            if known.contains_key(&offset) || fresh.iter().any(|(o, _)| *o == offset) {
                release(&mut txn, offset)?;
            } else if let Some(held) = live() {
                release(&mut txn, offset)?;
                known.insert(offset, held);
            } else {
                let entry = registry.free[registry.free.len() - 1 - fresh.len()];
                txn.set(entry, offset)?;
                fresh.push((offset, entry));
            }
        }
        then(&mut txn)?;
        txn.commit();
        let kept = registry.free.len() - fresh.len();
        registry.free.truncate(kept);
        for (offset, entry) in fresh {
            let held = registry.adopt(self, offset, entry);
            known.insert(offset, held);
        }
        drop(registry);
        Ok(offsets.iter().filter_map(|offset| known.get(offset).cloned()).collect())
    }

    /// Reserves a slot for a process that is about to start, with its start request and with what
    /// it is going to hold.
    pub(crate) fn new_slot(&self, spec: &[u8], handles: &[u64]) -> Result<u32> {
        let mut txn = self.begin()?;
        let used = txn.get(SLOTS_USED);
        let free = (1..used).find(|i| txn.get(SlotWords::of(*i as u32).state()) == FREE);
        let index = free.unwrap_or(used);
        if index >= SLOTS {
            return Err(Error::Exhausted("processes".into()));
        }
        if index == used {
            txn.set(SLOTS_USED, used + 1)?;
        }
        let index = index as u32;
        let words = SlotWords::of(index);
        txn.set(words.state(), STARTING)?;
        txn.set(words.pid(), 0)?;
        let me = u64::from(self.me()) << 32 | u64::from(std::process::id());
        txn.set(words.parent(), me)?;
        let size = spec.len() as u64 + 16;
        let block = txn.alloc(size, Tag::SPEC)?;
        self.word(block + 8).store(spec.len() as u64, Ordering::Relaxed);
        self.write(block + 16, spec)?;
        txn.set(words.spec(), block)?;
        txn.set(words.spec_size(), size)?;
        txn.set(words.holds(), 0)?;
        let mut handles = handles.to_vec();
        handles.sort_unstable();
        handles.dedup();
        for group in handles.chunks(HOLDS_PER_BLOCK) {
            let entries = self.add_holds(&mut txn, index)?;
            for (object, entry) in group.iter().zip(entries) {
                self.word(entry).store(*object, Ordering::Relaxed);
                retain(&mut txn, *object)?;
            }
        }
        txn.commit();
        Ok(index)
    }

    /// In a new process: takes the slot that the parent reserved, and reads the start request.
    /// `false` if the parent gave it up.
    pub(crate) fn enter_slot(&self, index: u32) -> Result<Vec<u8>> {
        let slot = self.slot(index);
        self.me.store(index, Ordering::Relaxed);
        self.parent.store(slot.parent.load(Ordering::Relaxed) as u32, Ordering::Relaxed);
        slot.life.acquire(Wait::Never).map_err(|_| Error::Closed)?;
        let block = slot.spec.load(Ordering::Relaxed);
        let mut spec = Vec::new();
        self.read(block + 16, self.word(block + 8).load(Ordering::Relaxed) as usize, &mut spec)?;
        let words = SlotWords::of(index);
        let mut txn = self.begin()?;
        txn.set(words.pid(), std::process::id().into())?;
        txn.set(words.state(), RUNNING)?;
        txn.set(words.spec(), 0)?;
        txn.free(block, slot.spec_size.load(Ordering::Relaxed))?;
        txn.commit();
        Ok(spec)
    }

    /// In a new process: the objects that the parent gave it, by offset.
    pub(crate) fn given(self: &Arc<Arena>) -> HashMap<u64, Arc<Held>> {
        let mut registry = self.registry();
        let mut given = HashMap::new();
        for entry in self.entries(self.me()) {
            match self.word(entry).load(Ordering::Relaxed) {
                0 => registry.free.push(entry),
                object => {
                    given.insert(object, registry.adopt(self, object, entry));
                }
            }
        }
        given
    }

    /// All entries of a slot's record.
    pub(super) fn entries(&self, slot: u32) -> Vec<u64> {
        let mut entries = Vec::new();
        let mut block = self.slot(slot).holds.load(Ordering::Acquire);
        while block != 0 && self.tag(block) == Some(Tag::HOLDS) {
            let size = size_of::<Hold>() as u64;
            entries.extend((0..HOLDS_PER_BLOCK as u64).map(|i| block + ENTRIES + i * size));
            block = self.word(block + NEXT).load(Ordering::Acquire);
        }
        entries
    }

    /// The permits of a semaphore that all processes have taken, by their records.
    pub(crate) fn permits_taken(&self, semaphore: u64) -> Result<u64> {
        let _still = self.begin()?;
        let slots = self.header().slots.load(Ordering::Relaxed).min(SLOTS) as u32;
        let used = (0..slots).filter(|i| self.slot(*i).state.load(Ordering::Relaxed) != FREE);
        let holds = used.flat_map(|i| self.entries(i)).map(|entry| self.at::<Hold>(entry));
        let of_it = holds.filter(|hold| hold.object.load(Ordering::Relaxed) == semaphore);
        Ok(of_it.map(|hold| hold.permits.load(Ordering::Relaxed)).sum())
    }
}

impl Registry {
    fn adopt(&mut self, arena: &Arc<Arena>, offset: u64, entry: u64) -> Arc<Held> {
        let held = Arc::new(Held { arena: arena.clone(), offset, entry });
        self.held.insert(offset, Arc::downgrade(&held));
        held
    }
}

impl Held {
    /// Its entry in this process's record.
    pub(crate) fn hold(&self) -> &Hold {
        self.arena.at(self.entry)
    }

    fn give_back(&self) -> Result<()> {
        let mut registry = self.arena.registry();
        // A newer `Held` may have taken the place.
        if registry.held.get(&self.offset).is_some_and(|weak| weak.strong_count() == 0) {
            registry.held.remove(&self.offset);
        }
        // Permits that were taken and never given back are the process's until it ends.
        if self.hold().permits.load(Ordering::Relaxed) > 0 {
            return Ok(());
        }
        let mut txn = self.arena.begin()?;
        txn.set(self.entry, 0)?;
        release(&mut txn, self.offset)?;
        txn.commit();
        registry.free.push(self.entry);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A failure leaves the reference to the recovery at the end of the process.
        let _ = self.give_back();
        self.arena.bury();
    }
}
