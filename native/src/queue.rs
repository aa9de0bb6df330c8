//! The queue: a ring of messages, by handle.

use crate::arena::Arena;
use crate::arena::held::Held;
use crate::arena::kind::{Kind, Needs, reclaimed};
use crate::arena::layout::{BODY, Hold, Tag};
use crate::arena::trace::Trace;
use crate::arena::waits::Awaits;
use crate::arena::watches::Wakes;
use crate::lent::{block, lend};
use crate::ring::{self, Ring};
use crate::sync::patience::Patience;
use procbox_core::observe::{Sight, Visible};
use procbox_core::raw::{Handle, Lent, Message, RawQueue, Side, Watch};
use procbox_core::{Bounds, Result, Wait};
use std::any::Any;
use std::sync::Arc;
use std::task::Waker;

/// A queue, by handle.
pub(crate) struct NativeQueue(pub(crate) Arc<Held>);

/// Kind of queues, as the arena sees it.
pub(crate) struct QueueKind;

impl Kind for QueueKind {
    fn tag(&self) -> Tag {
        Tag::number(4)
    }

    fn size(&self) -> u64 {
        BODY + ring::SIZE
    }

    fn handle(&self, held: Arc<Held>) -> Option<Handle> {
        Some(Handle::Queue(Arc::new(NativeQueue(held))))
    }

    fn held<'a>(&self, handle: &'a Handle) -> Option<&'a Arc<Held>> {
        let Handle::Queue(raw) = handle else { return None };
        (&**raw as &dyn Any).downcast_ref().map(|queue: &NativeQueue| &queue.0)
    }

    fn needs(&self, arena: &Arena, awaits: &Awaits) -> Needs {
        ring::needs(arena, awaits.object + BODY, awaits)
    }

    fn carries(&self, arena: &Arena, object: u64) -> bool {
        ring::carries(arena, object + BODY)
    }

    fn cargo(
        &self,
        arena: &Arena,
        object: u64,
        records: &mut u32,
        see: &mut dyn FnMut(u64),
    ) -> bool {
        ring::cargo(arena, object + BODY, records, see)
    }

    fn trace(&self, arena: &Arena, object: u64) -> Trace {
        let sent = (object + BODY, ring::most_messages as _);
        Trace::of_object(arena, object, self.tag(), Some(sent))
    }

    fn messages(&self, arena: &Arena, object: u64) -> usize {
        ring::messages(arena, object + BODY)
    }

    fn empty(&self, arena: &Arena, object: u64, patience: &Patience) -> Result<()> {
        ring::drain(arena, object + BODY, patience)
    }

    fn recover(&self, arena: &Arena, object: u64, _: &Hold, patience: &Patience) -> Result<()> {
        ring::recover(arena, object + BODY, patience)
    }

    fn reclaim(&self, arena: &Arena, object: u64, patience: &Patience) -> Result<()> {
        ring::drain(arena, object + BODY, patience)?;
        arena.transaction(patience, |txn| {
            ring::free_last(arena, txn, object + BODY)?;
            reclaimed(txn, object, self.size(), None)
        })
    }
}

impl NativeQueue {
    pub(crate) fn create(arena: &Arc<Arena>, bounds: Bounds) -> Result<NativeQueue> {
        let held = arena
            .create_object(&QueueKind, |txn, object| ring::fill(arena, txn, object + BODY, bounds));
        held.map(NativeQueue)
    }

    pub(crate) fn ring(&self) -> Ring<'_> {
        Ring::new(&self.0.arena, self.0.offset + BODY)
    }
}

/// Has a waker woken when a side of a ring that this object has may be ready. A message is for one, but
/// room may be for others than who is first: their messages are smaller.
pub(crate) fn watch(
    held: &Arc<Held>,
    ring: Ring<'_>,
    side: Side,
    waker: &Waker,
) -> Result<Option<Watch>> {
    let (items, space) = ring.signals();
    let watch = match side {
        Side::Items => held.watch(items, Wakes::One, waker),
        Side::Room => held.watch(space, Wakes::All, waker),
    };
    watch.map(Some)
}

impl Visible for NativeQueue {
    fn sight(&self) -> Sight {
        let ring = self.ring();
        let most = ring.bounds().messages;
        Sight::Queue { object: ring.number(), messages: ring.len(), most }
    }
}

impl RawQueue for NativeQueue {
    fn put(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()> {
        self.ring().put(bytes, handles, wait, self.0.offset)
    }

    fn get(&self, into: &mut Message, wait: Wait) -> Result<()> {
        self.ring().get(into, wait, self.0.offset)
    }

    fn loan(&self, bytes: usize, prefix: usize) -> Result<Option<Lent>> {
        self.ring().loan(bytes, prefix).map(|loan| Some(lend(loan)))
    }

    fn put_lent(&self, lent: &mut Lent, handles: &[Handle], wait: Wait) -> Result<()> {
        let ring = self.ring();
        match block(lent, &self.0.arena) {
            Some(loan) => ring.put_loan(loan, handles, wait, self.0.offset),
            None => ring.put(lent.bytes(), handles, wait, self.0.offset),
        }
    }

    fn get_lent(&self, into: &mut Message, wait: Wait) -> Result<Option<Lent>> {
        Ok(self.ring().take(into, wait, self.0.offset)?.map(lend))
    }

    fn len(&self) -> usize {
        self.ring().len()
    }

    fn bounds(&self) -> Bounds {
        self.ring().bounds()
    }

    fn close(&self) {
        // It fails only if this thread held the lock already, which it never keeps.
        let _ = ring::close(&self.0.arena, self.0.offset + BODY, &Patience::deaf());
    }

    fn watch(&self, side: Side, waker: &Waker) -> Result<Option<Watch>> {
        watch(&self.0, self.ring(), side, waker)
    }
}
