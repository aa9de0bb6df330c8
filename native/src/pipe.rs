//! The pipe: two queues, and two ends that are objects of their own.
//!
//! An end is gone when its last reference is: no process holds it and no message carries it. Then
//! both queues are closed, which says `Closed` to the other end, at once when it sends and after
//! the last message when it receives.

use crate::arena::Arena;
use crate::arena::held::Held;
use crate::arena::kind::{Kind, Needs, reclaimed};
use crate::arena::layout::{BODY, Hold, Tag, shared};
use crate::arena::trace::Trace;
use crate::arena::waits::Awaits;
use crate::lent::{block, lend};
use crate::queue;
use crate::ring::{self, Core, Ring};
use crate::sync::patience::Patience;
use procbox_core::observe::Operation;
use procbox_core::raw::{Handle, Lent, Message, RawPipe, Side, Watch};
use procbox_core::time::SystemClock;
use procbox_core::{Bounds, Error, Result, Wait};
use std::any::Any;
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

shared! {
    /// Both directions of a pipe. `queues[n]` is what end `n` receives from.
    struct Pipe {
        tag: AtomicU64,
        /// Ends that are not gone.
        ends: AtomicU64,
        /// Place of an object's link of the unreferenced; a pipe is reclaimed by its last end.
        link: AtomicU64,
        /// The first end's, as the pipe's own.
        serial: AtomicU64,
        queues: [Core; 2],
    }

    /// The body of an end.
    struct End {
        pipe: AtomicU64,
        /// 0 or 1.
        side: AtomicU64,
    }
}

const ENDS: u64 = offset_of!(Pipe, ends) as u64;
const SERIAL: u64 = offset_of!(Pipe, serial) as u64;
const QUEUES: u64 = offset_of!(Pipe, queues) as u64;

/// One end of a pipe, by handle.
pub(crate) struct NativePipe(pub(crate) Arc<Held>);

/// Kind of the ends of pipes, as the arena sees it.
pub(crate) struct EndKind;

impl Kind for EndKind {
    fn tag(&self) -> Tag {
        Tag::number(5)
    }

    fn size(&self) -> u64 {
        BODY + size_of::<End>() as u64
    }

    fn handle(&self, held: Arc<Held>) -> Option<Handle> {
        Some(Handle::Pipe(Arc::new(NativePipe(held))))
    }

    fn held<'a>(&self, handle: &'a Handle) -> Option<&'a Arc<Held>> {
        let Handle::Pipe(raw) = handle else { return None };
        (&**raw as &dyn Any).downcast_ref().map(|pipe: &NativePipe| &pipe.0)
    }

    fn needs(&self, arena: &Arena, awaits: &Awaits) -> Needs {
        let end: &End = arena.body(awaits.object);
        let sends = awaits.operation == Operation::QueuePut;
        let side = end.side.load(Ordering::Relaxed) as usize + usize::from(sends);
        let queues = queues_of(end.pipe.load(Ordering::Relaxed));
        ring::needs(arena, queues[side & 1], awaits)
    }

    /// Who has the other end.
    fn serves(&self, arena: &Arena, awaits: &Awaits, other: u64) -> bool {
        if !arena.kind(other).is_some_and(|kind| kind.tag() == self.tag()) {
            return false;
        }
        let (own, other): (&End, &End) = (arena.body(awaits.object), arena.body(other));
        own.pipe.load(Ordering::Relaxed) == other.pipe.load(Ordering::Relaxed)
            && own.side.load(Ordering::Relaxed) != other.side.load(Ordering::Relaxed)
    }

    fn carries(&self, arena: &Arena, object: u64) -> bool {
        ring::carries(arena, incoming(arena, object))
    }

    fn cargo(
        &self,
        arena: &Arena,
        object: u64,
        records: &mut u32,
        see: &mut dyn FnMut(u64),
    ) -> bool {
        ring::cargo(arena, incoming(arena, object), records, see)
    }

    /// The pipe's: what an end has sent is there when the end is not, until the other has received it or is
    /// gone too.
    fn trace(&self, arena: &Arena, object: u64) -> Trace {
        let end: &End = arena.body(object);
        let pipe = end.pipe.load(Ordering::Relaxed);
        let side = end.side.load(Ordering::Relaxed) as usize & 1;
        let sent = (queues_of(pipe)[1 - side], ring::most_messages as _);
        Trace::new(arena, object, (pipe, PipeKind.tag()), pipe + SERIAL, Some(sent))
    }

    fn messages(&self, arena: &Arena, object: u64) -> usize {
        ring::messages(arena, incoming(arena, object))
    }

    fn empty(&self, arena: &Arena, object: u64, patience: &Patience) -> Result<()> {
        ring::drain(arena, incoming(arena, object), patience)
    }

    fn recover(&self, arena: &Arena, object: u64, _: &Hold, patience: &Patience) -> Result<()> {
        let pipe = arena.body::<End>(object).pipe.load(Ordering::Relaxed);
        queues_of(pipe).into_iter().try_for_each(|core| ring::recover(arena, core, patience))
    }

    /// Nothing more comes from it and nothing more goes to it.
    fn reclaim(&self, arena: &Arena, object: u64, patience: &Patience) -> Result<()> {
        let end: &End = arena.body(object);
        let pipe = end.pipe.load(Ordering::Relaxed);
        let side = end.side.load(Ordering::Relaxed) as usize & 1;
        let queues = queues_of(pipe);
        // In this order: a receiver that sees the end, and then sends, must be told so too.
        ring::close(arena, queues[side], patience)?;
        ring::close(arena, queues[1 - side], patience)?;
        // Nobody will receive what was sent to it; the handles in there must not live on.
        ring::drain(arena, queues[side], patience)?;
        arena.transaction(patience, |txn| {
            let left = txn.get(pipe + ENDS).saturating_sub(1);
            txn.set(pipe + ENDS, left)?;
            reclaimed(txn, object, self.size(), (left == 0).then_some(pipe))
        })
    }
}

