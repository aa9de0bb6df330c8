//! A queue in shared memory: what it is made of, and what is done to it by others than those who put and
//! get: its making, the repair after a death, closing, and taking it apart.

use super::segment::{
    FIRST, JUMP, Place, RECORD, Record, SEGMENT, SEGMENT_TAG, Side, begin_record, read_record,
};
use crate::arena::Arena;
use crate::arena::alloc::Txn;
use crate::arena::kind::Kind;
use crate::arena::layout::{Line, shared};
use crate::arena::record::By;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::futex;
use crate::sync::patience::Patience;
use crate::sync::robust::RobustLock;
use crate::sync::signal::Signal;
use procbox_core::{Bounds, Result};
use std::mem::offset_of;

shared! {
    /// The two sides of a queue, each on lines of its own.
    #[cfg_attr(loom, derive(Default))]
    #[repr(align(64))]
    pub(crate) struct Core {
        pub(super) producer: Line<RobustLock>,
        pub(super) put: Line<Side>,
        pub(super) consumer: Line<RobustLock>,
        pub(super) got: Line<Side>,
        /// Bumped when messages come, for those who wait for one.
        pub(super) items: Signal,
        /// Bumped when messages go, for those who wait for room.
        pub(super) space: Signal,
        pub(crate) closed: AtomicU32,
        unused: AtomicU32,
        pub(super) most_messages: AtomicU64,
        pub(super) most_bytes: AtomicU64,
        /// What was asked for: `u64::MAX` if messages are not bounded.
        pub(super) asked_messages: AtomicU64,
        /// The messages in it that carry handles; changed by transactions.
        pub(super) carried: AtomicU64,
    }
}

pub(crate) const SIZE: u64 = size_of::<Core>() as u64;

/// The offset of a side's word, for transactions.
pub(super) const PUT_AT: u64 = (offset_of!(Core, put) + offset_of!(Side, at)) as u64;
const GOT_AT: u64 = (offset_of!(Core, got) + offset_of!(Side, at)) as u64;
pub(super) const CARRIED: u64 = offset_of!(Core, carried) as u64;
pub(super) const ITEMS: u64 = offset_of!(Core, items) as u64;
pub(super) const SPACE: u64 = offset_of!(Core, space) as u64;

/// Fills a core in a block that is not published yet, with its first segment.
pub(crate) fn fill(arena: &Arena, txn: &mut Txn<'_>, offset: u64, bounds: Bounds) -> Result<()> {
    let segment = txn.alloc(SEGMENT, SEGMENT_TAG)?;
    arena.word(segment + 8).store(SEGMENT, Ordering::Relaxed);
    begin_record(arena, segment + FIRST, 0, 0);
    arena.zero(offset, SIZE);
    let core: &Core = arena.at(offset);
    let place = Place { segment, position: FIRST }.pack();
    core.put.0.at.store(place, Ordering::Relaxed);
    core.got.0.at.store(place, Ordering::Relaxed);
    core.got.0.seen.store(place, Ordering::Relaxed);
    let messages = bounds.messages.map_or(u64::MAX, |most| most as u64);
    core.asked_messages.store(messages, Ordering::Relaxed);
    core.most_messages.store(bounds.most_messages() as u64, Ordering::Relaxed);
    core.most_bytes.store(bounds.bytes as u64, Ordering::Relaxed);
    Ok(())
}

/// After the death of a process that had the queue: repairs the counts and wakes all who wait, in
/// case it died between a change and the wake for it.
pub(crate) fn recover(arena: &Arena, offset: u64, patience: &Patience) -> Result<()> {
    let core: &Core = arena.at(offset);
    // Who holds a lock now has made the repair, or will see that it must.
    let repair_of = |owner_died, side| repair(arena, core, owner_died, side, patience);
    core.producer.0.try_hold(|owner_died| repair_of(owner_died, &core.put.0))?;
    core.consumer.0.try_hold(|owner_died| repair_of(owner_died, &core.got.0))?;
    core.producer.0.wake_all();
    core.consumer.0.wake_all();
    core.items.bump(arena.shared(), futex::wake_all);
    core.space.bump(arena.shared(), futex::wake_all);
    Ok(())
}

