//! The pipe: two queues, and two ends that are objects of their own.
//!
//! An end is gone when its last reference is: no process holds it and no message carries it. Then
//! both queues are closed, which says `Closed` to the other end, at once when it sends and after
//! the last message when it receives.

use crate::arena::Arena;
use crate::arena::layout::{BODY, End, Pipe, Tag};
use crate::arena::recover::queues_of;
use crate::arena::table::Held;
use crate::ring::{Ring, fill};
use procbox_core::{Bounds, Error, Handle, Message, RawPipe, Result, SystemClock, Wait};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// One end of a pipe, by handle.
pub(crate) struct NativePipe(pub(crate) Arc<Held>);

/// A pipe that is full has no more than this: one message of the largest size promised.
const BOUNDS: Bounds = Bounds { messages: None, bytes: 64 << 20 };

fn timed_out(error: Error) -> Error {
    match error {
        Error::Full | Error::Empty => Error::TimedOut,
        other => other,
    }
}

impl NativePipe {
    /// The two ends. When not duplex, the first only receives and the second only sends.
    pub(crate) fn create(arena: &Arc<Arena>, duplex: bool) -> Result<(NativePipe, NativePipe)> {
        let size = BODY + size_of::<End>() as u64;
        let ends = arena.create_objects([(size, Tag::END); 2], |txn, ends| {
            let offset = txn.alloc(size_of::<Pipe>() as u64, Tag::PIPE)?;
            let pipe: &Pipe = arena.at(offset);
            pipe.ends.store(2, Ordering::Relaxed);
            pipe.link.store(0, Ordering::Relaxed);
            for core in queues_of(offset) {
                fill(arena, txn, core, BOUNDS)?;
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
        self.queue(1).put(bytes, handles, wait).map_err(timed_out)
    }

    fn recv(&self, into: &mut Message, wait: Wait) -> Result<()> {
        self.incoming().get(into, wait).map_err(timed_out)
    }

    fn poll(&self, wait: Wait) -> Result<()> {
        let until = wait.deadline(&SystemClock);
        while !self.incoming().is_ready() {
            if wait.is_never() {
                return Err(Error::TimedOut);
            }
            self.incoming().wait(until).map_err(timed_out)?;
        }
        Ok(())
    }
}
