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

use crate::arena::Arena;
use crate::arena::alloc::Txn;
use crate::arena::layout::{QueueCore, Side, Tag};
use crate::arena::table;
use crate::object;
use crate::segment::{
    FIRST, JUMP, JUMP_SIZE, Place, RECORD, SEGMENT, begin_record, read_record, record_size,
};
use crate::sync::robust::Guard;
use crate::sync::{futex, spin};
use procbox_core::{Bounds, Deadline, Error, Handle, Message, Result, SystemClock, Wait};
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The largest message that fits into the packed position.
const MOST_BYTES: usize = 1 << 30;

/// The offset of a side's word, for transactions.
const PUT_AT: u64 = (offset_of!(QueueCore, put) + offset_of!(Side, at)) as u64;
const GOT_AT: u64 = (offset_of!(QueueCore, got) + offset_of!(Side, at)) as u64;
const ITEMS: u64 = offset_of!(QueueCore, items) as u64;
const SPACE: u64 = offset_of!(QueueCore, space) as u64;

/// A queue core in an arena.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a> {
    arena: &'a Arc<Arena>,
    offset: u64,
    core: &'a QueueCore,
}

/// Fills a core in a block that is not published yet, with its first segment.
pub(crate) fn fill(arena: &Arena, txn: &mut Txn<'_>, offset: u64, bounds: Bounds) -> Result<()> {
    let segment = txn.alloc(SEGMENT, Tag::SEGMENT)?;
    arena.word(segment + 8).store(SEGMENT, Ordering::Relaxed);
    begin_record(arena, segment + FIRST, 0, 0);
    for word in 0..size_of::<QueueCore>() as u64 / 8 {
        arena.word(offset + 8 * word).store(0, Ordering::Relaxed);
    }
    let core: &QueueCore = arena.at(offset);
    let place = Place { segment, position: FIRST }.pack();
    core.put.0.at.store(place, Ordering::Relaxed);
    core.got.0.at.store(place, Ordering::Relaxed);
    core.got.0.seen.store(place, Ordering::Relaxed);
    let messages = bounds.messages.map_or(u64::MAX, |most| most as u64);
    core.most_messages.store(messages, Ordering::Relaxed);
    core.most_bytes.store(bounds.bytes as u64, Ordering::Relaxed);
    Ok(())
}

/// After the death of a process that had the queue: repairs the counts and wakes all who wait, in
/// case it died between a change and the wake for it.
pub(crate) fn kick(arena: &Arena, offset: u64) -> Result<()> {
    let core: &QueueCore = arena.at(offset);
    // Who holds a lock now has made the repair, or will see that it must.
    if let Some(guard) = core.producer.0.try_guard() {
        repair(arena, core, &guard, &core.put.0)?;
    }
    if let Some(guard) = core.consumer.0.try_guard() {
        repair(arena, core, &guard, &core.got.0)?;
    }
    core.producer.0.kick();
    core.consumer.0.kick();
    core.items.bump(futex::wake_all);
    core.space.bump(futex::wake_all);
    Ok(())
}

/// If the last holder of a side's lock died: takes the counts from the record that it points at.
#[inline]
fn repair(arena: &Arena, core: &QueueCore, guard: &Guard<'_>, side: &Side) -> Result<()> {
    if !guard.owner_died {
        return Ok(());
    }
    // Its transaction may have moved the tail or the head and not be applied yet.
    arena.sync()?;
    let at = Place::unpack(side.at.load(Ordering::Acquire)).offset();
    side.messages.store(arena.word(at + 8).load(Ordering::Relaxed), Ordering::Release);
    side.bytes.store(arena.word(at + 16).load(Ordering::Relaxed), Ordering::Release);
    if std::ptr::eq(side, &core.got.0) {
        side.seen.store(core.put.0.at.load(Ordering::Acquire), Ordering::Relaxed);
        core.space.bump(futex::wake_all);
    } else {
        core.items.bump(futex::wake_all);
    }
    Ok(())
}

