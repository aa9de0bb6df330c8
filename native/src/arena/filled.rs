//! What the arena is filled with: for those who find it full, and for those who ask.

use super::Arena;
use super::alloc::{MEMORY, Txn};
use super::layout::{FREE, HEAP, Hold, SLOTS, TAGS};
use crate::sync::atomic::Ordering;
use crate::sync::patience::Patience;
use procbox_core::{Error, Result};
use std::fmt;

/// The numbers of the tags of blocks, in groups that users know.
const PRIMITIVES: [usize; 9] = [1, 2, 3, 4, 5, 7, 8, 6, 12];
/// So many of them are what users have.
const COUNTED: usize = 7;
const QUEUES: usize = 4;
const ENDS: usize = 5;
const SEGMENTS: [usize; 2] = [9, 13];
const RECORDS: [usize; 2] = [10, 11];

/// Contents of a context's shared memory: see [`crate::shared_memory`].
///
/// ```
/// let ctx = procbox_native::Native::builder().shared_memory(64 << 20).build()?;
/// let q = ctx.queue::<u32>(8)?;
/// q.put(&1)?;
/// let all = procbox_native::shared_memory(&ctx).expect("a native context");
/// assert_eq!((all.size, all.queues, all.most_messages, all.processes), (64 << 20, 1, 1, 1));
/// println!("{all}"); // 64 MiB of shared memory: 0 % messages in 1 queues, ...
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedMemory {
    /// Bytes, in all.
    pub size: u64,
    /// Processes that are there, or about to be, or not cleared away yet; this one is one.
    pub processes: u64,
    /// Primitives, whoever has them: locks, semaphores, events, queues, ends of pipes, ledgers, regions.
    pub primitives: u64,
    /// Of these, queues.
    pub queues: u64,
    /// Of these, ends of pipes.
    pub ends: u64,
    /// Bytes that primitives take, without messages; with those that are shared.
    pub primitives_bytes: u64,
    /// Bytes of the pieces in which messages lie: an empty queue has one of 64 KiB.
    pub messages_bytes: u64,
    /// Bytes of the table of processes, and of what is written down of each.
    pub processes_bytes: u64,
    /// Messages in the fullest of the queues and ends of pipes that processes have.
    pub most_messages: u64,
}

impl fmt::Display for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |bytes: u64| bytes * 100 / self.size.max(1);
        let known = self.messages_bytes + self.primitives_bytes + self.processes_bytes;
        match self.size >> 30 {
            0 => write!(f, "{} MiB", self.size >> 20)?,
            gib => write!(f, "{gib} GiB")?,
        }
        write!(
            f,
            " of shared memory: {} % messages in {} queues and {} ends of pipes, the fullest with {}; \
             {} % the {} primitives; {} % the table of {} processes; {} % free, perhaps in pieces of \
             other sizes",
            share(self.messages_bytes),
            self.queues,
            self.ends,
            self.most_messages,
            share(self.primitives_bytes),
            self.primitives,
            share(self.processes_bytes),
            self.processes,
            share(self.size.saturating_sub(known)),
        )
    }
}

impl Arena {
    /// What there is now. Others change it meanwhile.
    pub(crate) fn filled(&self) -> SharedMemory {
        let header = self.header();
        let used = |number: usize| header.used[(number - 1) % TAGS].load(Ordering::Relaxed);
        let blocks = |number| used(number) >> 32;
        let bytes = |group: &[usize]| -> u64 {
            group.iter().map(|number| (used(*number) & 0xffff_ffff) << 6).sum()
        };
        let slots = header.slots.load(Ordering::Acquire).min(SLOTS) as u32;
        let taken: Vec<u32> = (0..slots)
            .filter(|slot| self.slot(*slot).state.load(Ordering::Acquire) != FREE)
            .collect();
        let entries = taken.iter().flat_map(|slot| self.entries(*slot));
        let objects = entries.map(|entry| self.at::<Hold>(entry).object.load(Ordering::Acquire));
        let messages =
            objects.filter_map(|object| Some(self.kind(object)?.messages(self, object) as u64));
        SharedMemory {
            size: self.size(),
            processes: taken.len() as u64,
            primitives: PRIMITIVES[..COUNTED].iter().map(|number| blocks(*number)).sum(),
            queues: blocks(QUEUES),
            ends: blocks(ENDS),
            primitives_bytes: bytes(&PRIMITIVES),
            messages_bytes: bytes(&SEGMENTS),
            processes_bytes: HEAP + bytes(&RECORDS),
            most_messages: messages.max().unwrap_or_default(),
        }
    }

    /// As [`super::map::Map::transaction`]; where there is no room, the error says what is there instead.
    ///
    /// # Errors
    /// The same.
    #[inline]
    pub(crate) fn transaction<R>(
        &self,
        patience: &Patience,
        make: impl FnOnce(&mut Txn<'_>) -> Result<R>,
    ) -> Result<R> {
        match self.map.transaction(patience, make) {
            Err(Error::Exhausted(what)) if what == MEMORY => Err(self.full()),
            other => other,
        }
    }

    #[cold]
    fn full(&self) -> Error {
        Error::Exhausted(format!(
            "room for this ({}; NativeBuilder::shared_memory gives a context more)",
            self.filled()
        ))
    }
}
