//! All that a backend sees: one small, object-safe trait per thing (bytes and handles, no generics),
//! and the plain data that these traits speak of.
//!
//! To write a backend:
//!
//! 1. implement [`RawLock`], [`RawSemaphore`], [`RawEvent`], [`RawQueue`], [`RawPipe`], [`RawLedger`] and [`RawRegion`];
//! 2. implement [`RawProcess`], [`RawListener`] and [`RawConnection`];
//! 3. implement [`RawContext`], which makes all of them;
//! 4. wrap the latter in a [`crate::Context`]. Everything else, the pool included, follows.
//!
//! What a backend cannot do it answers with [`crate::Error::Unsupported`].
//!
//! This floor imports errors, exit statuses and time, and nothing of the typed wrappers above it.

mod address;
mod connection;
mod context;
mod event;
mod handle;
mod ledger;
mod lent;
mod life;
mod lock;
mod pipe;
mod process;
mod queue;
mod region;
mod semaphore;
mod taken;
mod waitable;
mod watch;

pub use address::Address;
pub use connection::{MAX_MESSAGE, PipeConnection, RawConnection, RawListener};
pub use context::{Backend, RawContext};
pub use event::RawEvent;
pub use handle::{Handle, Message};
pub use ledger::{BELLS, LANES, Page, RawLedger, Seen, WORDS};
pub use lent::{Lent, RawLoan};
pub use life::Life;
pub use lock::{Acquired, RawLock};
pub use pipe::RawPipe;
pub use process::{Entry, Identity, Input, Output, ProcessSpec, RawProcess, WorkerInfo};
pub use queue::{Bounds, RawQueue};
pub use region::{AtomicOp, MAX_REGION, RawRegion, Words};
pub use semaphore::{MAX_PERMITS, RawSemaphore, too_many_permits};
pub use taken::Taken;
pub(crate) use taken::end_of_thread;
pub use waitable::Waitable;
pub use watch::{Place, Side, Watch};
