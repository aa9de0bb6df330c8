//! Transactions, and the allocator, which is made of them.
//!
//! A transaction holds the arena's lock, stages its writes in the log, and commits by one store:
//! the log's length. Then it applies the writes and sets the length back to 0. A process that is
//! killed before the commit has changed nothing; one that is killed after it is finished by the
//! next process that takes the lock, since the writes are absolute and can be applied twice. So
//! blocks, references and the words that refer to them change together or not at all, and nothing
//! leaks.
//!
//! Blocks have sizes of powers of two and one free list per size. The first word of a block is its
//! tag while it is used and the next free block while it is free; only transactions write it.
//! Large blocks have a second list: of those that are free and have kept their memory (`kept`).

use super::layout::{CLASSES, HEAP, Header, LOG, LogEntry, TAGS, Tag, WAKE};
use super::map::{Map, PAGE};
use crate::sync::atomic::Ordering;
use crate::sync::futex;
use crate::sync::patience::Patience;
use procbox_core::{Error, Result};
use std::mem::offset_of;

const SMALLEST: u32 = 6;
/// Blocks of 256 KiB and more give their memory back to the system: soon after they were freed.
pub(super) const GIVEN_BACK: u32 = 18;
/// Free blocks that have not given it back have no more than this together, by their sizes.
pub(crate) const MOST_KEPT: u64 = 64 << 20;

/// Offsets of the header's words.
pub(crate) const UNREFERENCED: u64 = offset_of!(Header, unreferenced) as u64;
pub(crate) const RECLAIMING: u64 = offset_of!(Header, reclaiming) as u64;
pub(super) const SUSPECTS: u64 = offset_of!(Header, suspects) as u64;
pub(super) const EMPTYING: u64 = offset_of!(Header, emptying) as u64;
pub(crate) const SLOTS_USED: u64 = offset_of!(Header, slots) as u64;
pub(super) const KEEPER: u64 = offset_of!(Header, keeper) as u64;
const BUMP: u64 = offset_of!(Header, bump) as u64;
const KEPT_BYTES: u64 = offset_of!(Header, kept_bytes) as u64;
const KEPT_USED: u64 = offset_of!(Header, kept_used) as u64;

/// The logarithm of the size of the block for `size` bytes.
fn class_of(size: u64) -> Result<u32> {
    let class = size.max(1).checked_next_power_of_two().map_or(64, u64::trailing_zeros);
    if class as usize >= CLASSES {
        return Err(full());
    }
    Ok(class.max(SMALLEST))
}

/// What [`full`] says is used up.
pub(super) const MEMORY: &str = "shared memory";

/// The error of an allocation for which there is no room. `Arena::transaction` says more of it.
#[cold]
fn full() -> Error {
    Error::Exhausted(MEMORY.into())
}

fn free_list(class: u32) -> u64 {
    (offset_of!(Header, free) + class as usize * size_of::<u64>()) as u64
}

/// The list of free blocks of a size that have kept their memory.
fn kept_list(class: u32) -> u64 {
    (offset_of!(Header, kept) + class as usize * size_of::<u64>()) as u64
}

/// A transaction that is being made.
pub(crate) struct Txn<'a> {
    map: &'a Map,
    /// Writes staged in the log.
    staged: usize,
    /// The large blocks that were freed.
    given_back: Vec<(u64, u64)>,
}

impl Map {
    /// Makes a transaction: all that `make` does happens if it succeeds, and nothing of it if it
    /// fails. First that of a process that died in the middle of one is finished.
    ///
    /// # Errors
    /// [`Error::TimedOut`] and [`Error::Interrupted`] if the arena's lock is not to be had, and those of
    /// `make`.
    #[inline]
    pub(crate) fn transaction<R>(
        &self,
        patience: &Patience,
        make: impl FnOnce(&mut Txn<'_>) -> Result<R>,
    ) -> Result<R> {
        self.header().lock.0.hold(patience, |owner_died| {
            if owner_died {
                let staged = self.header().log_length.load(Ordering::Acquire) as usize;
                self.apply(staged.min(LOG), true);
            }
            let mut txn = Txn { map: self, staged: 0, given_back: Vec::new() };
            let made = make(&mut txn)?;
            txn.commit();
            Ok(made)
        })
    }

    /// Makes sure that no committed transaction is left unapplied.
    pub(crate) fn sync(&self, patience: &Patience) -> Result<()> {
        self.transaction(patience, |_| Ok(()))
    }

    fn apply(&self, staged: usize, of_the_dead: bool) {
        let header = self.header();
        for entry in &header.log[..staged] {
            let offset = entry.offset.load(Ordering::Relaxed);
            if offset & WAKE == 0 {
                self.word(offset).store(entry.value.load(Ordering::Relaxed), Ordering::Release);
            } else if of_the_dead {
                for counter in [self.at(offset & !WAKE), self.shared()] {
                    counter.fetch_add(1, Ordering::SeqCst);
                    futex::wake_all(counter);
                }
            }
        }
        header.log_length.store(0, Ordering::Release);
    }
}

impl Txn<'_> {
    fn log(&self) -> &[LogEntry; LOG] {
        &self.map.header().log
    }

