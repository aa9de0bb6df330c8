//! The queue: a ring of messages, by handle.

use crate::arena::Arena;
use crate::arena::layout::{BODY, QueueCore, Tag};
use crate::arena::table::Held;
use crate::ring::{Ring, close, fill};
use procbox_core::{Bounds, Handle, Message, RawQueue, Result, Wait};
use std::sync::Arc;

/// A queue, by handle.
pub(crate) struct NativeQueue(pub(crate) Arc<Held>);

impl NativeQueue {
    pub(crate) fn create(arena: &Arc<Arena>, bounds: Bounds) -> Result<NativeQueue> {
        let size = BODY + size_of::<QueueCore>() as u64;
        let held = arena
            .create_object(size, Tag::QUEUE, |txn, object| fill(arena, txn, object + BODY, bounds));
        held.map(NativeQueue)
    }

    pub(crate) fn ring(&self) -> Ring<'_> {
        Ring::new(&self.0.arena, self.0.offset + BODY)
    }
}

impl RawQueue for NativeQueue {
    fn put(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()> {
        self.ring().put(bytes, handles, wait)
    }

    fn get(&self, into: &mut Message, wait: Wait) -> Result<()> {
        self.ring().get(into, wait)
    }

    fn len(&self) -> usize {
        self.ring().len()
    }

    fn bounds(&self) -> Bounds {
        self.ring().bounds()
    }

    fn close(&self) {
        // It fails only if this thread held the lock already, which it never keeps.
        let _ = close(&self.0.arena, self.0.offset + BODY);
    }
}
