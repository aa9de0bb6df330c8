//! The contents of a queue's segments: places and records.

use crate::arena::Arena;
use crate::arena::kind::MOST_HANDLES;
use crate::arena::layout::{Tag, shared};
use crate::sync::atomic::{AtomicU64, Ordering};
use procbox_core::{Error, Result};

pub(crate) const SEGMENT_TAG: Tag = Tag::number(9);

/// The size of a segment. (In the models little fits into one, so that there are several.)
pub(crate) const SEGMENT: u64 = if cfg!(loom) { 20 << 10 } else { 64 << 10 };
/// A message of more bytes has them apart, in a block of its own.
pub(crate) const APART: usize = 16 << 10;
/// Of a record's first word: its bytes are apart, and it has the block's offset instead.
const IS_APART: u64 = 1 << 62;
/// The bits of that word that have the number of handles, above those of the number of bytes.
const HANDLES: u64 = 0xffff;
/// In a segment: its tag, its size, then the records.
pub(crate) const FIRST: u64 = 64;
/// A record: what it is, messages before, bytes before; then handles, then bytes.
pub(crate) const RECORD: u64 = 24;
/// Room that stays free at the end of a segment: a jump record, with the next segment.
pub(crate) const JUMP_SIZE: u64 = RECORD + 8;
pub(crate) const JUMP: u64 = u64::MAX;

shared! {
    /// One side of a queue.
    #[cfg_attr(loom, derive(Default))]
    pub(crate) struct Side {
        /// The tail or the head: a packed segment and position. Storing it is what puts and gets.
        pub(crate) at: AtomicU64,
        /// Messages ever put or got; copied from the record at `at`.
        pub(crate) messages: AtomicU64,
        /// Bytes ever put or got; likewise.
        pub(crate) bytes: AtomicU64,
        /// Values that this side last saw: the other's `at` (the consumer), `messages` and `bytes`
        /// (the producer), so that it need not fetch that line each time.
        pub(crate) seen: AtomicU64,
        pub(crate) seen_bytes: AtomicU64,
    }
}

/// A place in a queue.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) position: u64,
}

impl Place {
    #[inline]
    pub(crate) fn pack(self) -> u64 {
        self.segment >> 6 << 28 | self.position >> 3
    }
    #[inline]
    pub(crate) fn unpack(word: u64) -> Place {
        Place { segment: word >> 28 << 6, position: (word & 0xfff_ffff) << 3 }
    }
    #[inline]
    pub(crate) fn offset(self) -> u64 {
        self.segment + self.position
    }
}

/// The size of a record with so many bytes in it.
#[inline]
pub(crate) fn record_size(bytes: usize, handles: usize) -> u64 {
    (RECORD + 8 * handles as u64 + bytes as u64).next_multiple_of(8)
}

// The largest record has room in a segment.
const _: () =
    assert!(FIRST + RECORD + 8 * MOST_HANDLES as u64 + APART as u64 + JUMP_SIZE + 8 <= SEGMENT);

/// The size of what a record has in the place of bytes that are apart.
pub(crate) const BLOCK: usize = 8;

/// The first word of a record.
#[inline]
pub(crate) fn what(bytes: usize, handles: usize, is_apart: bool) -> u64 {
    bytes as u64 | (handles as u64) << 32 | if is_apart { IS_APART } else { 0 }
}

/// Writes the counts with which the next record begins.
#[inline]
pub(crate) fn begin_record(arena: &Arena, at: u64, messages: u64, bytes: u64) {
    arena.word(at + 8).store(messages, Ordering::Relaxed);
    arena.word(at + 16).store(bytes, Ordering::Relaxed);
}

/// Contents of a record.
pub(crate) struct Record {
    pub(crate) bytes: usize,
    pub(crate) handles: usize,
    /// The block in which its bytes are, if they are apart.
    pub(crate) block: Option<u64>,
    pub(crate) messages_before: u64,
    pub(crate) bytes_before: u64,
    pub(crate) next: Place,
}

impl Record {
    /// True if storing the head is all that it takes to take it out.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.handles == 0 && self.block.is_none()
    }

    /// Copies the counts after this record to the side that has passed it.
    #[inline]
    pub(crate) fn count(&self, side: &Side) {
        side.messages.store(self.messages_before + 1, Ordering::Release);
        side.bytes.store(self.bytes_before + self.bytes as u64, Ordering::Release);
    }
}

pub(crate) fn read_record(arena: &Arena, place: Place) -> Result<Record> {
    let at = place.offset();
    let what = arena.word(at).load(Ordering::Relaxed);
    let (bytes, handles) = ((what & 0xffff_ffff) as usize, (what >> 32 & HANDLES) as usize);
    let is_apart = what & IS_APART != 0;
    let size = arena.word(place.segment + 8).load(Ordering::Relaxed);
    let here = if is_apart { BLOCK } else { bytes };
    let next = Place {
        segment: place.segment,
        position: place.position + record_size(here, handles.min(MOST_HANDLES)),
    };
    if handles > MOST_HANDLES || next.position.saturating_add(JUMP_SIZE) > size {
        return Err(Error::Invalid("the queue's memory was scribbled over".into()));
    }
    let block =
        is_apart.then(|| arena.word(at + RECORD + 8 * handles as u64).load(Ordering::Relaxed));
    Ok(Record {
        bytes,
        handles,
        block,
        messages_before: arena.word(at + 8).load(Ordering::Relaxed),
        bytes_before: arena.word(at + 16).load(Ordering::Relaxed),
        next,
    })
}
