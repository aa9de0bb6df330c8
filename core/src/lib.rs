//! The trait layer of procbox.
//!
//! A backend implements the traits of [`raw`]: one small, object-safe trait per thing (bytes and
//! handles, no generics). Users hold the *typed* wrappers, which are written once, here, on top of
//! those traits: [`Process`], [`Lock`], [`Semaphore`], [`Event`], [`Queue`], [`Pipe`],
//! [`RLock`], [`BoundedSemaphore`], [`Condition`], [`Barrier`], [`JoinableQueue`], [`RwLock`], [`Once`],
//! [`Connection`], [`MainLoop`] and [`Pool`].
//!
//! Programs name it through `procbox-guest` or `procbox`, which make a [`Context`]; all else comes from
//! that:
//!
//! ```no_run
//! # fn context() -> procbox_core::Result<procbox_core::Context> { Err(procbox_core::Error::Closed) }
//! use procbox_core::{Queue, Result};
//!
//! fn main() -> Result<()> {
//!     let ctx = context()?; // of the native backend, or of the sandbox
//!     let q: Queue<u32> = ctx.queue(16)?;
//!     let p = ctx.process("writer").args((&q, 3u32)).start()?;
//!     for _ in 0..3 {
//!         println!("{}", q.get()?);
//!     }
//!     assert!(p.join()?.success());
//!     Ok(())
//! }
//! ```
//!
//! Where to read on: [`Context`] and [`Process`] for users, [`types`] for what they seldom name, [`raw`]
//! and [`runner`] for those who write a backend, [`observe`] for those who watch.
//!
//! The files stand on floors, and import from floors below only:
//!
//! 1. `error`, `exit`, `usage`, `printed`, `time`, `random`, `bytes`, `copy`; [`raw`], all that a backend sees; `codec`, values to
//!    messages and back; `observe`, events for those who watch; `polled`, waits that are futures;
//! 2. the primitives: `lock`, `semaphore`, `event`, `queue`, `pipe`; on `ledger` stand `rlock`, `bounded`,
//!    `condition`, `barrier`, `joinable`, `rwlock`, `once`; `shared_bytes`, `value`; `worker`, a worker as those see it
//!    who start it, and [`runner`], as a process runs it;
//! 3. `context`, `bridge` (two of them, side by side), `on_ledgers`, `in_memory`, `process`, `connection`, `main_loop`;
//! 4. `pool`; `spawn`, which gives a process a pool's one task;
//! 5. [`local`], the backend whose processes are threads, which needs nothing but `std`.
//!
//! To add a primitive: if its rules are arithmetic on numbers that come back when a process dies, its
//! wrapper in a file here, on a ledger. Else one raw trait in `raw/`, its wrapper in a file here, one variant of
//! [`raw::Handle`], one method of [`raw::RawContext`], and one file in each backend.
//!
//! There are no OS calls in this crate but for random bytes, the time and threads, and it builds for
//! `wasm32-wasip1`.

pub mod codec;
pub mod local;
// For backends: what users read first is short.
#[doc(hidden)]
pub mod copy;
pub mod observe;
pub mod random;
pub mod raw;
pub mod runner;
pub mod time;
pub mod worker;

mod barrier;
mod bounded;
mod bridge;
mod bytes;
mod condition;
mod connection;
mod context;
mod error;
mod event;
mod exit;
mod in_memory;
mod joinable;
mod ledger;
mod loan;
mod lock;
mod main_loop;
mod on_ledgers;
mod once;
mod pipe;
mod polled;
mod pool;
mod printable;
mod printed;
mod process;
mod queue;
mod rlock;
mod rwlock;
mod semaphore;
mod shared_bytes;
mod spawn;
mod sync;
mod usage;
mod value;

pub use bytes::Bytes;
pub use connection::{Connection, Listener};
pub use context::{Context, ready};
pub use error::{Error, Result};
pub use event::Event;
pub use exit::{ExitStatus, Limit};
pub use lock::Lock;
pub use main_loop::MainLoop;
pub use pipe::Pipe;
pub use pool::Pool;
pub use printed::Printed;
pub use process::Process;
pub use queue::Queue;
pub use raw::{Address, Backend, Bounds, Input, Output};
pub use semaphore::Semaphore;
pub use time::Wait;
pub use usage::{TaskUsage, Usage};
// Their pages are in `types` and `primitives`, so that the first one is short.
#[doc(hidden)]
pub use primitives::*;
#[doc(hidden)]
pub use printable::printable;
#[doc(hidden)]
pub use types::*;

/// What processes share beside [`Lock`], [`Semaphore`], [`Event`], [`Queue`] and [`Pipe`], with its guards.
/// All of it is in the root too.
///
/// ```no_run
/// use procbox_core::Context;
/// use procbox_core::primitives::{Barrier, RwLock, Value};
/// # fn example(ctx: Context) -> procbox_core::Result<()> {
/// let (start, lock): (Barrier, RwLock) = (ctx.barrier(4)?, ctx.rwlock()?);
/// let counter: Value<u64> = ctx.value(0)?;
/// let p = ctx.process("counts").args((&start, &lock, &counter)).start()?;
/// # drop(p);
/// # Ok(()) }
/// ```
pub mod primitives {
    pub use crate::barrier::{Barrier, Passed};
    pub use crate::bounded::{BoundedPermit, BoundedSemaphore};
    pub use crate::condition::Condition;
    pub use crate::joinable::JoinableQueue;
    pub use crate::once::{Once, OnceState};
    pub use crate::rlock::{RLock, RLockGuard};
    pub use crate::rwlock::{ReadGuard, RwLock, WriteGuard};
    pub use crate::shared_bytes::SharedBytes;
    pub use crate::value::{Array, Plain, Value};
}

/// Types that methods of those of the root give and take, and that are seldom named.
///
/// ```no_run
/// use procbox_core::types::Counters;
/// # fn example(pool: procbox_core::Pool<(u64,), bool>) {
/// let so_far: Counters = pool.counters();
/// println!("{} of {} tasks have ended", so_far.done + so_far.failed, so_far.submitted);
/// # }
/// ```
pub mod types {
    pub use crate::context::WeakContext;
    pub use crate::error::OsError;
    pub use crate::exit::signal;
    pub use crate::loan::{Loan, Loaned, Unsent};
    pub use crate::lock::LockGuard;
    pub use crate::main_loop::{ClosurePoster, Poster};
    pub use crate::pipe::{Receiver, Sender};
    pub use crate::pool::{
        AtHand, Bell, Counters, PoolBuilder, Serves, TaskOptions, TaskResult, TaskResults,
    };
    pub use crate::process::{Complete, ProcessBuilder, Starts};
    pub use crate::raw::{Acquired, Identity, Waitable, WorkerInfo};
    pub use crate::semaphore::Permit;
    pub use crate::spawn::JoinHandle;
    pub use crate::worker::{Runnable, Worker};
}
