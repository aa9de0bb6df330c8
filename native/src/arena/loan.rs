//! Blocks that hold one large message each, apart from the queue's own segments: while it is written or
//! read in place, the block is one process's, and stands on its record as an object does.
//!
//! A block changes hands in the transaction that publishes or takes the message: off the record of who
//! has written it and into the queue, out of the queue and onto the record of who reads it. So at each
//! moment it is somebody's, and that of a process that is killed is freed by its recovery.

use super::Arena;
use super::alloc::Txn;
use super::layout::{HEAP, Tag};
use super::put_off::Left;
use crate::sync::patience::Patience;
use procbox_core::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// In a block: its tag, its size, where in it the message begins.
const SIZE: u64 = 8;
const START: u64 = 16;
/// Where that is, if nothing is asked for; and the multiple at which a message's contents stand.
const FIRST: u64 = 64;
/// The longest beginning of a message that stands before its contents.
pub(crate) const MOST_PREFIX: usize = 32;

/// A block that this process has for itself. Dropped, it is freed.
pub(crate) struct Loan {
    arena: Arc<Arena>,
    block: u64,
    /// Entry in this process's record; 0 if the block was given away.
    entry: u64,
    start: u64,
    bytes: usize,
}

impl Arena {
    /// A block for a message of so many bytes, of which all but the first `prefix` stand at a multiple of
    /// 64. There is in it whatever was there before.
    ///
    /// # Errors
    /// [`Error::Exhausted`], and those of transactions.
    pub(crate) fn loan(
        self: &Arc<Arena>,
        bytes: usize,
        prefix: usize,
        patience: &Patience,
    ) -> Result<Loan> {
        let prefix = prefix.min(MOST_PREFIX) as u64;
        let start = if prefix == 0 { FIRST } else { 2 * FIRST - prefix };
        let size = start.saturating_add(bytes as u64);
        self.watch_kept(size);
        let (block, entry) = self.registry.with(patience, |registry| {
            self.reserve(registry, 1, patience)?;
            let entry = registry.free[registry.free.len() - 1];
            let block = self.transaction(patience, |txn| {
                let block = txn.alloc(size, Tag::LOAN)?;
                self.word(block + SIZE).store(size, Ordering::Relaxed);
                self.word(block + START).store(start, Ordering::Relaxed);
                txn.set(entry, block)?;
                Ok(block)
            })?;
            registry.free.pop();
            Ok((block, entry))
        })?;
        Ok(Loan { arena: self.clone(), block, entry, start, bytes })
    }

    /// Where a message of so many bytes begins, in a block that a queue's record names.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not there.
    fn start_of(&self, block: u64, bytes: usize) -> Result<u64> {
        let invalid = || Error::Invalid("the queue's memory was scribbled over".into());
        if self.tag(block) != Some(Tag::LOAN) {
            return Err(invalid());
        }
        let (size, start) = (self.word(block + SIZE), self.word(block + START));
        let (size, start) = (size.load(Ordering::Relaxed), start.load(Ordering::Relaxed));
        let end = start.checked_add(bytes as u64).filter(|end| start >= FIRST && *end <= size);
        let inside = block.checked_add(size).is_some_and(|end| block >= HEAP && end <= self.size());
        if end.is_some() && inside { Ok(start) } else { Err(invalid()) }
    }

    /// The block of a message that was taken, which is on this process's record by now.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no such block; then nothing of it is freed.
    pub(crate) fn borrowed(
        self: &Arc<Arena>,
        block: u64,
        entry: u64,
        bytes: usize,
    ) -> Result<Loan> {
        let start = self.start_of(block, bytes)?;
        Ok(Loan { arena: self.clone(), block, entry, start, bytes })
    }

    /// Frees the block of a message that nobody reads, as part of a transaction.
    ///
    /// # Errors
    /// Those of transactions. A block that is none is left alone.
    pub(crate) fn free_block(&self, txn: &mut Txn<'_>, block: u64) -> Result<()> {
        match self.start_of(block, 0) {
            Ok(_) => txn.free(block, txn.get(block + SIZE)),
            Err(_) => Ok(()),
        }
    }

    /// Takes a block off a record, and frees it.
    ///
    /// # Errors
    /// Those of transactions.
    pub(crate) fn free_loaned(&self, entry: u64, patience: &Patience) -> Result<()> {
        self.transaction(patience, |txn| {
            let block = txn.get(entry);
            txn.set(entry, 0)?;
            self.free_block(txn, block)
        })
    }

    /// As [`Arena::free_loaned`], for one of this process's own.
    pub(super) fn give_back_loan(&self, entry: u64, patience: &Patience) -> Result<()> {
        self.registry.with(patience, |registry| {
            self.free_loaned(entry, patience)?;
            registry.free.push(entry);
            Ok(())
        })
    }
}

impl Loan {
    /// The block.
    pub(crate) fn block(&self) -> u64 {
        self.block
    }

    /// True if it is one of this arena.
    pub(crate) fn is_of(&self, arena: &Arc<Arena>) -> bool {
        Arc::ptr_eq(&self.arena, arena)
    }

    /// The size of the message.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// Makes the message shorter.
    pub(crate) fn truncate(&mut self, bytes: usize) {
        self.bytes = self.bytes.min(bytes);
    }

    /// The message.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the block is on the record of this process, which has no other view of it than through
        // `self`; it is freed or given away when `self` is.
        unsafe { self.arena.slice(self.block + self.start, self.bytes) }
    }

    /// The message, to be written.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { self.arena.slice_mut(self.block + self.start, self.bytes) }
    }

    /// Takes it off the record, as part of the transaction in which it is given away.
    pub(crate) fn hand_over(&self, txn: &mut Txn<'_>) -> Result<()> {
        txn.set(self.entry, 0)
    }

    /// After that transaction: the block is no more this process's.
    pub(crate) fn handed_over(mut self) {
        let entry = std::mem::take(&mut self.entry);
        // If that fails there is one entry less to be used again.
        let _ = self.arena.registry.with(&Patience::brief(), |registry| {
            registry.free.push(entry);
            Ok(())
        });
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if self.entry == 0 {
            return;
        }
        let given_back = self.arena.give_back_loan(self.entry, &Patience::brief());
        if let Err(Error::TimedOut | Error::Interrupted) = given_back {
            self.arena.put_off(Some(Left::Loan { entry: self.entry }));
        }
    }
}
