//! The contents of a queue's segments: places and records.

use crate::arena::Arena;
use crate::arena::kind::MOST_HANDLES;
use crate::arena::layout::{Tag, shared};
use crate::sync::atomic::{AtomicU64, Ordering};
use procbox_core::{Error, Result};

pub(crate) const SEGMENT_TAG: Tag = Tag::number(9);

/// The usual size of a segment. A larger message gets a segment of its own size.
pub(crate) const SEGMENT: u64 = 64 << 10;
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

#[inline]
pub(crate) fn record_size(bytes: usize, handles: usize) -> u64 {
    (RECORD + 8 * handles as u64 + bytes as u64).next_multiple_of(8)
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
    pub(crate) messages_before: u64,
    pub(crate) bytes_before: u64,
    pub(crate) next: Place,
}

impl Record {
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
    let (bytes, handles) = ((what & 0xffff_ffff) as usize, (what >> 32) as usize);
    let size = arena.word(place.segment + 8).load(Ordering::Relaxed);
    let next = Place {
        segment: place.segment,
        position: place.position + record_size(bytes, handles.min(MOST_HANDLES)),
    };
    if handles > MOST_HANDLES || next.position.saturating_add(JUMP_SIZE) > size {
        return Err(Error::Invalid("the queue's memory was scribbled over".into()));
    }
    Ok(Record {
        bytes,
        handles,
        messages_before: arena.word(at + 8).load(Ordering::Relaxed),
        bytes_before: arena.word(at + 16).load(Ordering::Relaxed),
        next,
    })
}
