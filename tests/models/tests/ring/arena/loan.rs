//! Blocks of messages that are apart, and the record that says whose each is: as much of
//! `native/src/arena/loan.rs` as the ring needs.

use crate::arena::Arena;
use crate::arena::alloc::Txn;
use crate::arena::layout::Tag;
use crate::sync::atomic::Ordering;
use crate::sync::patience::Patience;
use procbox_core::Result;
use procbox_models::victim::is_dead;
use std::sync::Arc;

/// Where a message begins in its block.
const START: u64 = 64;

/// One thread's block. What is in it is its first eight bytes.
pub(crate) struct Loan {
    arena: Arc<Arena>,
    block: u64,
    entry: u64,
    contents: Vec<u8>,
    is_written: bool,
}

impl Arena {
    pub(crate) fn loan(
        self: &Arc<Arena>,
        bytes: usize,
        _: usize,
        patience: &Patience,
    ) -> Result<Loan> {
        let entry = self.free_entry();
        let block = self.transaction(patience, |txn| {
            let block = txn.alloc(START + bytes as u64, Tag::number(10))?;
            txn.set(entry, block)?;
            Ok(block)
        })?;
        let contents = vec![0; bytes];
        Ok(Loan { arena: self.clone(), block, entry, contents, is_written: true })
    }

    pub(crate) fn borrowed(
        self: &Arc<Arena>,
        block: u64,
        entry: u64,
        bytes: usize,
    ) -> Result<Loan> {
        let mut contents = Vec::new();
        // SAFETY: the block is this thread's; loom sees whether it is.
        unsafe { self.read(block + START, bytes, &mut contents) }?;
        Ok(Loan { arena: self.clone(), block, entry, contents, is_written: false })
    }

    pub(crate) fn free_block(&self, txn: &mut Txn<'_>, block: u64) -> Result<()> {
        txn.free(block, 0)
    }

    /// What the recovery of a dead process does for each entry of its record.
    pub(crate) fn free_loaned(&self, entry: u64, patience: &Patience) -> Result<()> {
        self.transaction(patience, |txn| {
            let block = self.word(entry).load(Ordering::Acquire);
            txn.set(entry, 0)?;
            if block == 0 { Ok(()) } else { txn.free(block, 0) }
        })
    }
}

impl Loan {
    pub(crate) fn block(&self) -> u64 {
        // Who asks hands it over: until here it was written.
        if self.is_written {
            // SAFETY: the block is this thread's; loom sees whether it is.
            unsafe { self.arena.write(self.block + START, &self.contents) }.expect("it is memory");
        }
        self.block
    }

    pub(crate) fn len(&self) -> usize {
        self.contents.len()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.contents
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.contents
    }

    pub(crate) fn hand_over(&self, txn: &mut Txn<'_>) -> Result<()> {
        txn.set(self.entry, 0)
    }

    pub(crate) fn handed_over(mut self) {
        self.entry = 0;
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // Of one who was killed the recovery frees it.
        if self.entry != 0 && !is_dead() {
            self.arena.free_loaned(self.entry, &Patience::deaf()).expect("nobody is stopped");
        }
    }
}
