//! The trait layer of procbox.
//!
//! A backend implements the traits of [`raw`]: one small, object-safe trait per thing (bytes and
//! handles, no generics). Users hold the *typed* wrappers, which are written once, here, on top of
//! those traits: [`Process`], [`Lock`], [`Semaphore`], [`Event`], [`Queue`], [`Pipe`],
//! [`Connection`], [`MainLoop`] and [`Pool`].
//!
//! The files stand on floors, and import from floors below only:
//!
//! 1. `error`, `exit`, `usage`, `time`, `random`, `bytes`; [`raw`], all that a backend sees; `codec`, values to
//!    messages and back; `observe`, events for those who watch;
//! 2. the primitives: `lock`, `semaphore`, `event`, `queue`, `pipe`; `worker`, a worker as those see it
//!    who start it, and [`runner`], as a process runs it;
//! 3. `context`, `process`, `connection`, `main_loop`;
//! 4. `pool`.
//!
//! To add a primitive: one raw trait in `raw/`, its wrapper in a file here, one variant of
//! [`raw::Handle`], one method of [`raw::RawContext`], and one file in each backend.
//!
//! There are no OS calls in this crate but for random bytes and the time, and it builds for
//! `wasm32-wasip1`.

pub mod codec;
pub mod observe;
pub mod random;
pub mod raw;
pub mod runner;
pub mod time;
pub mod worker;

mod bytes;
mod connection;
mod context;
mod error;
mod event;
mod exit;
mod lock;
mod main_loop;
mod pipe;
mod pool;
mod printable;
mod process;
mod queue;
mod semaphore;
mod sync;
mod usage;

pub use bytes::Bytes;
pub use connection::{Connection, Listener};
pub use context::{Context, WeakContext, ready};
pub use error::{Error, OsError, Result};
pub use event::Event;
pub use exit::{ExitStatus, Limit, signal};
pub use lock::{Lock, LockGuard};
pub use main_loop::{ClosurePoster, MainLoop, Poster};
pub use pipe::{Pipe, Receiver, Sender};
pub use pool::{AtHand, Bell, Counters, Pool, PoolBuilder, Serves, TaskResult, TaskResults};
pub use printable::printable;
pub use process::{Complete, Process, ProcessBuilder, Starts};
pub use queue::Queue;
pub use raw::{Acquired, Address, Backend, Bounds, Identity, Input, Output, Waitable, WorkerInfo};
pub use semaphore::{Permit, Semaphore};
pub use time::Wait;
pub use usage::Usage;
pub use worker::{Runnable, Worker};
