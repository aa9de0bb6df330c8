//! The ring that queues and pipes are made of: a list of segments with a lock for each side.
//!
//! The idea is Michael and Scott's two-lock queue (1996), with many messages in a segment.
//! A message is a *record*, written behind the tail; storing the tail (a segment and a position in
//! one word) puts it in the queue, and storing the head takes it out. Behind the last record stands
//! the beginning of the next: the numbers of messages and bytes before it. So tail and head each
//! lead to exact counts, and the counts in [`Side`] are copies, repaired when a holder died.
//! A *jump* record leads to the next segment; the consumer that follows it frees the old one.
//! A message with handles, and a change of segment, move the tail or the head in a transaction with
//! the references and the blocks. docs/native.md says what SIGKILL leaves behind at each point.

mod lifecycle;
mod segment;

pub(crate) use lifecycle::{Core, SIZE, carried, close, drain, fill, free_last, recover};

use crate::arena::Arena;
use crate::arena::alloc::Txn;
use crate::arena::held::Held;
use crate::arena::kind::Needs;
use crate::arena::record;
use crate::arena::waits::{Awaits, Patient};
use crate::sync::patience::Patience;
use crate::sync::{futex, spin};
use lifecycle::{GOT_AT, ITEMS, PUT_AT, SPACE, follow_jump, repair};
use procbox_core::observe::{Operation, Waiting};
use procbox_core::raw::{Handle, Message};
use procbox_core::time::Deadline;
use procbox_core::{Bounds, Error, Result, Wait};
use segment::{
    FIRST, JUMP, JUMP_SIZE, Place, RECORD, Record, SEGMENT, SEGMENT_TAG, begin_record, read_record,
    record_size,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The largest message that fits into the packed position.
const MOST_BYTES: usize = 1 << 30;

/// The size from which a message's memory is given back to the system when the message is got.
const GIVEN_BACK: usize = 256 << 10;

/// The end of a put's wait: for room, or for one who is stopped while it puts.
fn full(error: Error) -> Error {
    if error == Error::TimedOut { Error::Full } else { error }
}

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
        let got = self.core.got.0.messages.load(Ordering::Acquire);
        self.core.put.0.messages.load(Ordering::Acquire).saturating_sub(got) as usize
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

    /// Appends a message; `Error::Full` when the wait runs out.
    /// It is by the handle of `object` that it is reached.
    pub(crate) fn put(
        self,
        bytes: &[u8],
        handles: &[Handle],
        wait: Wait,
        object: u64,
    ) -> Result<()> {
        let limit = (self.core.most_bytes.load(Ordering::Relaxed) as usize).min(MOST_BYTES);
        if bytes.len() > limit {
            return Err(Error::TooLarge { size: bytes.len(), limit });
        }
        let objects = self.arena.offsets(handles)?;
        let size = bytes.len() as u64;
        let patience = Patience::new(wait);
        let mut waiting: Option<Waiting> = None;
        let mut patient = None;
        loop {
            if self.try_put(bytes, &objects, &patience).map_err(full)? {
                self.core.items.changed(self.arena.shared(), futex::wake_all);
                waiting.into_iter().for_each(|waiting| waiting.end(true));
                return Ok(());
            }
            if patience.is_never() {
                return Err(Error::Full);
            }
            let until = patience.until();
            if spin(|| self.has_room(size)) {
                continue;
            }
            let announced = self.core.space.announce();
            if !self.has_room(size) {
                waiting.get_or_insert_with(|| self.waiting(Operation::QueuePut));
                let patient = patient
                    .get_or_insert_with(|| self.patient(wait, Operation::QueuePut, object, size));
                patient.block(announced, until).map_err(full)?;
            }
        }
    }

    /// Appends a message if there is room; whether there was.
    #[inline]
    fn try_put(self, bytes: &[u8], objects: &[u64], patience: &Patience) -> Result<bool> {
        self.core.producer.0.hold(patience, |owner_died| {
            repair(self.arena, self.core, owner_died, &self.core.put.0, patience)?;
            if self.core.closed.load(Ordering::Relaxed) != 0 {
                return Err(Error::Closed);
            }
            if !self.has_room_locked(bytes.len() as u64) {
                return Ok(false);
            }
            // SAFETY: this is under the producers' lock.
            unsafe { self.append(bytes, objects, patience) }?;
            Ok(true)
        })
    }

    /// Writes a record behind the tail and publishes it.
    ///
    /// # Safety
    /// The calling thread holds the producers' lock: what is behind the tail, and a segment that is not
    /// linked yet, nobody else touches then.
    #[inline]
    unsafe fn append(self, bytes: &[u8], objects: &[u64], patience: &Patience) -> Result<()> {
        let (arena, put) = (self.arena, &self.core.put.0);
        let tail = Place::unpack(put.at.load(Ordering::Relaxed));
        let size = record_size(bytes.len(), objects.len());
        let room = arena.word(tail.segment + 8).load(Ordering::Relaxed);
        if tail.position + size + JUMP_SIZE <= room {
            if objects.is_empty() {
                // SAFETY: behind the tail, under the lock.
                let next = unsafe { self.write_record(tail, tail, bytes, objects) }?;
                put.at.store(next.pack(), Ordering::Release);
            } else {
                arena.transaction(patience, |txn| {
                    // SAFETY: behind the tail, under the lock.
                    let next = unsafe { self.write_record(tail, tail, bytes, objects) }?;
                    self.publish(txn, next, objects)
                })?;
            }
        } else {
            arena.transaction(patience, |txn| {
                // A large message has a segment to itself, which goes when the message has gone.
                let length = (FIRST + size + JUMP_SIZE).max(SEGMENT);
                let segment = txn.alloc(length, SEGMENT_TAG)?;
                arena.word(segment + 8).store(length, Ordering::Relaxed);
                let first = Place { segment, position: FIRST };
                // SAFETY: the segment was allocated just now.
                let next = unsafe { self.write_record(tail, first, bytes, objects) }?;
                // Behind the tail: seen by nobody before the tail is beyond it.
                arena.word(tail.offset() + RECORD).store(segment, Ordering::Relaxed);
                arena.word(tail.offset()).store(JUMP, Ordering::Relaxed);
                self.publish(txn, next, objects)
            })?;
        }
        let counted = put.messages.load(Ordering::Relaxed) + 1;
        put.messages.store(counted, Ordering::Release);
        let counted = put.bytes.load(Ordering::Relaxed) + bytes.len() as u64;
        put.bytes.store(counted, Ordering::Release);
        Ok(())
    }

    fn publish(self, txn: &mut Txn<'_>, next: Place, objects: &[u64]) -> Result<()> {
        for object in objects {
            record::retain(txn, *object)?;
        }
        txn.set(self.offset + PUT_AT, next.pack())?;
        txn.wake(self.offset + ITEMS)
    }

    /// Writes a record at `at`, with the counts that stand at `tail`, and the beginning of the
    /// next, whose place it returns.
    ///
    /// # Safety
    /// Nobody else touches that place meanwhile: it is behind the tail, or in a segment that is not
    /// linked yet, and the calling thread holds the producers' lock.
    #[inline]
    unsafe fn write_record(
        self,
        tail: Place,
        at: Place,
        bytes: &[u8],
        objects: &[u64],
    ) -> Result<Place> {
        let arena = self.arena;
        let messages = arena.word(tail.offset() + 8).load(Ordering::Relaxed);
        let before = arena.word(tail.offset() + 16).load(Ordering::Relaxed);
        let mut to = at.offset();
        let what = bytes.len() as u64 | (objects.len() as u64) << 32;
        arena.word(to).store(what, Ordering::Relaxed);
        begin_record(arena, to, messages, before);
        to += RECORD;
        for object in objects {
            arena.word(to).store(*object, Ordering::Relaxed);
            to += 8;
        }
        // SAFETY: the caller promises it.
        unsafe { arena.write(to, bytes) }?;
        let position = at.position + record_size(bytes.len(), objects.len());
        let next = Place { segment: at.segment, position };
        begin_record(arena, next.offset(), messages + 1, before + bytes.len() as u64);
        Ok(next)
    }

    /// Takes the oldest message; `Error::Empty` when the wait runs out. It is by the handle of `object`
    /// that it is reached.
    pub(crate) fn get(self, into: &mut Message, wait: Wait, object: u64) -> Result<()> {
        into.bytes.clear();
        into.handles.clear();
        let patience = Patience::new(wait);
        let mut patient = None;
        loop {
            if self.try_get(into, &patience).map_err(empty)? {
                self.core.space.changed(self.arena.shared(), futex::wake_all);
                return Ok(());
            }
            if patience.is_never() {
                return Err(Error::Empty);
            }
            let patient =
                patient.get_or_insert_with(|| self.patient(wait, Operation::QueueGet, object, 0));
            self.wait(patient, patience.until())?;
        }
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

    #[inline]
    fn try_get(self, into: &mut Message, patience: &Patience) -> Result<bool> {
        let (core, got) = (self.core, &self.core.got.0);
        core.consumer.0.hold(patience, |owner_died| {
            repair(self.arena, core, owner_died, got, patience)?;
            let Some(place) = self.oldest(patience)? else { return Ok(false) };
            let record = read_record(self.arena, place)?;
            let handles = place.offset() + RECORD;
            let bytes = handles + 8 * record.handles as u64;
            // SAFETY: what is between head and tail changes only when the head passes it, and that is
            // under this lock.
            unsafe { self.arena.read(bytes, record.bytes, &mut into.bytes) }?;
            if record.handles == 0 {
                got.at.store(record.next.pack(), Ordering::Release);
                record.count(got);
                self.give_back(place, &record);
                return Ok(true);
            }
            let words = (0..record.handles as u64).map(|i| self.arena.word(handles + 8 * i));
            let objects: Vec<u64> = words.map(|word| word.load(Ordering::Relaxed)).collect();
            let taken = self.arena.take_handles(&objects, patience, |txn| {
                txn.set(self.offset + GOT_AT, record.next.pack())?;
                txn.wake(self.offset + SPACE)
            })?;
            record.count(got);
            self.give_back(place, &record);
            into.handles.extend(taken.into_iter().filter_map(Held::handle));
            Ok(true)
        })
    }

    /// Gives the memory of a large message back that was got from a queue with no other in it: its
    /// segment stays until the next message. The caller holds the consumers' lock, so that nobody
    /// else frees the segment.
    #[inline]
    fn give_back(self, place: Place, record: &Record) {
        if record.bytes >= GIVEN_BACK
            && record.next.pack() == self.core.put.0.at.load(Ordering::Acquire)
        {
            // The head is behind it; what the head and the tail lead to, the next record's counts, stays.
            self.arena.give_back_memory(place.offset() + RECORD, record.next.offset());
        }
    }

    /// Place of the oldest message, if there is one. The caller holds the consumers' lock.
    #[inline]
    fn oldest(self, patience: &Patience) -> Result<Option<Place>> {
        let (core, got) = (self.core, &self.core.got.0);
        loop {
            let head = got.at.load(Ordering::Relaxed);
            if head == got.seen.load(Ordering::Relaxed) {
                // Closed is read first: no message comes after it.
                let closed = core.closed.load(Ordering::SeqCst) != 0;
                let tail = core.put.0.at.load(Ordering::Acquire);
                got.seen.store(tail, Ordering::Relaxed);
                if head == tail {
                    return if closed { Err(Error::Closed) } else { Ok(None) };
                }
            }
            let place = Place::unpack(head);
            if !follow_jump(self.arena, self.offset, place, patience)? {
                return Ok(Some(place));
            }
        }
    }
}
