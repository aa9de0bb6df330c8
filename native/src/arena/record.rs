//! Holders and what they hold: the words of the process table, each process's record of what it holds, and the
//! counts of references.
//!
//! A process holds an object once, however many Rust objects in it stand for it; its record has one
//! entry for it, which counts as one reference. A message that carries a handle counts as one too.
//! Entry and count change in one transaction, so the record of a process that was killed says exactly
//! what to give back.

use super::Arena;
use super::alloc::{SUSPECTS, Txn, UNREFERENCED};
use super::layout::{FREE, HOLDS_PER_BLOCK, Hold, Holds, Object, SLOTS, Slot, Tag};
use super::map::{Map, slot_offset};
use crate::sync::atomic::Ordering;
use crate::sync::patience::Patience;
use procbox_core::Result;
use std::mem::offset_of;

const REFS: u64 = offset_of!(Object, refs) as u64;
pub(super) const LINK: u64 = offset_of!(Object, link) as u64;
pub(super) const SUSPECT: u64 = offset_of!(Object, suspect) as u64;
/// A process's part of an object's references, besides the one.
const HELD: u64 = 1 << 32;
/// The references of an object that one process holds.
pub(super) const HELD_ONCE: u64 = HELD + 1;
const ENTRIES: u64 = offset_of!(Holds, entries) as u64;
const NEXT: u64 = offset_of!(Holds, next) as u64;
const HOLDS_SIZE: u64 = size_of::<Holds>() as u64;

/// Offsets of a slot's words, for transactions.
pub(crate) struct SlotWords(u64);

impl SlotWords {
    pub(crate) fn of(index: u32) -> SlotWords {
        SlotWords(slot_offset(index))
    }
    pub(crate) fn state(&self) -> u64 {
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
    pub(super) fn bounded(&self) -> u64 {
        self.0 + offset_of!(Slot, bounded) as u64
    }
    pub(super) fn generation(&self) -> u64 {
        self.0 + offset_of!(Slot, generation) as u64
    }
    pub(super) fn ancestor(&self) -> u64 {
        self.0 + offset_of!(Slot, ancestor) as u64
    }
    pub(super) fn spec_size(&self) -> u64 {
        self.0 + offset_of!(Slot, spec_size) as u64
    }
}

/// One that refers to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Process,
    Message,
}

impl By {
    fn reference(self) -> u64 {
        match self {
            By::Process => HELD_ONCE,
            By::Message => 1,
        }
    }
}

/// One reference more, as part of a transaction.
pub(crate) fn retain(txn: &mut Txn<'_>, object: u64, by: By) -> Result<()> {
    let refs = txn.get(object + REFS);
    txn.set(object + REFS, refs.wrapping_add(by.reference()))
}

/// A message's reference becomes a process's.
pub(super) fn take_over(txn: &mut Txn<'_>, object: u64) -> Result<()> {
    let refs = txn.get(object + REFS);
    txn.set(object + REFS, refs.wrapping_add(HELD))
}

impl Arena {
    /// One reference less; an object without any becomes one of the unreferenced, and one that messages
    /// alone carry, and that carries something itself, one of the suspects.
    pub(crate) fn release(&self, txn: &mut Txn<'_>, object: u64, by: By) -> Result<()> {
        let refs = txn.get(object + REFS).saturating_sub(by.reference());
        txn.set(object + REFS, refs)?;
        if refs == 0 {
            let first = txn.get(UNREFERENCED);
            txn.set(object + LINK, first)?;
            return txn.set(UNREFERENCED, object);
        }
        let carries = || self.kind(object).is_some_and(|kind| kind.carries(self, object));
        if refs < HELD && carries() && txn.get(object + SUSPECT) == 0 {
            let first = txn.get(SUSPECTS);
            txn.set(object + SUSPECT, first | 1)?;
            txn.set(SUSPECTS, object)?;
        }
        Ok(())
    }
}

impl Map {
    /// Processes that hold an object, and messages that carry it.
    pub(crate) fn references(&self, object: u64) -> u64 {
        self.object(object).refs.load(Ordering::Acquire) & (HELD - 1)
    }

    /// The number that no other object has or had.
    pub(crate) fn serial(&self, object: u64) -> u64 {
        self.object(object).serial.load(Ordering::Relaxed)
    }

    /// True if a process holds it.
    pub(super) fn is_held(&self, object: u64) -> bool {
        self.object(object).refs.load(Ordering::Acquire) >= HELD
    }

    /// Links one more block to a slot's record; its entries' offsets.
    pub(super) fn add_holds(&self, txn: &mut Txn<'_>, slot: u32) -> Result<Vec<u64>> {
        let block = txn.alloc(HOLDS_SIZE, Tag::HOLDS)?;
        let words = SlotWords::of(slot);
        let holds: &Holds = self.at(block);
        holds.next.store(txn.get(words.holds()), Ordering::Relaxed);
        for entry in &holds.entries {
            entry.object.store(0, Ordering::Relaxed);
            entry.permits.store(0, Ordering::Relaxed);
            entry.returned.store(0, Ordering::Relaxed);
        }
        txn.set(words.holds(), block)?;
        Ok(entries_of(block).collect())
    }

    /// All entries of a slot's record.
    pub(crate) fn entries(&self, slot: u32) -> Vec<u64> {
        let mut entries = Vec::new();
        let mut block = self.slot(slot).holds.load(Ordering::Acquire);
        while block != 0 && self.tag(block) == Some(Tag::HOLDS) {
            entries.extend(entries_of(block));
            block = self.word(block + NEXT).load(Ordering::Acquire);
        }
        entries
    }

    /// Frees the blocks of a slot's record, one by one, and its start request if it was not read.
    pub(crate) fn free_record(&self, slot: u32, patience: &Patience) -> Result<()> {
        let words = SlotWords::of(slot);
        let free_one = |txn: &mut Txn<'_>| match txn.get(words.holds()) {
            0 => Ok(false),
            block => {
                let next = txn.get(block + NEXT);
                txn.set(words.holds(), next)?;
                txn.free(block, HOLDS_SIZE)?;
                Ok(true)
            }
        };
        while self.transaction(patience, free_one)? {}
        self.transaction(patience, |txn| match txn.get(words.spec()) {
            0 => Ok(()),
            block => {
                let size = txn.get(words.spec_size());
                txn.free(block, size)?;
                txn.set(words.spec(), 0)
            }
        })
    }

    /// The permits of a semaphore that all processes have taken, by their records.
    pub(crate) fn permits_taken(&self, semaphore: u64, patience: &Patience) -> Result<u64> {
        self.transaction(patience, |_| {
            let slots = self.header().slots.load(Ordering::Relaxed).min(SLOTS) as u32;
            let used = (0..slots).filter(|i| self.slot(*i).state.load(Ordering::Relaxed) != FREE);
            let holds = used.flat_map(|i| self.entries(i)).map(|entry| self.at::<Hold>(entry));
            let of_it = holds.filter(|hold| hold.object.load(Ordering::Relaxed) == semaphore);
            Ok(of_it.map(|hold| u64::from(hold.taken())).sum())
        })
    }
}

fn entries_of(block: u64) -> impl Iterator<Item = u64> {
    (0..HOLDS_PER_BLOCK as u64).map(move |i| block + ENTRIES + i * size_of::<Hold>() as u64)
}
