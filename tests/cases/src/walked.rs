//! The walk: one process does one operation and is killed at some place in it, beside others that do
//! the opposite. What they all have is here; the workers are in the program `conformance`, and who
//! walks says how it has to be afterwards.

use procbox_guest::{
    Bytes, Condition, Context, Event, JoinableQueue, Lock, Pipe, Queue, Result, RwLock, Semaphore,
};
use serde::{Deserialize, Serialize};

/// The marks that a walked process leaves in its journal.
pub mod mark {
    /// It is about to do the operation.
    pub const BEGAN: u8 = 1;
    /// It has the lock.
    pub const HOLDS: u8 = 2;
    /// It is about to give the lock back.
    pub const LETS_GO: u8 = 3;
    /// It has done the operation.
    pub const DONE: u8 = 4;
}

/// The operations, each with what those do who are beside it.
pub const OPERATIONS: &[(&str, &[&str])] = &[
    ("put", &[]),
    ("put_large", &[]),
    ("put_handle", &[]),
    ("put_full", &[]),
    ("put_waits", &["takes"]),
    ("get", &[]),
    ("get_large", &[]),
    ("get_handle", &[]),
    ("get_empty", &[]),
    ("get_waits", &["takes", "gives_two"]),
    ("send", &[]),
    ("recv", &[]),
    ("recv_empty", &[]),
    ("recv_waits", &["sends"]),
    ("lock", &[]),
    ("lock_waits", &["holds", "locks"]),
    ("permit", &[]),
    ("permit_none", &[]),
    ("permit_waits", &["has_permits", "wants_permit"]),
    ("read", &[]),
    ("write", &[]),
    ("write_waits", &["reads"]),
    ("condition", &[]),
    ("condition_waits", &["notifies"]),
    ("items", &[]),
    ("set", &[]),
    ("wait", &[]),
    ("wait_waits", &["sets"]),
    ("create", &[]),
    ("start", &[]),
    ("start_daemon", &[]),
    ("ready", &["gives_one"]),
    ("pool", &[]),
    ("pool_fresh", &[]),
    ("main_loop", &[]),
    ("listen", &["connects"]),
    ("connect", &["listens"]),
];

/// The bytes of a large message.
pub const LARGE: usize = 70_000;
/// The key of those who connect.
pub const KEY: &[u8] = b"a key";
/// The messages that fill the queue.
pub const FULL: usize = 4;
/// The permits that there are.
pub const PERMITS: usize = 2;

/// What the walked process and those beside it have.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Surroundings {
    /// Messages, [`FULL`] at most.
    pub q: Queue<Bytes>,
    /// Handles.
    pub carry: Queue<Event>,
    /// What those beside it have taken, or found.
    pub forwarded: Queue<Bytes>,
    /// What the walked process has come to.
    pub journal: Queue<u8>,
    /// A lock.
    pub lock: Lock,
    /// [`PERMITS`].
    pub permits: Semaphore,
    /// A lock to read or to write.
    pub rwlock: RwLock,
    /// A condition.
    pub condition: Condition,
    /// Items that are marked done.
    pub items: JoinableQueue<u64>,
    /// An event.
    pub event: Event,
    /// The end of a pipe that the walked process uses.
    pub here: Pipe<Bytes>,
    /// The other one.
    pub there: Pipe<Bytes>,
    /// What who listens is called.
    pub name: String,
}

impl Surroundings {
    /// All of it, new.
    ///
    /// # Errors
    /// Those of the context.
    pub fn new(ctx: &Context, name: &str) -> Result<Surroundings> {
        let (here, there) = ctx.pipe()?;
        Ok(Surroundings {
            q: ctx.queue(FULL)?,
            carry: ctx.queue(FULL)?,
            forwarded: ctx.unbounded_queue()?,
            journal: ctx.unbounded_queue()?,
            lock: ctx.lock()?,
            permits: ctx.semaphore(PERMITS)?,
            rwlock: ctx.rwlock()?,
            condition: ctx.condition()?,
            items: ctx.joinable_queue(FULL)?,
            event: ctx.event()?,
            here,
            there,
            name: name.to_owned(),
        })
    }
}

/// A message of so many bytes, all of them sevens.
pub fn sevens(size: usize) -> Bytes {
    Bytes(vec![7; size])
}
