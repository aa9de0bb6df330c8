//! The mapped memory of an arena, and the checked way from an offset to what stands there.

use super::layout::{
    BODY, HEAP, Header, MAGIC, NOBODY, Object, RUNNING, SLOTS, Shared, Slot, TABLE, Tag,
};
use crate::syscalls::os;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use procbox_core::{Error, Result, copy};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Size that is asked for, and those that are tried when the address space is limited.
const SIZES: [u64; 4] = [64 << 30, 16 << 30, 4 << 30, 1 << 30];

/// The least that can be asked for: the table of processes, and a little more.
pub(crate) const LEAST: u64 = 4 << 20;

pub(super) const PAGE: u64 = 4096;

/// From so many bytes on it is cheaper to make a hole than to write zeroes.
const HOLE: u64 = 256 << 10;

/// A `memfd` that is mapped whole.
pub(crate) struct Map {
    base: NonNull<u8>,
    size: u64,
    fd: OwnedFd,
}

// SAFETY: the memory is shared between processes anyway: it is accessed through atomics, or
// under locks that are in it.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// A new one, of so many bytes or else as large as it can be; the calling process is in its slot 0.
    pub(crate) fn create(size: Option<u64>) -> Result<Map> {
        let fd = memfd_create(c"procbox-arena", MFdFlags::MFD_CLOEXEC)
            .map_err(|e| os("memfd_create", e))?;
        let mut last = Error::Exhausted("shared memory".into());
        let asked = size.map(|size| size.clamp(LEAST, SIZES[0]).next_multiple_of(PAGE));
        for size in asked.map_or(SIZES.to_vec(), |size| vec![size]) {
            let mapped = nix::unistd::ftruncate(&fd, size as i64)
                .map_err(|e| os("ftruncate", e))
                .and_then(|()| Map::map(&fd, size));
            match mapped {
                Ok(base) => {
                    let map = Map { base, size, fd };
                    let header = map.header();
                    header.magic.store(MAGIC, Ordering::Relaxed);
                    header.size.store(size, Ordering::Relaxed);
                    header.bump.store(HEAP, Ordering::Relaxed);
                    header.slots.store(1, Ordering::Relaxed);
                    let slot = map.slot(0);
                    slot.pid.store(std::process::id().into(), Ordering::Relaxed);
                    slot.ancestor.store(NOBODY, Ordering::Relaxed);
                    slot.state.store(RUNNING, Ordering::Release);
                    return Ok(map);
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    /// One that another process made.
    pub(crate) fn attach(fd: OwnedFd) -> Result<Map> {
        let stat = nix::sys::stat::fstat(&fd).map_err(|e| os("fstat", e))?;
        let size = stat.st_size.unsigned_abs();
        if size < HEAP {
            return Err(Error::Invalid("not an arena: too small".into()));
        }
        let map = Map { base: Map::map(&fd, size)?, size, fd };
        let header = map.header();
        if header.magic.load(Ordering::Relaxed) != MAGIC
            || header.size.load(Ordering::Relaxed) != size
        {
            return Err(Error::Invalid("not an arena of this version of procbox".into()));
        }
        Ok(map)
    }

    fn map(fd: &OwnedFd, size: u64) -> Result<NonNull<u8>> {
        let length = usize::try_from(size).ok().and_then(NonZeroUsize::new);
        let length = length.ok_or_else(|| Error::Invalid("arena size".into()))?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        unsafe { mmap(None, length, protection, flags, fd, 0) }
            .map(NonNull::cast)
            .map_err(|e| os("mmap", e))
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// A mapping of its own of the header, for who outlives this.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub(crate) fn first_pages(&self) -> Result<Map> {
        let size = (size_of::<Header>() as u64).next_multiple_of(PAGE);
        let fd = self.fd.try_clone().map_err(|e| os("dup", e))?;
        Ok(Map { base: Map::map(&fd, size)?, size, fd })
    }

    /// The file, to be inherited by who is to attach to it.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Gives the memory of a range back to the system; it reads as zeroes then, if that is so. A failure
    /// costs memory only.
    pub(super) fn punch(&self, offset: u64, length: u64) -> bool {
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        fallocate(&self.fd, flags, offset as i64, length as i64).is_ok()
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

    /// The offset at which something stands that [`Map::at`] gave.
    pub(crate) fn offset_of<T: Shared>(&self, it: &T) -> u64 {
        (std::ptr::from_ref(it).addr() - self.base.addr().get()) as u64
    }

    pub(crate) fn header(&self) -> &Header {
        self.at(0)
    }

    /// The word for those who wait for more than they can watch the words of.
    pub(crate) fn shared(&self) -> &AtomicU32 {
        &self.header().shared.0
    }

    #[inline]
    pub(crate) fn word(&self, offset: u64) -> &AtomicU64 {
        self.at(offset)
    }

    pub(crate) fn slot(&self, index: u32) -> &Slot {
        self.at(slot_offset(index))
    }

    pub(crate) fn object(&self, offset: u64) -> &Object {
        self.at(offset)
    }

    /// The part of an object that is its kind's own.
    #[inline]
    pub(crate) fn body<T: Shared>(&self, object: u64) -> &T {
        self.at(object + BODY)
    }

    /// The tag of the block at an offset that came from another process.
    pub(crate) fn tag(&self, offset: u64) -> Option<Tag> {
        let inside = offset >= HEAP && offset <= self.size - 512 && offset.is_multiple_of(64);
        inside.then(|| Tag::of_word(self.word(offset).load(Ordering::Acquire)))
    }

    /// Sets words to zero: in a block that is not published yet, what was there before is there.
    pub(crate) fn zero(&self, offset: u64, length: u64) {
        for word in 0..length / 8 {
            self.word(offset + 8 * word).store(0, Ordering::Relaxed);
        }
    }

    /// Makes a range zero, of a block that is not published yet: large ones as holes, which take no memory.
    pub(crate) fn empty(&self, offset: u64, length: u64) {
        let end = offset + length;
        let (from, to) = (offset.next_multiple_of(PAGE), end & !(PAGE - 1));
        if length >= HOLE && self.punch(from, to - from) {
            self.zero(offset, from - offset);
            self.zero(to, end - to);
        } else {
            self.zero(offset, length);
        }
    }

    /// So many words that processes share, from an offset on.
    ///
    /// # Errors
    /// [`Error::Invalid`] if they are not all in the heap.
    pub(crate) fn words(&self, offset: u64, count: u64) -> Result<&[AtomicU64]> {
        let length = count.checked_mul(8).and_then(|bytes| usize::try_from(bytes).ok());
        let length = length.ok_or_else(|| Error::Invalid("words beyond the arena".into()))?;
        if !offset.is_multiple_of(8) {
            scribbled();
        }
        let first = self.range(offset, length)?.cast::<AtomicU64>();
        // SAFETY: in range and aligned; atomics are valid whatever the bytes; the mapping lives as long as
        // `self`.
        Ok(unsafe { std::slice::from_raw_parts(first.as_ptr(), length / 8) })
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

    /// Copies bytes in.
    ///
    /// # Safety
    /// Nobody else reads or writes that range meanwhile: it is under a lock of the caller's, or in a
    /// block that is not published yet.
    pub(crate) unsafe fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let to = self.range(offset, bytes.len())?;
        // SAFETY: in range; a slice of the caller's is not this one, so they do not overlap; the caller
        // promises the rest.
        copy::copy(unsafe { std::slice::from_raw_parts_mut(to.as_ptr(), bytes.len()) }, bytes);
        Ok(())
    }

    /// Views bytes; none if the range is not inside.
    ///
    /// # Safety
    /// Nobody writes to that range while the view lives: it is in a block that only the caller uses.
    pub(super) unsafe fn slice(&self, offset: u64, length: usize) -> &[u8] {
        match self.range(offset, length) {
            // SAFETY: in range; the caller promises the rest.
            Ok(from) => unsafe { std::slice::from_raw_parts(from.as_ptr(), length) },
            Err(_) => &[],
        }
    }

    /// Views bytes to be written; none if the range is not inside.
    ///
    /// # Safety
    /// As for [`Map::slice`], and nobody reads there either.
    #[allow(clippy::mut_from_ref, reason = "the caller promises that the range is its own")]
    pub(super) unsafe fn slice_mut(&self, offset: u64, length: usize) -> &mut [u8] {
        match self.range(offset, length) {
            // SAFETY: in range; the caller promises the rest.
            Ok(from) => unsafe { std::slice::from_raw_parts_mut(from.as_ptr(), length) },
            Err(_) => &mut [],
        }
    }

    /// Appends bytes of the arena to `into`.
    ///
    /// # Safety
    /// Nobody else writes to that range meanwhile: it is under a lock of the caller's, or in a block
    /// that only the caller uses.
    pub(crate) unsafe fn read(&self, offset: u64, length: usize, into: &mut Vec<u8>) -> Result<()> {
        let from = self.range(offset, length)?;
        // SAFETY: in range; the caller promises the rest.
        copy::append(into, unsafe { std::slice::from_raw_parts(from.as_ptr(), length) });
        Ok(())
    }
}

/// Offset of a slot of the process table.
pub(super) fn slot_offset(index: u32) -> u64 {
    TABLE + u64::from(index).min(SLOTS - 1) * size_of::<Slot>() as u64
}

#[cold]
fn scribbled() -> ! {
    panic!("procbox: the shared memory was scribbled over")
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: all views borrow from `self`, and this is its end. No thread's list of held locks
        // leads here: a lock is held by a call that borrows this, or by what `held` keeps.
        let _ = unsafe { munmap(self.base.cast::<c_void>(), self.size as usize) };
    }
}