    /// A word as it will be.
    pub(crate) fn get(&self, offset: u64) -> u64 {
        let staged = self.log()[..self.staged].iter().rev();
        match staged.into_iter().find(|e| e.offset.load(Ordering::Relaxed) == offset) {
            Some(entry) => entry.value.load(Ordering::Relaxed),
            None => self.map.word(offset).load(Ordering::Acquire),
        }
    }

    /// Writes a word.
    ///
    /// # Errors
    /// [`Error::Exhausted`] if the transaction is too large.
    pub(crate) fn set(&mut self, offset: u64, value: u64) -> Result<()> {
        let Some(entry) = self.log().get(self.staged) else {
            return Err(Error::Exhausted("room in a transaction".into()));
        };
        entry.offset.store(offset, Ordering::Relaxed);
        entry.value.store(value, Ordering::Relaxed);
        self.staged += 1;
        Ok(())
    }

    /// If this process dies before it has done so itself, a counter is bumped for it and its
    /// waiters are woken.
    pub(crate) fn wake(&mut self, counter: u64) -> Result<()> {
        self.set(counter | WAKE, 0)
    }

    /// A block of at least `size` bytes. All but its first word may be written before the commit;
    /// what is in it is whatever was there before.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub(crate) fn alloc(&mut self, size: u64, tag: Tag) -> Result<u64> {
        let class = class_of(size)?;
        let kept = if class >= GIVEN_BACK { self.get(kept_list(class)) } else { 0 };
        let free = self.get(free_list(class));
        let block = if kept != 0 {
            let used = self.get(KEPT_USED);
            self.set(KEPT_USED, used + 1)?;
            self.take_kept(kept, class)?;
            kept
        } else if free != 0 {
            let next = self.get(free);
            self.set(free_list(class), next)?;
            free
        } else {
            let size = 1 << class;
            let block = self.get(BUMP).next_multiple_of(size.min(PAGE));
            let end = block.checked_add(size).filter(|end| *end <= self.map.size());
            let end = end.ok_or_else(full)?;
            self.set(BUMP, end)?;
            block
        };
        self.count(tag, class, u64::wrapping_add)?;
        self.set(block, tag.word())?;
        Ok(block)
    }

    /// Counts a block of this size that comes into use, or that is used no more.
    fn count(&mut self, tag: Tag, class: u32, change: fn(u64, u64) -> u64) -> Result<()> {
        if tag.index() >= TAGS {
            return Ok(());
        }
        let at = (offset_of!(Header, used) + tag.index() * size_of::<u64>()) as u64;
        let one = 1 << 32 | 1 << (class - SMALLEST);
        self.set(at, change(self.get(at), one))
    }

    /// Frees a block that was allocated with this size.
    pub(crate) fn free(&mut self, block: u64, size: u64) -> Result<()> {
        let class = class_of(size)?;
        self.count(Tag::of_word(self.get(block)), class, u64::wrapping_sub)?;
        if class >= GIVEN_BACK && block >= HEAP {
            let kept = self.get(KEPT_BYTES).saturating_add(1 << class);
            if kept <= MOST_KEPT && self.get(KEEPER) != 0 {
                self.set(KEPT_BYTES, kept)?;
                return self.push(kept_list(class), block);
            }
            self.given_back.push((block, 1 << class));
        }
        self.push(free_list(class), block)
    }

    /// Puts a block onto a list.
    fn push(&mut self, list: u64, block: u64) -> Result<()> {
        let next = self.get(list);
        self.set(block, next)?;
        self.set(list, block)
    }

    /// Takes the first block off its list of those that have kept their memory.
    fn take_kept(&mut self, block: u64, class: u32) -> Result<()> {
        let next = self.get(block);
        self.set(kept_list(class), next)?;
        let kept = self.get(KEPT_BYTES).saturating_sub(1 << class);
        self.set(KEPT_BYTES, kept)
    }

    /// Has one of the blocks that have kept their memory give it back; `false` if there is none.
    ///
    /// # Errors
    /// Those of [`Txn::set`].
    pub(super) fn give_back_one(&mut self) -> Result<bool> {
        for class in GIVEN_BACK..CLASSES as u32 {
            let block = self.get(kept_list(class));
            if block != 0 {
                self.take_kept(block, class)?;
                self.push(free_list(class), block)?;
                self.given_back.push((block, 1 << class));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes all of it happen.
    fn commit(self) {
        if self.staged == 0 {
            return;
        }
        self.map.header().log_length.store(self.staged as u64, Ordering::Release);
        self.map.apply(self.staged, false);
        // Still under the lock: nobody else can have been given the block yet.
        for (block, size) in &self.given_back {
            // The first page stays: it has the link of the free list.
            self.map.punch(block + PAGE, size - PAGE);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use procbox_core::Wait;
    use std::sync::Arc;

    #[test]
    fn a_freed_block_is_given_out_again() -> Result<()> {
        let map = Map::create(None)?;
        let (a, b) = map.transaction(&Patience::deaf(), |txn| {
            Ok((txn.alloc(100, Tag::SPEC)?, txn.alloc(100, Tag::SPEC)?))
        })?;
        assert_ne!(a, b);
        let again = map.transaction(&Patience::deaf(), |txn| {
            txn.free(a, 100)?;
            txn.alloc(128, Tag::HOLDS)
        })?;
        assert_eq!((again, map.tag(a)), (a, Some(Tag::HOLDS)));
        Ok(())
    }

    #[test]
    fn a_failed_transaction_changes_nothing() -> Result<()> {
        let map = Map::create(None)?;
        let before = map.header().bump.load(Ordering::Relaxed);
        let mut block = 0;
        let failed: Result<()> = map.transaction(&Patience::deaf(), |txn| {
            block = txn.alloc(64, Tag::SPEC)?;
            Err(Error::Closed)
        });
        assert_eq!(failed, Err(Error::Closed));
        assert_eq!(map.header().bump.load(Ordering::Relaxed), before);
        assert_ne!(map.tag(block), Some(Tag::SPEC));
        Ok(())
    }

    #[test]
    fn a_holder_that_dies_after_the_commit_is_finished_by_the_next() -> Result<()> {
        let map = Arc::new(Map::create(None)?);
        let of_the_dead = map.clone();
        let thread = std::thread::spawn(move || -> Result<u64> {
            // The thread ends with the lock held and nothing applied, as a killed process does.
            // SAFETY: the map outlives the thread, which is joined.
            unsafe { of_the_dead.header().lock.0.acquire(Wait::Never) }?;
            let mut txn = Txn { map: &of_the_dead, staged: 0, given_back: Vec::new() };
            let block = txn.alloc(64, Tag::SPEC)?;
            let staged = txn.staged as u64;
            of_the_dead.header().log_length.store(staged, Ordering::Release);
            Ok(block)
        });
        let block = thread.join().map_err(|_| Error::Closed)??;
        map.sync(&Patience::deaf())?;
        assert_eq!(map.tag(block), Some(Tag::SPEC));
        assert_eq!(map.header().log_length.load(Ordering::Relaxed), 0);
        Ok(())
    }

    #[test]
    fn large_blocks_give_their_memory_back() -> Result<()> {
        let map = Map::create(None)?;
        let used = || {
            let path = format!("/proc/self/fd/{}", map.raw_fd());
            std::fs::metadata(path)
                .map_or(0, |file| std::os::unix::fs::MetadataExt::blocks(&file) * 512)
        };
        let fill = |blocks: u64| -> Result<Vec<u64>> {
            let of_one = vec![1; (1 << 20) - 8];
            (0..blocks)
                .map(|_| {
                    let alloc = |txn: &mut Txn<'_>| txn.alloc(1 << 20, Tag::SPEC);
                    let block = map.transaction(&Patience::deaf(), alloc)?;
                    // SAFETY: nobody else knows the map.
                    unsafe { map.write(block + 8, &of_one) }?;
                    Ok(block)
                })
                .collect()
        };
        let free = |block| {
            map.transaction(&Patience::deaf(), |txn: &mut Txn<'_>| txn.free(block, 1 << 20))
        };
        let empty = used();
        fill(1)?.into_iter().try_for_each(free)?;
        assert!(used() <= empty + 8192, "nobody looks after what is kept");
        // With a keeper some of them keep it, until that one gives it back.
        map.transaction(&Patience::deaf(), |txn| txn.set(KEEPER, 1))?;
        let most = MOST_KEPT >> 20;
        fill(most + 8)?.into_iter().try_for_each(free)?;
        assert!(used() <= empty + MOST_KEPT + ((most + 8) << 13), "{} bytes", used() - empty);
        assert!(used() >= empty + MOST_KEPT - (1 << 20));
        let before = used();
        fill(most)?.into_iter().try_for_each(free)?;
        assert_eq!(used(), before, "the same memory is used again");
        while map.transaction(&Patience::deaf(), |txn| txn.give_back_one())? {}
        assert!(used() <= empty + ((most + 8) << 13), "{} bytes", used() - empty);
        assert_eq!(map.header().kept_bytes.load(Ordering::Relaxed), 0);
        fill(most + 8)?.into_iter().try_for_each(free)
    }

    #[test]
    fn too_much_is_an_error() -> Result<()> {
        let map = Map::create(None)?;
        let alloc = |size| map.transaction(&Patience::deaf(), |txn| txn.alloc(size, Tag::SPEC));
        assert!(matches!(alloc(1 << 39), Err(Error::Exhausted(_))));
        assert!(matches!(alloc(u64::MAX), Err(Error::Exhausted(_))));
        Ok(())
    }
}
