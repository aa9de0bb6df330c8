//! What lies where in the arena: the header, the process table, and the objects' headers.
//!
//! Everything here is made of atomics, so that any bytes are a valid value: a process that scribbles
//! over the arena can confuse others, but cannot make them break Rust's rules.

use crate::sync::robust::RobustLock;
use crate::sync::signal::Signal;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Types that may be viewed in shared memory.
///
/// # Safety
/// The type is `repr(C)`, is made of atomics alone, and needs no drop.
pub(crate) unsafe trait Shared {}

macro_rules! shared {
    ($($name:ty),*) => {
        // SAFETY: each is an atomic, or `repr(C)` and made of atomics alone.
        $(unsafe impl Shared for $name {})*
    };
}
shared!(AtomicU32, AtomicU64, Header, Slot, Object, Holds, Hold, QueueCore, Pipe, End);
shared!(RobustLock, SemaphoreCore);

pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"procbox1");
/// Free lists: one per power of two.
pub(crate) const CLASSES: usize = 40;
/// The writes of one transaction.
pub(crate) const LOG: usize = 2048;
/// Processes alive at once in one arena.
pub(crate) const SLOTS: u64 = 8192;
pub(crate) const TABLE: u64 = 64 << 10;
/// Where the heap begins.
pub(crate) const HEAP: u64 = 2 << 20;

const _: () = assert!(size_of::<Header>() as u64 <= TABLE);
const _: () = assert!(TABLE + SLOTS * size_of::<Slot>() as u64 <= HEAP);

/// The first page of the arena.
#[repr(C, align(64))]
pub(crate) struct Header {
    pub(crate) magic: AtomicU64,
    pub(crate) size: AtomicU64,
    /// Below it, the heap was given out at least once.
    pub(crate) bump: AtomicU64,
    /// Objects that nobody refers to, to be taken apart; linked by [`Object::link`].
    pub(crate) graveyard: AtomicU64,
    /// The one of them that is being taken apart.
    pub(crate) burying: AtomicU64,
    /// Slots from this one on were never used.
    pub(crate) slots: AtomicU64,
    /// Heads of the free lists, by the logarithm of the size.
    pub(crate) free: [AtomicU64; CLASSES],
    /// Guards all that is written by transactions, and the log.
    pub(crate) lock: Line<RobustLock>,
    /// Guards the burying of objects and the recovery of dead processes.
    pub(crate) recovery: Line<RobustLock>,
    /// The committed writes that may not all be applied yet; 0 when they are.
    pub(crate) log_length: AtomicU64,
    pub(crate) log: [LogEntry; LOG],
}

/// A value on a cache line of its own.
#[repr(C, align(64))]
pub(crate) struct Line<T>(pub(crate) T);

/// One write of a transaction: the word at `offset` becomes `value`. With [`WAKE`] in the offset it
/// is a counter to be bumped, and its waiters woken, by whoever finishes the transaction of a dead
/// process.
#[repr(C)]
pub(crate) struct LogEntry {
    pub(crate) offset: AtomicU64,
    pub(crate) value: AtomicU64,
}

pub(crate) const WAKE: u64 = 1 << 63;

/// A process's place in the process table.
#[repr(C, align(128))]
pub(crate) struct Slot {
    /// Held by the process's main thread for as long as it runs.
    pub(crate) life: RobustLock,
    /// [`FREE`], [`STARTING`] or [`RUNNING`].
    pub(crate) state: AtomicU64,
    pub(crate) pid: AtomicU64,
    /// The parent's slot and pid: `slot << 32 | pid`.
    pub(crate) parent: AtomicU64,
    /// The first of the blocks that say what the process holds.
    pub(crate) holds: AtomicU64,
    /// The encoded start request, until the process has read it.
    pub(crate) spec: AtomicU64,
    pub(crate) spec_size: AtomicU64,
}

pub(crate) const FREE: u64 = 0;
pub(crate) const STARTING: u64 = 1;
pub(crate) const RUNNING: u64 = 2;

/// What a block of the heap is: its first word. A free block has the next free one there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(pub(crate) u64);

const TAG: u64 = u64::from_be_bytes(*b"procbox\0");

