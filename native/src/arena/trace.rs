//! Traces of objects: what became of one, for those who do not hold it any more.
//!
//! A trace keeps nothing. It names the block in which the object is, or the pipe that an end is of, and the
//! serial number that is written there: when the block is freed, its first word is no such tag, and when
//! it is used again, there is another number.

use super::Arena;
use super::layout::{Object, Tag};
use crate::sync::atomic::{Ordering, fence};
use procbox_core::raw::Life;
use std::mem::offset_of;
use std::sync::Weak;

/// Where messages are, and what says, to one who holds nothing, how many at most.
pub(crate) type Sent = (u64, fn(&Arena, u64) -> usize);

/// The trace of an object.
pub(crate) struct Trace {
    arena: Weak<Arena>,
    /// The object's own number.
    id: u64,
    /// The block that is there as long as it is, and its tag.
    block: (u64, Tag),
    /// The offset at which the block has its number, and that number.
    serial: (u64, u64),
    /// Where messages are that were sent by it.
    sent: Option<Sent>,
}

impl Trace {
    /// One that goes by a block of another kind than the object's own. The caller holds the object.
    pub(crate) fn new(
        arena: &Arena,
        object: u64,
        block: (u64, Tag),
        serial: u64,
        sent: Option<Sent>,
    ) -> Trace {
        let serial = (serial, arena.word(serial).load(Ordering::Relaxed));
        Trace { arena: arena.this.clone(), id: arena.serial(object), block, serial, sent }
    }

    /// One that goes by the object's own block.
    pub(crate) fn of_object(arena: &Arena, object: u64, tag: Tag, sent: Option<Sent>) -> Trace {
        let serial = object + offset_of!(Object, serial) as u64;
        Trace::new(arena, object, (object, tag), serial, sent)
    }

    fn is_there(&self, arena: &Arena) -> bool {
        let ((block, tag), (at, serial)) = (self.block, self.serial);
        arena.tag(block) == Some(tag) && arena.word(at).load(Ordering::Acquire) == serial
    }
}

impl Life for Trace {
    fn id(&self) -> u64 {
        self.id
    }

    fn messages(&self) -> Option<usize> {
        let arena = self.arena.upgrade().filter(|arena| self.is_there(arena))?;
        let messages = self.sent.map_or(0, |(at, messages)| messages(&arena, at));
        // If it went meanwhile, what was read means nothing.
        fence(Ordering::Acquire);
        self.is_there(&arena).then_some(messages)
    }
}
