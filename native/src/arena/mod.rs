//! The arena: sparse shared memory in which all primitives of a context live.
//!
//! One `memfd`, mapped by every process of the context. An address in it is an offset, and a handle
//! is the offset of an object. All that has structure (free lists, reference counts, the process
//! table) changes by transactions, so a process that is killed at any moment leaves nothing half
//! done: see [`alloc::Txn`]. docs/native.md has the whole story.

pub(crate) mod alloc;
pub(crate) mod layout;
pub(crate) mod recover;
pub(crate) mod table;

use crate::sys;
use layout::{BODY, HEAP, Header, MAGIC, Object, SLOTS, Shared, Slot, TABLE, Tag};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use procbox_core::{Deadline, Error, Result, SystemClock, Wait};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use table::Registry;

/// What is asked for, and what is tried when the address space is limited.
const SIZES: [u64; 4] = [64 << 30, 16 << 30, 4 << 30, 1 << 30];

/// How often a blocked process whose parent is dead looks whether others in that position have died:
/// nobody reaps them who would do their recovery.
const ORPHAN_CHECK: Duration = Duration::from_secs(1);
/// How often one whose parent lives looks at that. It is told of the death by a signal, so this is for
/// one that comes in the moment between the last look and going to sleep. It is longer than any test
/// waits, so that it makes up for no wake that was lost.
const PARENT_CHECK: Duration = Duration::from_secs(300);

/// The mapped arena, and what this process knows about itself in it.
pub(crate) struct Arena {
    base: NonNull<u8>,
    size: u64,
    pub(crate) fd: OwnedFd,
    /// This process's slot.
    me: AtomicU32,
    /// The parent's pid if the parent is in this arena, else 0.
    parent: AtomicU32,
    pub(crate) registry: Mutex<Registry>,
}