impl Tag {
    pub(crate) const LOCK: Tag = Tag(TAG | 1);
    pub(crate) const SEMAPHORE: Tag = Tag(TAG | 2);
    pub(crate) const EVENT: Tag = Tag(TAG | 3);
    pub(crate) const QUEUE: Tag = Tag(TAG | 4);
    /// One end of a pipe.
    pub(crate) const END: Tag = Tag(TAG | 5);
    pub(crate) const PIPE: Tag = Tag(TAG | 6);
    pub(crate) const SEGMENT: Tag = Tag(TAG | 7);
    pub(crate) const HOLDS: Tag = Tag(TAG | 8);
    pub(crate) const SPEC: Tag = Tag(TAG | 9);

    /// Whether handles point at blocks of this kind.
    pub(crate) fn is_handle(self) -> bool {
        (Tag::LOCK.0..=Tag::END.0).contains(&self.0)
    }
}

/// What every object that handles point at begins with. Its own part follows at [`BODY`].
#[repr(C)]
pub(crate) struct Object {
    pub(crate) tag: AtomicU64,
    /// Processes that hold it, and messages that carry it.
    pub(crate) refs: AtomicU64,
    /// The next in the graveyard.
    pub(crate) link: AtomicU64,
}

/// From an object to what is its kind's own.
pub(crate) const BODY: u64 = 64;

pub(crate) const HOLDS_PER_BLOCK: usize = 31;

/// A block of a process's record of what it holds.
#[repr(C)]
pub(crate) struct Holds {
    pub(crate) tag: AtomicU64,
    pub(crate) next: AtomicU64,
    pub(crate) entries: [Hold; HOLDS_PER_BLOCK],
}

/// One entry of that record.
#[repr(C)]
pub(crate) struct Hold {
    /// The object; 0 if the entry is free.
    pub(crate) object: AtomicU64,
    /// If it is a semaphore: the permits that the process has taken and not given back.
    pub(crate) permits: AtomicU64,
}

/// The two sides of a queue, each on lines of its own. `ring.rs` explains.
#[repr(C, align(64))]
pub(crate) struct QueueCore {
    pub(crate) producer: Line<RobustLock>,
    pub(crate) put: Line<Side>,
    pub(crate) consumer: Line<RobustLock>,
    pub(crate) got: Line<Side>,
    /// Bumped when messages come, for those who wait for one.
    pub(crate) items: Signal,
    /// Bumped when messages go, for those who wait for room.
    pub(crate) space: Signal,
    pub(crate) closed: AtomicU32,
    pub(crate) unused: AtomicU32,
    pub(crate) most_messages: AtomicU64,
    pub(crate) most_bytes: AtomicU64,
}

/// One side of a queue.
#[repr(C)]
pub(crate) struct Side {
    /// The tail or the head: a packed segment and position. Storing it is what puts and gets.
    pub(crate) at: AtomicU64,
    /// Messages ever put or got; copied from the record at `at`.
    pub(crate) messages: AtomicU64,
    /// Bytes ever put or got; likewise.
    pub(crate) bytes: AtomicU64,
    /// What this side last saw of the other's `at` (the consumer), `messages` and `bytes`
    /// (the producer), so that it need not fetch that line each time.
    pub(crate) seen: AtomicU64,
    pub(crate) seen_bytes: AtomicU64,
}

/// Both directions of a pipe. `queues[n]` is what end `n` receives from.
#[repr(C)]
pub(crate) struct Pipe {
    pub(crate) tag: AtomicU64,
    /// Ends that are not gone.
    pub(crate) ends: AtomicU64,
    /// The next in the graveyard; a pipe goes there when both ends are gone.
    pub(crate) link: AtomicU64,
    pub(crate) queues: [QueueCore; 2],
}

/// The body of an end.
#[repr(C)]
pub(crate) struct End {
    pub(crate) pipe: AtomicU64,
    /// 0 or 1.
    pub(crate) side: AtomicU64,
}

/// The body of a semaphore. The truth is `total` less the permits in all processes' records.
#[repr(C)]
pub(crate) struct SemaphoreCore {
    pub(crate) lock: RobustLock,
    /// Permits that there are, free or taken.
    pub(crate) total: AtomicU64,
    /// The free ones; derived.
    pub(crate) free: AtomicU32,
    /// For those who wait for one.
    pub(crate) released: Signal,
}
