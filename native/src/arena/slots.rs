//! A process's slot, from its parent's reservation to its own taking of it.

use super::Arena;
use super::alloc::SLOTS_USED;
use super::held::Held;
use super::layout::{FREE, HOLDS_PER_BLOCK, RUNNING, SLOTS, STARTING, Tag, WITHDRAWN};
use super::record::{By, SlotWords, retain};
use crate::sync::atomic::Ordering;
use crate::sync::patience::Patience;
use crate::syscalls;
use procbox_core::{Error, Result, Wait};
use std::collections::HashMap;
use std::sync::Arc;

/// In the block of a start request: its tag, its length, then its bytes.
const LENGTH: u64 = 8;
const BYTES: u64 = 16;

/// One process's claim to its slot. It is void once the slot is free, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) slot: u32,
    pub(crate) generation: u64,
}

impl Arena {
    /// The claim of whoever has the slot now. Read before all else of it, so that what is read later
    /// is of this one or of one that makes the claim void.
    pub(crate) fn claim(&self, slot: u32) -> Claim {
        Claim { slot, generation: self.slot(slot).generation.load(Ordering::Acquire) }
    }

    /// True if the slot is still this one's. In a transaction: of two looks, the first may be at the last
    /// moments of this one and the second at the first of the next.
    ///
    /// # Errors
    /// Those of a transaction.
    pub(crate) fn holds_good(&self, claim: Claim, patience: &Patience) -> Result<bool> {
        let words = SlotWords::of(claim.slot);
        self.transaction(patience, |txn| {
            let is_free = txn.get(words.state()) == FREE;
            Ok(!is_free && txn.get(words.generation()) == claim.generation)
        })
    }

    /// Takes the reservation back unless the new process has taken its slot; that one's pid, if so.
    /// Of the two, one wins: a process whose reservation was taken back ends before it has run.
    ///
    /// # Errors
    /// [`Error::Closed`] if the claim is void.
    pub(crate) fn withdraw(&self, claim: Claim, patience: &Patience) -> Result<Option<i32>> {
        let words = SlotWords::of(claim.slot);
        self.transaction(patience, |txn| {
            if txn.get(words.generation()) != claim.generation {
                return Err(Error::Closed);
            }
            match txn.get(words.state()) {
                STARTING => txn.set(words.state(), WITHDRAWN).map(|()| None),
                WITHDRAWN => Ok(None),
                RUNNING => Ok(Some(txn.get(words.pid()) as i32)),
                _ => Err(Error::Closed),
            }
        })
    }

    /// Reserves a slot for a process that is about to start, with its start request and with what
    /// it is going to hold. One that is `bounded` is ended after a while, as is what this process starts if
    /// it is.
    pub(crate) fn new_slot(&self, spec: &[u8], handles: &[u64], bounded: bool) -> Result<Claim> {
        let mut handles = handles.to_vec();
        handles.sort_unstable();
        handles.dedup();
        self.transaction(&Patience::forever(), |txn| {
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
            // Before the state: who sees this one's state does not see the last one's pid.
            txn.set(words.pid(), 0)?;
            let me = u64::from(self.me()) << 32 | u64::from(syscalls::pid());
            txn.set(words.parent(), me)?;
            txn.set(words.ancestor(), self.claim(self.me()).word())?;
            let size = spec.len() as u64 + BYTES;
            let block = txn.alloc(size, Tag::SPEC)?;
            self.word(block + LENGTH).store(spec.len() as u64, Ordering::Relaxed);
            // SAFETY: the block was allocated just now, and the transaction is not committed.
            unsafe { self.write(block + BYTES, spec) }?;
            txn.set(words.spec(), block)?;
            txn.set(words.spec_size(), size)?;
            txn.set(words.holds(), 0)?;
            // Who ends this process ends what it has started, too.
            let own = SlotWords::of(self.me());
            let bounded = bounded || txn.get(own.bounded()) != 0;
            txn.set(words.bounded(), bounded.into())?;
            txn.set(words.state(), STARTING)?;
            for group in handles.chunks(HOLDS_PER_BLOCK) {
                let entries = self.add_holds(txn, index)?;
                for (object, entry) in group.iter().zip(entries) {
                    self.word(entry).store(*object, Ordering::Relaxed);
                    retain(txn, *object, By::Process)?;
                }
            }
            // Last: who sees it sees the rest.
            let generation = txn.get(words.generation()) + 1;
            txn.set(words.generation(), generation)?;
            Ok(Claim { slot: index, generation })
        })
    }

    /// In a new process: takes the slot that the parent reserved, and reads the start request. From
    /// here on the arena stays mapped to the process's end.
    ///
    /// # Errors
    /// [`Error::Closed`] if the reservation was taken back, and the slot may be another's.
    pub(crate) fn enter_slot(self: &Arc<Arena>, claim: Claim) -> Result<Vec<u8>> {
        let index = claim.slot;
        let slot = self.slot(index);
        let words = SlotWords::of(index);
        let spec = self.transaction(&Patience::deaf(), |txn| {
            let mine = txn.get(words.generation()) == claim.generation;
            if !mine || txn.get(words.state()) != STARTING {
                return Err(Error::Closed);
            }
            let block = txn.get(words.spec());
            let length = self.word(block + LENGTH).load(Ordering::Relaxed) as usize;
            let mut spec = Vec::new();
            // SAFETY: the parent wrote it before it published the slot; it is for this process alone.
            unsafe { self.read(block + BYTES, length, &mut spec) }?;
            txn.set(words.pid(), syscalls::pid().into())?;
            txn.set(words.state(), RUNNING)?;
            txn.set(words.spec(), 0)?;
            let size = txn.get(words.spec_size());
            txn.free(block, size)?;
            Ok(spec)
        })?;
        self.me.store(index, Ordering::Relaxed);
        self.parent.store(slot.parent.load(Ordering::Relaxed) as u32, Ordering::Relaxed);
        // The main thread never releases its life.
        std::mem::forget(self.clone());
        // SAFETY: the arena was just kept from ever being unmapped.
        unsafe { slot.life.acquire(Wait::Never) }.map_err(|_| Error::Closed)?;
        Ok(spec)
    }

    /// In a new process: the objects that the parent gave it, by offset.
    ///
    /// # Errors
    /// None that is known: no other thread has the registry yet.
    pub(crate) fn given(self: &Arc<Arena>) -> Result<HashMap<u64, Arc<Held>>> {
        self.registry.with(&Patience::deaf(), |registry| {
            let mut given = HashMap::new();
            for entry in self.entries(self.me()) {
                match self.word(entry).load(Ordering::Relaxed) {
                    0 => registry.free.push(entry),
                    object => {
                        given.insert(object, registry.adopt(self, object, entry));
                    }
                }
            }
            Ok(given)
        })
    }
}