// SAFETY: the memory is shared between processes anyway: it is accessed through atomics, or
// under locks that are in it.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// A new arena; the calling process is its slot 0.
    pub(crate) fn create() -> Result<Arc<Arena>> {
        let fd = memfd_create(c"procbox-arena", MFdFlags::MFD_CLOEXEC)
            .map_err(|e| Error::os("memfd_create", e))?;
        let mut last = Error::Exhausted("shared memory".into());
        for size in SIZES {
            match Arena::map_new(&fd, size) {
                Ok(base) => {
                    let arena = Arena::new(base, size, fd);
                    let header = arena.header();
                    header.magic.store(MAGIC, Ordering::Relaxed);
                    header.size.store(size, Ordering::Relaxed);
                    header.bump.store(HEAP, Ordering::Relaxed);
                    header.slots.store(1, Ordering::Relaxed);
                    let slot = arena.slot(0);
                    slot.pid.store(std::process::id().into(), Ordering::Relaxed);
                    slot.state.store(layout::RUNNING, Ordering::Release);
                    return Ok(arena);
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    fn map_new(fd: &OwnedFd, size: u64) -> Result<NonNull<u8>> {
        nix::unistd::ftruncate(fd, size as i64).map_err(|e| Error::os("ftruncate", e))?;
        Arena::map(fd, size)
    }

    /// The arena that another process made.
    pub(crate) fn attach(fd: OwnedFd) -> Result<Arc<Arena>> {
        let stat = nix::sys::stat::fstat(&fd).map_err(|e| Error::os("fstat", e))?;
        let size = stat.st_size.unsigned_abs();
        if size < HEAP {
            return Err(Error::Invalid("not an arena: too small".into()));
        }
        let arena = Arena::new(Arena::map(&fd, size)?, size, fd);
        let header = arena.header();
        if header.magic.load(Ordering::Relaxed) != MAGIC
            || header.size.load(Ordering::Relaxed) != size
        {
            return Err(Error::Invalid("not an arena of this version of procbox".into()));
        }
        Ok(arena)
    }

    fn new(base: NonNull<u8>, size: u64, fd: OwnedFd) -> Arc<Arena> {
        Arc::new(Arena {
            base,
            size,
            fd,
            me: AtomicU32::new(0),
            parent: AtomicU32::new(0),
            registry: Mutex::new(Registry::default()),
        })
    }

    fn map(fd: &OwnedFd, size: u64) -> Result<NonNull<u8>> {
        let length = usize::try_from(size).ok().and_then(NonZeroUsize::new);
        let length = length.ok_or_else(|| Error::Invalid("arena size".into()))?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        unsafe { mmap(None, length, protection, flags, fd, 0) }
            .map(NonNull::cast)
            .map_err(|e| Error::os("mmap", e))
    }

    /// Views a `T` at an offset that procbox itself put there.
    ///
    /// # Panics
    /// If the offset is outside of the arena: some process scribbled over it.
    #[inline]
    pub(crate) fn at<T: Shared>(&self, offset: u64) -> &T {
        // The arena is larger than any `T`, so this does not wrap.
        let inside = offset <= self.size - size_of::<T>() as u64;
        if !(inside && offset.is_multiple_of(align_of::<T>() as u64)) {
            scribbled();
        }
        // SAFETY: in range and aligned; `Shared` types are atomics, valid whatever the bytes; the
        // mapping lives as long as `self`.
        unsafe { self.base.add(offset as usize).cast::<T>().as_ref() }
    }

    pub(crate) fn header(&self) -> &Header {
        self.at(0)
    }

    #[inline]
    pub(crate) fn word(&self, offset: u64) -> &AtomicU64 {
        self.at(offset)
    }

    pub(crate) fn slot(&self, index: u32) -> &Slot {
        self.at(Arena::slot_offset(index))
    }

    fn slot_offset(index: u32) -> u64 {
        TABLE + u64::from(index).min(SLOTS - 1) * size_of::<Slot>() as u64
    }

    pub(crate) fn object(&self, offset: u64) -> &Object {
        self.at(offset)
    }

    /// The part of an object that is its kind's own.
    #[inline]
    pub(crate) fn body<T: Shared>(&self, object: u64) -> &T {
        self.at(object + BODY)
    }

    /// The kind of the block at an offset that came from another process.
    pub(crate) fn tag(&self, offset: u64) -> Option<Tag> {
        let inside = offset >= HEAP && offset <= self.size - 512 && offset.is_multiple_of(64);
        inside.then(|| Tag(self.word(offset).load(Ordering::Acquire)))
    }

    #[inline]
    fn range(&self, offset: u64, length: usize) -> Result<NonNull<u8>> {
        match offset.checked_add(length as u64) {
            Some(end) if offset >= HEAP && end <= self.size => {
                // SAFETY: inside the mapping, just checked.
                Ok(unsafe { self.base.add(offset as usize) })
            }
            _ => Err(Error::Invalid("an offset outside of the arena".into())),
        }
    }

    /// Copies bytes in. The caller owns the block, by lock or because it is not published yet.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let to = self.range(offset, bytes.len())?;
        // SAFETY: in range; a Rust slice is never inside the arena, so they do not overlap.
        unsafe { to.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// Appends bytes of the arena to `into`. The caller owns the block, by lock.
    pub(crate) fn read(&self, offset: u64, length: usize, into: &mut Vec<u8>) -> Result<()> {
        let from = self.range(offset, length)?;
        into.reserve(length);
        // SAFETY: in range, and room was reserved; a vector is never inside the arena; the bytes
        // up to the new length are initialised by the copy.
        unsafe {
            let to = into.as_mut_ptr().add(into.len());
            to.copy_from_nonoverlapping(from.as_ptr(), length);
            into.set_len(into.len() + length);
        }
        Ok(())
    }

    /// This process's slot.
    pub(crate) fn me(&self) -> u32 {
        self.me.load(Ordering::Relaxed)
    }

    /// Waits like [`crate::sync::futex::wait`] on several words, and looks after those that have
    /// nobody else once the parent is dead, so that a process whose ancestors were killed is not
    /// blocked for ever.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Interrupted`].
    pub(crate) fn block(&self, words: &[(&AtomicU32, u32)], until: Deadline) -> Result<()> {
        use crate::sync::futex::{Woke, wait, wait_many};
        let has_parent = self.parent.load(Ordering::Relaxed) != 0;
        let slice = match (has_parent, sys::parent_died()) {
            (false, _) => Wait::Forever,
            (true, false) => Wait::AtMost(PARENT_CHECK),
            (true, true) => Wait::AtMost(ORPHAN_CHECK),
        };
        let limit = until.min(slice.deadline(&SystemClock));
        let woke = match words {
            [(word, expected)] => wait(word, *expected, limit),
            _ => wait_many(words, limit),
        };
        match woke {
            Woke::Look if has_parent && sys::parent_died() => {
                self.recover_orphaned();
                Ok(())
            }
            Woke::Look => Ok(()),
            Woke::Interrupted => Err(Error::Interrupted),
            Woke::TimedOut if until.is_past(&SystemClock) => Err(Error::TimedOut),
            Woke::TimedOut => {
                self.recover_orphaned();
                Ok(())
            }
        }
    }
}

#[cold]
fn scribbled() -> ! {
    panic!("procbox: the shared memory was scribbled over")
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: all views borrow from `self`, and this is its end.
        let _ = unsafe { munmap(self.base.cast::<c_void>(), self.size as usize) };
    }
}