/// Closes a queue: once it returns, no put succeeds.
pub(crate) fn close(arena: &Arena, offset: u64) -> Result<()> {
    let core: &QueueCore = arena.at(offset);
    let guard = core.producer.0.guard()?;
    repair(arena, core, &guard, &core.put.0)?;
    core.closed.store(1, Ordering::SeqCst);
    drop(guard);
    core.items.bump(futex::wake_all);
    core.space.bump(futex::wake_all);
    Ok(())
}

/// Drops all messages of a queue that nobody gets from any more, with the handles in them.
pub(crate) fn drain(arena: &Arena, offset: u64) -> Result<()> {
    let core: &QueueCore = arena.at(offset);
    let guard = core.consumer.0.guard()?;
    repair(arena, core, &guard, &core.got.0)?;
    loop {
        let head = core.got.0.at.load(Ordering::Relaxed);
        if head == core.put.0.at.load(Ordering::Acquire) {
            core.got.0.seen.store(head, Ordering::Relaxed);
            return Ok(());
        }
        let place = Place::unpack(head);
        if follow_jump(arena, offset, place)? {
            continue;
        }
        let record = read_record(arena, place)?;
        if record.handles == 0 {
            core.got.0.at.store(record.next.pack(), Ordering::Release);
            record.count(&core.got.0);
            continue;
        }
        let mut txn = arena.begin()?;
        for i in 0..record.handles as u64 {
            let object = arena.word(place.offset() + RECORD + 8 * i).load(Ordering::Relaxed);
            if arena.tag(object).is_some_and(Tag::is_handle) {
                table::release(&mut txn, object)?;
            }
        }
        txn.set(offset + GOT_AT, record.next.pack())?;
        txn.commit();
        record.count(&core.got.0);
    }
}

/// Frees the segment that a drained queue still has, as part of freeing the queue.
pub(crate) fn free_last(arena: &Arena, txn: &mut Txn<'_>, offset: u64) -> Result<()> {
    let core: &QueueCore = arena.at(offset);
    let segment = Place::unpack(core.got.0.at.load(Ordering::Relaxed)).segment;
    let size = arena.word(segment + 8).load(Ordering::Relaxed);
    txn.free(segment, size)
}

/// If a jump stands at the head: moves the head to the next segment and frees this one.
#[inline]
fn follow_jump(arena: &Arena, offset: u64, place: Place) -> Result<bool> {
    let at = place.offset();
    if arena.word(at).load(Ordering::Relaxed) != JUMP {
        return Ok(false);
    }
    let segment = arena.word(at + RECORD).load(Ordering::Relaxed);
    let mut txn = arena.begin()?;
    let next = Place { segment, position: FIRST };
    txn.set(offset + GOT_AT, next.pack())?;
    txn.free(place.segment, arena.word(place.segment + 8).load(Ordering::Relaxed))?;
    txn.commit();
    Ok(true)
}

