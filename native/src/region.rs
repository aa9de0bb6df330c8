//! Shared bytes: a block of the arena, which every process has mapped.
//!
//! The object has the block's offset and length, and a signal for those who wait until a word changes.
//! Both are made and freed in one transaction each. What a process that dies has written stays.

use crate::arena::Arena;
use crate::arena::held::Held;
use crate::arena::kind::{Kind, reclaimed};
use crate::arena::layout::{BODY, Hold, Tag, shared};
use crate::arena::watches::Wakes;
use crate::sync::futex;
use crate::sync::patience::Patience;
use crate::sync::signal::Signal;
use procbox_core::observe::{Operation, Waiting};
use procbox_core::raw::{AtomicOp, Handle, RawRegion, Watch, Words};
use procbox_core::time::SystemClock;
use procbox_core::{Error, Result, Wait};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

shared! {
    /// The body of a region.
    struct Core {
        /// The block that has the bytes, behind its tag.
        block: AtomicU64,
        /// The number of bytes.
        length: AtomicU64,
        /// For those who wait until a word is another.
        changed: Signal,
    }
}

/// Kind of blocks that have the bytes.
const BYTES: Tag = Tag::number(12);

/// From a block to its bytes: a cache line.
const FIRST: u64 = 64;

/// A region, by handle.
pub(crate) struct NativeRegion(Arc<Held>);

/// Kind of regions, as the arena sees it.
pub(crate) struct RegionKind;

const SIZE: u64 = size_of::<Core>() as u64;

impl Kind for RegionKind {
    fn tag(&self) -> Tag {
        Tag::number(8)
    }

    fn size(&self) -> u64 {
        BODY + SIZE
    }

    fn handle(&self, held: Arc<Held>) -> Option<Handle> {
        Some(Handle::Region(Arc::new(NativeRegion(held))))
    }

    fn held<'a>(&self, handle: &'a Handle) -> Option<&'a Arc<Held>> {
        let Handle::Region(raw) = handle else { return None };
        (&**raw as &dyn Any).downcast_ref().map(|region: &NativeRegion| &region.0)
    }

    fn recover(&self, arena: &Arena, object: u64, _: &Hold, _: &Patience) -> Result<()> {
        // It may have died before it told of a change.
        arena.body::<Core>(object).changed.bump(arena.shared(), futex::wake_all);
        Ok(())
    }

    fn reclaim(&self, arena: &Arena, object: u64, patience: &Patience) -> Result<()> {
        let core: &Core = arena.body(object);
        let block = core.block.load(Ordering::Relaxed);
        let length = core.length.load(Ordering::Relaxed);
        arena.transaction(patience, |txn| {
            txn.free(block, FIRST + length.next_multiple_of(8))?;
            reclaimed(txn, object, self.size(), None)
        })
    }
}

impl NativeRegion {
    pub(crate) fn create(arena: &Arc<Arena>, length: usize) -> Result<NativeRegion> {
        let length = length as u64;
        let room = length.next_multiple_of(8);
        let held = arena.create_object(&RegionKind, |txn, object| {
            let block = txn.alloc(FIRST + room, BYTES)?;
            arena.empty(block + FIRST, room);
            arena.zero(object + BODY, SIZE);
            let core: &Core = arena.body(object);
            core.block.store(block, Ordering::Relaxed);
            core.length.store(length, Ordering::Relaxed);
            Ok(())
        });
        held.map(NativeRegion)
    }

    fn core(&self) -> &Core {
        self.0.arena.body(self.0.offset)
    }

    fn all(&self) -> Result<Words<'_>> {
        let core = self.core();
        let length = core.length.load(Ordering::Relaxed);
        let bytes = core.block.load(Ordering::Relaxed) + FIRST;
        Words::new(self.0.arena.words(bytes, length.div_ceil(8))?, length as usize)
    }
}

impl RawRegion for NativeRegion {
    fn len(&self) -> usize {
        self.core().length.load(Ordering::Relaxed) as usize
    }

    fn read(&self, at: usize, into: &mut [u8]) -> Result<()> {
        self.all()?.read(at, into)
    }

    fn write(&self, at: usize, bytes: &[u8]) -> Result<()> {
        self.all()?.write(at, bytes)
    }

    fn atomic(&self, at: usize, what: AtomicOp) -> Result<u64> {
        self.all()?.atomic(at, what)
    }

    fn wait(&self, at: usize, is: u64, wait: Wait) -> Result<()> {
        let word = self.all()?.word(at)?;
        let is_another = || word.load(Ordering::SeqCst) != is;
        if is_another() {
            return Ok(());
        }
        if wait.is_never() {
            return Err(Error::TimedOut);
        }
        let until = wait.deadline(&SystemClock);
        let waiting = Waiting::begin(std::process::id, Operation::RegionWait, self.0.offset);
        loop {
            let announced = self.core().changed.announce();
            if is_another() {
                waiting.end(true);
                return Ok(());
            }
            // Whoever writes there may be anybody, so it is in no circle.
            self.0.arena.block(&[announced], until)?;
        }
    }

    fn notify(&self) {
        self.core().changed.changed(self.0.arena.shared(), futex::wake_all);
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        self.0.watch(&self.core().changed, Wakes::All, waker).map(Some)
    }

    fn words(&self) -> Option<&[AtomicU64]> {
        let core = self.core();
        let length = core.length.load(Ordering::Relaxed);
        let bytes = core.block.load(Ordering::Relaxed) + FIRST;
        self.0.arena.words(bytes, length.div_ceil(8)).ok()
    }
}
