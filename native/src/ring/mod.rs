//! The ring that queues and pipes are made of: a list of segments with a lock for each side.
//!
//! The idea is Michael and Scott's two-lock queue (1996), with many messages in a segment.
//! A message is a *record*, written behind the tail; storing the tail (a segment and a position in
//! one word) puts it in the queue, and storing the head takes it out. Behind the last record stands
//! the beginning of the next: the numbers of messages and bytes before it. So tail and head each
//! lead to exact counts, and the counts in [`Side`] are copies, repaired when a holder died.
//! A *jump* record leads to the next segment; the consumer that follows it frees the old one.
//! A large message has its bytes *apart*, in a block that its record names: it is written and read
//! there without any lock, as a [`Loan`].
//! A message with handles, one that is apart, and a change of segment, move the tail or the head in a
//! transaction with the references and the blocks. docs/native.md says what SIGKILL leaves behind at each point, and
//! `tests/models` goes through the interleavings of these files, with a process killed before each step.

mod cargo;
mod lifecycle;
mod put;
mod segment;
mod take;

pub(crate) use cargo::{cargo, carries};
pub(crate) use lifecycle::{Core, SIZE, close, drain, fill, free_last, recover};

use crate::arena::Arena;
use crate::arena::kind::Needs;
use crate::arena::waits::{Awaits, Patient};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::signal::Signal;
use crate::sync::spin;
use procbox_core::observe::{Operation, Waiting};
use procbox_core::time::Deadline;
use procbox_core::{Bounds, Error, Result, Wait};
use std::sync::Arc;

/// The end of a get's wait.
fn empty(error: Error) -> Error {
    if error == Error::TimedOut { Error::Empty } else { error }
}

/// What a put or get needs, if it waits.
pub(crate) fn needs(arena: &Arena, core: u64, awaits: &Awaits) -> Needs {
    let core: &Core = arena.at(core);
    let goes_on = match awaits.operation {
        Operation::QueuePut => has_room(core, awaits.detail),
        _ => is_ready(core),
    };
    if goes_on { Needs::Nothing } else { Needs::Referrers }
}

/// The messages in it.
pub(crate) fn messages(arena: &Arena, core: u64) -> usize {
    let core: &Core = arena.at(core);
    let got = core.got.0.messages.load(Ordering::Acquire);
    core.put.0.messages.load(Ordering::Acquire).saturating_sub(got) as usize
}

/// The most messages that can be in it, for one who holds nothing: a producer that was killed may not have
/// counted its last.
pub(crate) fn most_messages(arena: &Arena, core: u64) -> usize {
    let counted = messages(arena, core);
    let core: &Core = arena.at(core);
    let is_empty = core.got.0.at.load(Ordering::Acquire) == core.put.0.at.load(Ordering::Acquire);
    if is_empty { 0 } else { counted + 1 }
}

/// True if a get would not block.
fn is_ready(core: &Core) -> bool {
    core.got.0.at.load(Ordering::Acquire) != core.put.0.at.load(Ordering::Acquire)
        || core.closed.load(Ordering::Acquire) != 0
}

/// True if there is room now.
fn has_room(core: &Core, bytes: u64) -> bool {
    let got = &core.got.0;
    let got_bytes = got.bytes.load(Ordering::Acquire);
    fits(core, bytes, got.messages.load(Ordering::Acquire), got_bytes)
        || core.closed.load(Ordering::Acquire) != 0
}

fn fits(core: &Core, bytes: u64, got_messages: u64, got_bytes: u64) -> bool {
    let put = &core.put.0;
    let messages = put.messages.load(Ordering::Relaxed).wrapping_sub(got_messages);
    let used = put.bytes.load(Ordering::Relaxed).wrapping_sub(got_bytes);
    messages < core.most_messages.load(Ordering::Relaxed)
        && used.saturating_add(bytes) <= core.most_bytes.load(Ordering::Relaxed)
}

/// A queue core in an arena.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a> {
    arena: &'a Arc<Arena>,
    offset: u64,
    core: &'a Core,
}

impl<'a> Ring<'a> {
    #[inline]
    pub(crate) fn new(arena: &'a Arc<Arena>, offset: u64) -> Ring<'a> {
        Ring { arena, offset, core: arena.at(offset) }
    }

    /// The number that those who watch know it by.
    pub(crate) fn number(self) -> u64 {
        std::ptr::from_ref(self.core).addr() as u64
    }

    pub(crate) fn len(self) -> usize {
        messages(self.arena, self.offset)
    }

    pub(crate) fn bounds(self) -> Bounds {
        let messages = self.core.asked_messages.load(Ordering::Relaxed);
        let messages = (messages != u64::MAX).then_some(messages as usize);
        Bounds::new(messages, self.core.most_bytes.load(Ordering::Relaxed) as usize)
    }

    /// True if a get would not block.
    pub(crate) fn is_ready(self) -> bool {
        is_ready(self.core)
    }

    /// The word that changes when [`Ring::is_ready`] may have, and its value. The caller looks at
    /// `is_ready` after this and before it waits.
    pub(crate) fn want_items(self) -> (&'a AtomicU32, u32) {
        self.core.items.announce()
    }

    /// For one who waits for more than it can watch the words of: the word that all share changes when
    /// [`Ring::is_ready`] may have. Its value is read before this, and `is_ready` after it.
    pub(crate) fn want_items_shared(self) {
        self.core.items.announce_shared();
    }

    /// What is told when messages come, and when they go.
    pub(crate) fn signals(self) -> (&'a Signal, &'a Signal) {
        (&self.core.items, &self.core.space)
    }

    fn fits(self, bytes: u64, got_messages: u64, got_bytes: u64) -> bool {
        fits(self.core, bytes, got_messages, got_bytes)
    }

    /// True if there is room now.
    fn has_room(self, bytes: u64) -> bool {
        has_room(self.core, bytes)
    }

    /// Like [`Ring::has_room`], by the producer's own copy of the counts if that will do.
    fn has_room_locked(self, bytes: u64) -> bool {
        let (put, got) = (&self.core.put.0, &self.core.got.0);
        let seen = put.seen.load(Ordering::Relaxed);
        if self.fits(bytes, seen, put.seen_bytes.load(Ordering::Relaxed)) {
            return true;
        }
        let got_bytes = got.bytes.load(Ordering::Acquire);
        let got_messages = got.messages.load(Ordering::Acquire);
        put.seen.store(got_messages, Ordering::Relaxed);
        put.seen_bytes.store(got_bytes, Ordering::Relaxed);
        self.fits(bytes, got_messages, got_bytes)
    }

    /// One who may wait long in this call.
    #[inline]
    pub(crate) fn patient(
        self,
        wait: Wait,
        operation: Operation,
        object: u64,
        detail: u64,
    ) -> Patient<'a> {
        Patient::new(self.arena, wait, Awaits { operation, object, detail })
    }

    /// Waits for [`Ring::is_ready`], or for no reason; `Error::Empty` when the wait runs out.
    pub(crate) fn wait(self, patient: &mut Patient<'_>, until: Deadline) -> Result<()> {
        if spin(|| self.is_ready()) {
            return Ok(());
        }
        let wanted = self.want_items();
        if self.is_ready() {
            return Ok(());
        }
        let waiting = self.waiting(Operation::QueueGet);
        let woken = patient.block(wanted, until).map_err(empty);
        waiting.end(woken.is_ok());
        woken
    }

    /// A wait of this process, for those who watch. A ring has its place in the arena as its number.
    fn waiting(self, operation: Operation) -> Waiting {
        Waiting::begin(std::process::id, operation, self.number())
    }
}