impl<'a> Ring<'a> {
    #[inline]
    pub(crate) fn new(arena: &'a Arc<Arena>, offset: u64) -> Ring<'a> {
        Ring { arena, offset, core: arena.at(offset) }
    }

    pub(crate) fn len(self) -> usize {
        let got = self.core.got.0.messages.load(Ordering::Acquire);
        self.core.put.0.messages.load(Ordering::Acquire).saturating_sub(got) as usize
    }

    pub(crate) fn bounds(self) -> Bounds {
        let messages = self.core.most_messages.load(Ordering::Relaxed);
        Bounds {
            messages: (messages != u64::MAX).then_some(messages as usize),
            bytes: self.core.most_bytes.load(Ordering::Relaxed) as usize,
        }
    }

    /// Whether a get would not block.
    pub(crate) fn is_ready(self) -> bool {
        self.core.got.0.at.load(Ordering::Acquire) != self.core.put.0.at.load(Ordering::Acquire)
            || self.core.closed.load(Ordering::Acquire) != 0
    }

    /// The word that changes when [`Ring::is_ready`] may have, and its value. The caller looks at
    /// `is_ready` after this and before it waits.
    pub(crate) fn want_items(self) -> (&'a AtomicU32, u32) {
        self.core.items.announce()
    }

    fn fits(self, bytes: u64, got_messages: u64, got_bytes: u64) -> bool {
        let put = &self.core.put.0;
        let messages = put.messages.load(Ordering::Relaxed).wrapping_sub(got_messages);
        let used = put.bytes.load(Ordering::Relaxed).wrapping_sub(got_bytes);
        messages < self.core.most_messages.load(Ordering::Relaxed)
            && used.saturating_add(bytes) <= self.core.most_bytes.load(Ordering::Relaxed)
    }

    /// Whether there is room now.
    fn has_room(self, bytes: u64) -> bool {
        let got = &self.core.got.0;
        let got_bytes = got.bytes.load(Ordering::Acquire);
        self.fits(bytes, got.messages.load(Ordering::Acquire), got_bytes)
            || self.core.closed.load(Ordering::Acquire) != 0
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
    pub(crate) fn put(self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()> {
        let limit = (self.core.most_bytes.load(Ordering::Relaxed) as usize).min(MOST_BYTES);
        if bytes.len() > limit {
            return Err(Error::TooLarge { size: bytes.len(), limit });
        }
        let objects = object::offsets(self.arena, handles)?;
        let size = bytes.len() as u64;
        let mut deadline: Option<Deadline> = None;
        loop {
            {
                let guard = self.core.producer.0.guard()?;
                repair(self.arena, self.core, &guard, &self.core.put.0)?;
                if self.core.closed.load(Ordering::Relaxed) != 0 {
                    return Err(Error::Closed);
                }
                if self.has_room_locked(size) {
                    self.append(bytes, &objects)?;
                    drop(guard);
                    self.core.items.changed(futex::wake_all);
                    return Ok(());
                }
            }
            if wait.is_never() {
                return Err(Error::Full);
            }
            let until = *deadline.get_or_insert_with(|| wait.deadline(&SystemClock));
            if spin(|| self.has_room(size)) {
                continue;
            }
            let announced = self.core.space.announce();
            if !self.has_room(size) {
                self.arena.block(&[announced], until).map_err(|e| match e {
                    Error::TimedOut => Error::Full,
                    other => other,
                })?;
            }
        }
    }

    /// Writes a record behind the tail and publishes it. The caller holds the producers' lock.
    fn append(self, bytes: &[u8], objects: &[u64]) -> Result<()> {
        let (arena, put) = (self.arena, &self.core.put.0);
        let tail = Place::unpack(put.at.load(Ordering::Relaxed));
        let size = record_size(bytes.len(), objects.len());
        let room = arena.word(tail.segment + 8).load(Ordering::Relaxed);
        if tail.position + size + JUMP_SIZE <= room {
            if objects.is_empty() {
                let next = self.write_record(tail, tail, bytes, objects)?;
                put.at.store(next.pack(), Ordering::Release);
            } else {
                let mut txn = arena.begin()?;
                let next = self.write_record(tail, tail, bytes, objects)?;
                self.publish(&mut txn, next, objects)?;
                txn.commit();
            }
        } else {
            let mut txn = arena.begin()?;
            let length = (FIRST + size + JUMP_SIZE).next_power_of_two().max(SEGMENT);
            let segment = txn.alloc(length, Tag::SEGMENT)?;
            arena.word(segment + 8).store(length, Ordering::Relaxed);
            let first = Place { segment, position: FIRST };
            let next = self.write_record(tail, first, bytes, objects)?;
            // Behind the tail: seen by nobody before the tail is beyond it.
            arena.word(tail.offset() + RECORD).store(segment, Ordering::Relaxed);
            arena.word(tail.offset()).store(JUMP, Ordering::Relaxed);
            self.publish(&mut txn, next, objects)?;
            txn.commit();
        }
        let counted = put.messages.load(Ordering::Relaxed) + 1;
        put.messages.store(counted, Ordering::Release);
        let counted = put.bytes.load(Ordering::Relaxed) + bytes.len() as u64;
        put.bytes.store(counted, Ordering::Release);
        Ok(())
    }

    fn publish(self, txn: &mut Txn<'_>, next: Place, objects: &[u64]) -> Result<()> {
        for object in objects {
            table::retain(txn, *object)?;
        }
        txn.set(self.offset + PUT_AT, next.pack())?;
        txn.wake(self.offset + ITEMS)
    }

    /// Writes a record at `at`, with the counts that stand at `tail`, and the beginning of the
    /// next, whose place it returns.
    fn write_record(self, tail: Place, at: Place, bytes: &[u8], objects: &[u64]) -> Result<Place> {
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
        arena.write(to, bytes)?;
        let position = at.position + record_size(bytes.len(), objects.len());
        let next = Place { segment: at.segment, position };
        begin_record(arena, next.offset(), messages + 1, before + bytes.len() as u64);
        Ok(next)
    }

    /// Takes the oldest message; `Error::Empty` when the wait runs out.
    pub(crate) fn get(self, into: &mut Message, wait: Wait) -> Result<()> {
        into.bytes.clear();
        into.handles.clear();
        let mut deadline: Option<Deadline> = None;
        loop {
            if self.try_get(into)? {
                self.core.space.changed(futex::wake_all);
                return Ok(());
            }
            if wait.is_never() {
                return Err(Error::Empty);
            }
            let until = *deadline.get_or_insert_with(|| wait.deadline(&SystemClock));
            self.wait(until)?;
        }
    }

    /// Waits for [`Ring::is_ready`], or for no reason; `Error::Empty` when the wait runs out.
    pub(crate) fn wait(self, until: Deadline) -> Result<()> {
        if spin(|| self.is_ready()) {
            return Ok(());
        }
        let wanted = self.want_items();
        if self.is_ready() {
            return Ok(());
        }
        self.arena.block(&[wanted], until).map_err(|e| match e {
            Error::TimedOut => Error::Empty,
            other => other,
        })
    }

    fn try_get(self, into: &mut Message) -> Result<bool> {
        let (core, got) = (self.core, &self.core.got.0);
        let guard = core.consumer.0.guard()?;
        repair(self.arena, core, &guard, got)?;
        let place = loop {
            let head = got.at.load(Ordering::Relaxed);
            if head == got.seen.load(Ordering::Relaxed) {
                // Closed is read first: no message comes after it.
                let closed = core.closed.load(Ordering::SeqCst) != 0;
                let tail = core.put.0.at.load(Ordering::Acquire);
                got.seen.store(tail, Ordering::Relaxed);
                if head == tail {
                    return if closed { Err(Error::Closed) } else { Ok(false) };
                }
            }
            let place = Place::unpack(head);
            if !follow_jump(self.arena, self.offset, place)? {
                break place;
            }
        };
        let record = read_record(self.arena, place)?;
        let handles = place.offset() + RECORD;
        self.arena.read(handles + 8 * record.handles as u64, record.bytes, &mut into.bytes)?;
        if record.handles == 0 {
            got.at.store(record.next.pack(), Ordering::Release);
            record.count(got);
            return Ok(true);
        }
        let words = (0..record.handles as u64).map(|i| self.arena.word(handles + 8 * i));
        let objects: Vec<u64> = words.map(|word| word.load(Ordering::Relaxed)).collect();
        let taken = self.arena.take_handles(&objects, |txn| {
            txn.set(self.offset + GOT_AT, record.next.pack())?;
            txn.wake(self.offset + SPACE)
        })?;
        record.count(got);
        drop(guard);
        into.handles.extend(taken.into_iter().filter_map(object::handle));
        Ok(true)
    }
}