/// Kind of what is between two ends, as the arena sees it.
pub(crate) struct PipeKind;

impl Kind for PipeKind {
    fn tag(&self) -> Tag {
        Tag::number(6)
    }

    fn size(&self) -> u64 {
        size_of::<Pipe>() as u64
    }

    fn is_handle(&self) -> bool {
        false
    }

    fn handle(&self, _: Arc<Held>) -> Option<Handle> {
        None
    }

    fn held<'a>(&self, _: &'a Handle) -> Option<&'a Arc<Held>> {
        None
    }

    fn recover(&self, _: &Arena, _: u64, _: &Hold, _: &Patience) -> Result<()> {
        Ok(())
    }

    fn reclaim(&self, arena: &Arena, pipe: u64, patience: &Patience) -> Result<()> {
        for core in queues_of(pipe) {
            ring::drain(arena, core, patience)?;
        }
        arena.transaction(patience, |txn| {
            for core in queues_of(pipe) {
                ring::free_last(arena, txn, core)?;
            }
            reclaimed(txn, pipe, self.size(), None)
        })
    }
}

/// The offsets of a pipe's two queues.
fn queues_of(pipe: u64) -> [u64; 2] {
    [pipe + QUEUES, pipe + QUEUES + ring::SIZE]
}

/// The queue from which an end receives.
fn incoming(arena: &Arena, end: u64) -> u64 {
    let end: &End = arena.body(end);
    let side = end.side.load(Ordering::Relaxed) as usize & 1;
    queues_of(end.pipe.load(Ordering::Relaxed))[side]
}

/// A pipe that is full has no more than this: one message of the largest size promised.
const BOUNDS: Bounds = Bounds::DEFAULT.bytes(64 << 20);

fn timed_out(error: Error) -> Error {
    match error {
        Error::Full | Error::Empty => Error::TimedOut,
        other => other,
    }
}

impl NativePipe {
    /// The two ends. When not duplex, the first only receives and the second only sends.
    pub(crate) fn create(arena: &Arc<Arena>, duplex: bool) -> Result<(NativePipe, NativePipe)> {
        let ends = arena.create_objects([&EndKind, &EndKind], |txn, ends| {
            let offset = txn.alloc(PipeKind.size(), PipeKind.tag())?;
            let pipe: &Pipe = arena.at(offset);
            pipe.ends.store(2, Ordering::Relaxed);
            pipe.link.store(0, Ordering::Relaxed);
            pipe.serial.store(arena.serial(ends[0]), Ordering::Relaxed);
            for core in queues_of(offset) {
                ring::fill(arena, txn, core, BOUNDS)?;
            }
            if !duplex {
                pipe.queues[1].closed.store(1, Ordering::Relaxed);
            }
            for (side, end) in ends.into_iter().enumerate() {
                let end: &End = arena.body(end);
                end.pipe.store(offset, Ordering::Relaxed);
                end.side.store(side as u64, Ordering::Relaxed);
            }
            Ok(())
        });
        ends.map(|[first, second]| (NativePipe(first), NativePipe(second)))
    }

    /// The queue that this end receives from (0 steps away) or sends to (1).
    fn queue(&self, steps: u64) -> Ring<'_> {
        let end: &End = self.0.arena.body(self.0.offset);
        let index = (end.side.load(Ordering::Relaxed) + steps) & 1;
        let queues = queues_of(end.pipe.load(Ordering::Relaxed));
        Ring::new(&self.0.arena, queues[index as usize])
    }

    pub(crate) fn incoming(&self) -> Ring<'_> {
        self.queue(0)
    }
}

impl RawPipe for NativePipe {
    fn send(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()> {
        self.queue(1).put(bytes, handles, wait, self.0.offset).map_err(timed_out)
    }

    fn recv(&self, into: &mut Message, wait: Wait) -> Result<()> {
        self.incoming().get(into, wait, self.0.offset).map_err(timed_out)
    }

    fn loan(&self, bytes: usize) -> Result<Option<Lent>> {
        self.queue(1).loan(bytes, 0).map(|loan| Some(lend(loan)))
    }

    fn send_lent(&self, lent: &mut Lent, handles: &[Handle], wait: Wait) -> Result<()> {
        let ring = self.queue(1);
        let sent = match block(lent, &self.0.arena) {
            Some(loan) => ring.put_loan(loan, handles, wait, self.0.offset),
            None => ring.put(lent.bytes(), handles, wait, self.0.offset),
        };
        sent.map_err(timed_out)
    }

    fn recv_lent(&self, into: &mut Message, wait: Wait) -> Result<Option<Lent>> {
        let taken = self.incoming().take(into, wait, self.0.offset).map_err(timed_out)?;
        Ok(taken.map(lend))
    }

    fn watch(&self, side: Side, waker: &Waker) -> Result<Option<Watch>> {
        let ring = match side {
            Side::Items => self.incoming(),
            Side::Room => self.queue(1),
        };
        queue::watch(&self.0, ring, side, waker)
    }

    fn poll(&self, wait: Wait) -> Result<()> {
        let until = wait.deadline(&SystemClock);
        let mut patient = self.incoming().patient(wait, Operation::QueueGet, self.0.offset, 0);
        while !self.incoming().is_ready() {
            if wait.is_never() {
                return Err(Error::TimedOut);
            }
            self.incoming().wait(&mut patient, until).map_err(timed_out)?;
        }
        Ok(())
    }
}
