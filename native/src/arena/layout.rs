//! Layout of the arena: the header, the process table, and what objects begin with.
//!
//! Everything in shared memory is made of atomics, so that any bytes are a valid value: a process that
//! scribbles over the arena can confuse others, but cannot make them break Rust's rules. (With one
//! exception, which is the kernel's: the links of a held lock are addresses of its holder's.) What an
//! object is made of beyond its header is its kind's own business, declared by [`shared!`] too.

use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::robust::RobustLock;
use crate::sync::signal::Signal;

/// Types that may be viewed in shared memory.
///
/// # Safety
/// The type is `repr(C)`, is made of atomics alone, and needs no drop.
pub(crate) unsafe trait Shared {}

macro_rules! are_shared {
    ($($name:ty),*) => {
        // SAFETY: each is an atomic, or `repr(C)` and made of atomics alone.
        $(unsafe impl Shared for $name {})*
    };
}
are_shared!(AtomicU32, AtomicU64, RobustLock, Signal);

// SAFETY: an array has nothing but its elements.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {}
// SAFETY: `repr(C)`, with one field, which is shared.
unsafe impl<T: Shared> Shared for Line<T> {}

/// Declares a struct that may be viewed in shared memory: it is `repr(C)`, and does not compile unless
/// all of its fields may be.
macro_rules! shared {
    ($($(#[$about:meta])* $vis:vis struct $name:ident {
        $($(#[$what:meta])* $field_vis:vis $field:ident: $type:ty,)*
    })*) => {
        $(
            $(#[$about])*
            #[repr(C)]
            $vis struct $name { $($(#[$what])* $field_vis $field: $type,)* }

            const _: () = {
                const fn is_shared<T: $crate::arena::layout::Shared>() {}
                $(is_shared::<$type>();)*
                assert!(!std::mem::needs_drop::<$name>());
            };
            // SAFETY: `repr(C)`, and each field is made of atomics alone, as was just checked.
            unsafe impl $crate::arena::layout::Shared for $name {}
        )*
    };
}
pub(crate) use shared;

pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"procbox1");
/// Free lists: one per power of two.
pub(super) const CLASSES: usize = 40;
/// Kinds of blocks whose use is counted, by their tags' numbers.
pub(super) const TAGS: usize = 16;
/// The writes of one transaction.
pub(super) const LOG: usize = 2048;
/// Processes alive at once in one arena.
pub(crate) const SLOTS: u64 = 8192;
pub(super) const TABLE: u64 = 64 << 10;
/// Offset of the list of waits, and how many it takes.
pub(super) const WAITS: u64 = TABLE + SLOTS * size_of::<Slot>() as u64;
pub(super) const MOST_WAITS: u64 = 8192;
/// Offset of the heap.
pub(super) const HEAP: u64 = 2 << 20;

// The models' atomics have other sizes.
const _: () = assert!(cfg!(loom) || size_of::<Header>() as u64 <= TABLE);
const _: () = assert!(cfg!(loom) || WAITS + MOST_WAITS * size_of::<WaitEntry>() as u64 <= HEAP);

shared! {
    /// The first page of the arena.
    #[repr(align(64))]
    pub(crate) struct Header {
        pub(super) magic: AtomicU64,
        pub(super) size: AtomicU64,
        /// Below it, the heap was given out at least once.
        pub(super) bump: AtomicU64,
        /// Objects that nobody refers to, to be taken apart; linked by [`Object::link`].
        pub(super) unreferenced: AtomicU64,
        /// The one of them that is being taken apart.
        pub(super) reclaiming: AtomicU64,
        /// Objects that may be held by nothing but messages that nobody can get; linked by
        /// [`Object::suspect`].
        pub(super) suspects: AtomicU64,
        /// The one of them that was found to be, and whose messages are being dropped.
        pub(super) emptying: AtomicU64,
        /// Slots from this one on were never used.
        pub(crate) slots: AtomicU64,
        /// Entries of the list of waits from this one on were never used.
        pub(super) waits: AtomicU64,
        /// What becomes of deadlocks, by a number of `waits`.
        pub(super) deadlocks: AtomicU64,
        /// Objects made so far: each has a serial number of its own.
        pub(super) made: AtomicU64,
        /// Heads of the free lists, by the logarithm of the size.
        pub(super) free: [AtomicU64; CLASSES],
        /// Heads of the lists of free blocks that have kept their memory, by the logarithm of the size.
        pub(super) kept: [AtomicU64; CLASSES],
        /// What these have together, by their sizes.
        pub(super) kept_bytes: AtomicU64,
        /// How often one of them was used again.
        pub(super) kept_used: AtomicU64,
        /// Who gives their memory back when that does not happen any more: see `kept`; 0 if nobody does,
        /// and then there are none.
        pub(super) keeper: AtomicU64,
        /// Blocks in use, by the number of their tag: how many in the high half, in the low half their
        /// memory in units of 64 bytes.
        pub(super) used: [AtomicU64; TAGS],
        /// Guards all that is written by transactions, and the log.
        pub(crate) lock: Line<RobustLock>,
        /// Guards the reclaiming of objects and the recovery of dead processes.
        pub(crate) recovery: Line<RobustLock>,
        /// Changes with whatever somebody awaits who waits for more than it can watch the words of.
        pub(super) shared: Line<AtomicU32>,
        /// The committed writes that may not all be applied yet; 0 when they are.
        pub(super) log_length: AtomicU64,
        pub(super) log: [LogEntry; LOG],
    }

    /// One write of a transaction: the word at `offset` becomes `value`. With [`WAKE`] in the offset it
    /// is a counter to be bumped, and its waiters woken, by whoever finishes the transaction of a dead
    /// process.
    pub(crate) struct LogEntry {
        pub(super) offset: AtomicU64,
        pub(super) value: AtomicU64,
    }

    /// A process's place in the process table.
    #[repr(align(128))]
    pub(crate) struct Slot {
        /// Held by the process's main thread for as long as it runs.
        pub(crate) life: RobustLock,
        /// [`FREE`], [`STARTING`], [`RUNNING`] or [`WITHDRAWN`].
        pub(crate) state: AtomicU64,
        pub(crate) pid: AtomicU64,
        /// The parent's slot and pid: `slot << 32 | pid`.
        pub(crate) parent: AtomicU64,
        /// The first of the blocks that say what the process holds.
        pub(super) holds: AtomicU64,
        /// The encoded start request, until the process has read it.
        pub(super) spec: AtomicU64,
        pub(super) spec_size: AtomicU64,
        /// The times that the slot was reserved: who has a claim to it says which of them is meant.
        pub(crate) generation: AtomicU64,
        /// The threads of it that sleep in waits that last: see `waits`.
        pub(crate) blocked: AtomicU64,
        /// 1 if the process is ended after a while, so that no wait of it is for ever.
        pub(crate) bounded: AtomicU64,
        /// The claim of the nearest ancestor whose slot is not free: see `family`.
        pub(super) ancestor: AtomicU64,
    }

    /// A wait that lasts: see `waits`.
    #[repr(align(64))]
    pub(super) struct WaitEntry {
        /// Whose it is: `slot << 32 | thread`; 0 if it is free.
        pub(super) owner: AtomicU64,
        /// Odd while it sleeps; never the same again.
        pub(super) turn: AtomicU64,
        /// The object, and what else belongs to the operation.
        pub(super) object: AtomicU64,
        pub(super) detail: AtomicU64,
        /// When it began, in nanoseconds of the monotonic clock.
        pub(super) began: AtomicU64,
        pub(super) operation: AtomicU32,
        /// 1 if Ctrl-C ends it.
        pub(super) answers: AtomicU32,
        /// The turn that is to end with a deadlock; changed with a wake.
        pub(super) verdict: AtomicU32,
        /// The turn of which those who watch were told.
        pub(super) told: AtomicU32,
    }

    /// Header of every object that handles point at. Its own part follows at [`BODY`].
    pub(crate) struct Object {
        pub(super) tag: AtomicU64,
        /// In the low half the processes that hold it and the messages that carry it, in the high half the
        /// processes alone.
        pub(super) refs: AtomicU64,
        /// The next of the unreferenced.
        pub(super) link: AtomicU64,
        /// If it is one of the suspects, the next of them, and 1.
        pub(super) suspect: AtomicU64,
        /// No other object of the arena has or had this number.
        pub(super) serial: AtomicU64,
    }

    /// A block of a process's record of what it holds.
    pub(super) struct Holds {
        pub(super) tag: AtomicU64,
        pub(super) next: AtomicU64,
        pub(super) entries: [Hold; HOLDS_PER_BLOCK],
    }

    /// One entry of that record.
    pub(crate) struct Hold {
        /// The object, or the block of a message that the process writes or reads in place; 0 if the entry
        /// is free.
        pub(crate) object: AtomicU64,
        /// If it is a semaphore: the permits that the process has taken; changed under its lock. If it is a
        /// ledger: the lower half of the process's line.
        pub(crate) permits: AtomicU32,
        /// Those of them that it has given back without that lock; the upper half of the line.
        pub(crate) returned: AtomicU32,
    }
}

impl Hold {
    /// The process's line of a ledger, for who has the ledger's lock.
    pub(crate) fn line(&self) -> u64 {
        let (low, high) = (&self.permits, &self.returned);
        u64::from(low.load(Ordering::Relaxed)) | u64::from(high.load(Ordering::Relaxed)) << 32
    }

    /// Writes that line.
    pub(crate) fn set_line(&self, line: u64) {
        self.permits.store(line as u32, Ordering::Relaxed);
        self.returned.store((line >> 32) as u32, Ordering::Relaxed);
    }

    /// The permits that the process has taken and not given back.
    pub(crate) fn taken(&self) -> u32 {
        let returned = self.returned.load(Ordering::Acquire);
        self.permits.load(Ordering::Acquire).saturating_sub(returned)
    }
}

/// A value on a cache line of its own.
#[cfg_attr(loom, derive(Default))]
#[repr(C, align(64))]
pub(crate) struct Line<T>(pub(crate) T);

pub(super) const WAKE: u64 = 1 << 63;

/// The ancestor of the first process.
pub(super) const NOBODY: u64 = u64::MAX;

pub(crate) const FREE: u64 = 0;
pub(crate) const STARTING: u64 = 1;
pub(crate) const RUNNING: u64 = 2;
/// Reserved, and taken back before the process had taken it.
pub(crate) const WITHDRAWN: u64 = 3;

/// From an object to what is its kind's own.
pub(crate) const BODY: u64 = 64;

pub(super) const HOLDS_PER_BLOCK: usize = 31;

/// Kind of a block of the heap: its first word. A free block has the next free one there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u64);

const TAG: u64 = u64::from_be_bytes(*b"procbox\0");

impl Tag {
    /// The tag of a number, of which each kind of block has its own: 1 to 8 are kinds of objects, 9 is
    /// a queue's segment, 12 has shared bytes.
    pub(crate) const fn number(number: u8) -> Tag {
        Tag(TAG | number as u64)
    }

    /// A block of a process's record.
    pub(super) const HOLDS: Tag = Tag::number(10);
    /// A start request.
    pub(super) const SPEC: Tag = Tag::number(11);
    /// A message that is apart from its queue's segments.
    pub(super) const LOAN: Tag = Tag::number(13);

    /// The place of a kind's number among those of all kinds.
    pub(super) fn index(self) -> usize {
        ((self.0 ^ TAG) as usize).wrapping_sub(1)
    }

    pub(super) fn of_word(word: u64) -> Tag {
        Tag(word)
    }

    pub(super) fn word(self) -> u64 {
        self.0
    }
}
