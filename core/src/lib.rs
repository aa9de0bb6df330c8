//! The trait layer of procbox.
//!
//! A backend implements the *raw* traits of this crate: one small, object-safe trait per thing
//! (bytes and handles, no generics). Users hold the *typed* wrappers, which are written once, here,
//! on top of those traits: [`Process`], [`Lock`], [`Semaphore`], [`Event`], [`Queue`], [`Pipe`],
//! [`Connection`], [`MainLoop`] and [`Pool`].
//!
//! To write a new backend:
//!
//! 1. implement [`RawLock`], [`RawSemaphore`], [`RawEvent`], [`RawQueue`] and [`RawPipe`];
//! 2. implement [`RawProcess`], [`RawListener`] and [`RawConnection`];
//! 3. implement [`RawContext`], which makes all of them;
//! 4. wrap the latter in a [`Context`]. Everything else, the pool included, follows.
//!
//! To add a primitive: one raw trait and its wrapper in one file here, one variant of [`Handle`],
//! one method of [`RawContext`], and one file in each backend.
//!
//! There are no OS calls in this crate but for random bytes and the time, and it builds for
//! `wasm32-wasip1`.

mod codec;
mod connection;
mod context;
mod error;
mod event;
mod exit;
mod handle;
mod lock;
mod main_loop;
mod pipe;
mod pool;
mod process;
mod queue;
mod random;
mod semaphore;
mod time;
mod worker;

pub use codec::{Bytes, Message, decode, encode};
pub use connection::{
    Address, Connection, Listener, MAX_MESSAGE, PipeConnection, RawConnection, RawListener,
};
pub use context::{Backend, Context, RawContext, WeakContext, ready};
pub use error::{Error, Result};
pub use event::{Event, RawEvent};
pub use exit::{ExitStatus, Limit, signal};
pub use handle::{Handle, Waitable};
pub use lock::{Acquired, Lock, LockGuard, RawLock};
pub use main_loop::{ClosurePoster, MainLoop, Poster};
pub use pipe::{Pipe, RawPipe, Receiver, Sender};
pub use pool::{
    Bell, Counters, Pool, PoolBuilder, TaskEnd, TaskResult, TaskResults, panicked, serve,
};
pub use process::{
    Entry, Identity, Input, Output, Process, ProcessBuilder, ProcessSpec, RawProcess, Sentinel,
};
pub use queue::{Bounds, Queue, RawQueue};
pub use random::{Random, SystemRandom};
pub use semaphore::{Permit, RawSemaphore, Semaphore};
pub use time::{Clock, Deadline, SystemClock, Wait};
pub use worker::{
    Arg, Args, Call, Function, Outcome, Runnable, Untyped, Worker, WorkerInfo, end_of,
    end_of_result,
};