/// If the last holder of a side's lock died: takes the counts from the record that it points at.
#[inline]
pub(super) fn repair(
    arena: &Arena,
    core: &Core,
    owner_died: bool,
    side: &Side,
    patience: &Patience,
) -> Result<()> {
    if !owner_died {
        return Ok(());
    }
    // Its transaction may have moved the tail or the head and not be applied yet.
    arena.sync(patience)?;
    let at = Place::unpack(side.at.load(Ordering::Acquire)).offset();
    side.messages.store(arena.word(at + 8).load(Ordering::Relaxed), Ordering::Release);
    side.bytes.store(arena.word(at + 16).load(Ordering::Relaxed), Ordering::Release);
    if std::ptr::eq(side, &core.got.0) {
        side.seen.store(core.put.0.at.load(Ordering::Acquire), Ordering::Relaxed);
        core.space.bump(arena.shared(), futex::wake_all);
    } else {
        core.items.bump(arena.shared(), futex::wake_all);
    }
    Ok(())
}

/// Closes a queue: once it returns, no put succeeds.
pub(crate) fn close(arena: &Arena, offset: u64, patience: &Patience) -> Result<()> {
    let core: &Core = arena.at(offset);
    core.producer.0.hold(patience, |owner_died| {
        repair(arena, core, owner_died, &core.put.0, patience)?;
        core.closed.store(1, Ordering::SeqCst);
        Ok(())
    })?;
    core.items.bump(arena.shared(), futex::wake_all);
    core.space.bump(arena.shared(), futex::wake_all);
    Ok(())
}

/// Drops all messages of a queue that nobody gets from any more, with the handles in them.
pub(crate) fn drain(arena: &Arena, offset: u64, patience: &Patience) -> Result<()> {
    let core: &Core = arena.at(offset);
    core.consumer.0.hold(patience, |owner_died| {
        repair(arena, core, owner_died, &core.got.0, patience)?;
        while drop_oldest(arena, core, offset, patience)? {}
        Ok(())
    })
}

/// Drops the message at the head, under the consumers' lock; `false` if there is none.
fn drop_oldest(arena: &Arena, core: &Core, offset: u64, patience: &Patience) -> Result<bool> {
    let head = core.got.0.at.load(Ordering::Relaxed);
    if head == core.put.0.at.load(Ordering::Acquire) {
        core.got.0.seen.store(head, Ordering::Relaxed);
        return Ok(false);
    }
    let place = Place::unpack(head);
    if follow_jump(arena, offset, place, patience)? {
        return Ok(true);
    }
    let record = read_record(arena, place)?;
    if record.is_plain() {
        core.got.0.at.store(record.next.pack(), Ordering::Release);
    } else {
        arena.transaction(patience, |txn| {
            for i in 0..record.handles as u64 {
                let object = arena.word(place.offset() + RECORD + 8 * i).load(Ordering::Relaxed);
                if arena.kind(object).is_some_and(Kind::is_handle) {
                    arena.release(txn, object, By::Message)?;
                }
            }
            record.block.into_iter().try_for_each(|block| arena.free_block(txn, block))?;
            pass(txn, offset, &record)
        })?;
    }
    record.count(&core.got.0);
    Ok(true)
}

/// Takes a message out, as part of the transaction that says what becomes of its handles and its block.
pub(super) fn pass(txn: &mut Txn<'_>, offset: u64, record: &Record) -> Result<()> {
    if record.handles > 0 {
        let carried = txn.get(offset + CARRIED);
        txn.set(offset + CARRIED, carried.saturating_sub(1))?;
    }
    txn.set(offset + GOT_AT, record.next.pack())
}

/// Frees the segment that a drained queue still has, as part of freeing the queue.
pub(crate) fn free_last(arena: &Arena, txn: &mut Txn<'_>, offset: u64) -> Result<()> {
    let core: &Core = arena.at(offset);
    let segment = Place::unpack(core.got.0.at.load(Ordering::Relaxed)).segment;
    let size = arena.word(segment + 8).load(Ordering::Relaxed);
    txn.free(segment, size)
}

/// If a jump stands at the head: moves the head to the next segment and frees this one.
#[inline]
pub(super) fn follow_jump(
    arena: &Arena,
    offset: u64,
    place: Place,
    patience: &Patience,
) -> Result<bool> {
    let at = place.offset();
    if arena.word(at).load(Ordering::Relaxed) != JUMP {
        return Ok(false);
    }
    let segment = arena.word(at + RECORD).load(Ordering::Relaxed);
    let next = Place { segment, position: FIRST };
    arena.transaction(patience, |txn| {
        txn.set(offset + GOT_AT, next.pack())?;
        txn.free(place.segment, arena.word(place.segment + 8).load(Ordering::Relaxed))
    })?;
    Ok(true)
}
