//! A process's slot, from its parent's reservation to its own taking of it.

use super::Arena;
use super::alloc::SLOTS_USED;
use super::held::Held;
use super::layout::{FREE, HOLDS_PER_BLOCK, RUNNING, SLOTS, STARTING, Tag};
use super::record::{SlotWords, retain};
use procbox_core::{Error, Result, Wait};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// In the block of a start request: its tag, its length, then its bytes.
const LENGTH: u64 = 8;
const BYTES: u64 = 16;

impl Arena {
    /// Reserves a slot for a process that is about to start, with its start request and with what
    /// it is going to hold.
    pub(crate) fn new_slot(&self, spec: &[u8], handles: &[u64]) -> Result<u32> {
        let mut handles = handles.to_vec();
        handles.sort_unstable();
        handles.dedup();
        self.transaction(|txn| {
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
            let size = spec.len() as u64 + BYTES;
            let block = txn.alloc(size, Tag::SPEC)?;
            self.word(block + LENGTH).store(spec.len() as u64, Ordering::Relaxed);
            // SAFETY: the block was allocated just now, and the transaction is not committed.
            unsafe { self.write(block + BYTES, spec) }?;
            txn.set(words.spec(), block)?;
            txn.set(words.spec_size(), size)?;
            txn.set(words.holds(), 0)?;
            for group in handles.chunks(HOLDS_PER_BLOCK) {
                let entries = self.add_holds(txn, index)?;
                for (object, entry) in group.iter().zip(entries) {
                    self.word(entry).store(*object, Ordering::Relaxed);
                    retain(txn, *object)?;
                }
            }
            Ok(index)
        })
    }

    /// In a new process: takes the slot that the parent reserved, and reads the start request. From
    /// here on the arena stays mapped to the process's end.
    ///
    /// # Errors
    /// [`Error::Closed`] if the slot is another's.
    pub(crate) fn enter_slot(self: &Arc<Arena>, index: u32) -> Result<Vec<u8>> {
        let slot = self.slot(index);
        self.me.store(index, Ordering::Relaxed);
        self.parent.store(slot.parent.load(Ordering::Relaxed) as u32, Ordering::Relaxed);
        // The main thread never releases its life.
        std::mem::forget(self.clone());
        // SAFETY: the arena was just kept from ever being unmapped.
        unsafe { slot.life.acquire(Wait::Never) }.map_err(|_| Error::Closed)?;
        let block = slot.spec.load(Ordering::Relaxed);
        let length = self.word(block + LENGTH).load(Ordering::Relaxed) as usize;
        let mut spec = Vec::new();
        // SAFETY: the parent wrote it before it published the slot; it is for this process alone.
        unsafe { self.read(block + BYTES, length, &mut spec) }?;
        let words = SlotWords::of(index);
        self.transaction(|txn| {
            txn.set(words.pid(), std::process::id().into())?;
            txn.set(words.state(), RUNNING)?;
            txn.set(words.spec(), 0)?;
            txn.free(block, slot.spec_size.load(Ordering::Relaxed))
        })?;
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
}
