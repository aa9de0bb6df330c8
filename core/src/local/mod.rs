//! The local backend: workers are threads of this process. For debuggers, coverage, Miri, and unit tests of
//! one's own workers; what `multiprocessing.dummy` is to Python. [`Context::local`] makes one.
//!
//! It keeps the contract as far as threads can. What they cannot is [`crate::Error::Unsupported`]: a thread
//! cannot be ended from outside, has no limits and no use of its own, and a program has one `main`. And threads
//! share what processes do not: statics, environment, working directory. A crash or an abort is the
//! program's. Of circles of waits only those are found that are of locks and joins (`circles`): a
//! thread may have any other handle, by a static, so that nobody can say who could end the wait for it.
//!
//! A worker that nobody needs any more (a daemon whose parent has ended, one of a pool that is dropped) is
//! *abandoned*: whatever it waits in fails with [`crate::Error::Interrupted`], and so does every later wait.
//! Who computes for ever is left to it: a pool that is dropped waits for its workers for 5 seconds, and then no
//! more.
//!
//! A queue that is in a message in itself is not freed.
//!
//! `sleep` is how everything waits; `life` is a worker's thread; then a file for each raw trait. No
//! `unsafe`, and nothing of the system but threads.

#![forbid(unsafe_code)]

mod channel;
mod circles;
mod connection;
mod context;
mod event;
mod example;
mod ledger;
mod life;
mod lock;
mod message;
mod pipe;
mod process;
mod queue;
mod ready;
mod region;
mod semaphore;
mod sleep;
#[cfg(test)]
mod tests;

#[doc(hidden)]
pub use example::example;
pub use life::{answer_interrupts, clear_interrupt, current, exit, interrupt, interrupted};

use self::connection::Names;
use self::context::LocalContext;
use self::sleep::WaitList;
use crate::random::{Random, SystemRandom};
use crate::runner::Function;
use crate::{Bytes, Context, Identity, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Random bytes in an authkey.
const AUTHKEY: usize = 32;

/// A worker that a local context knows: `#[worker]` functions are known to `procbox_guest::local`, and
/// whoever has none of these says which there are.
///
/// ```
/// use procbox_core::local::LocalWorker;
/// use procbox_core::runner::end_of;
/// use procbox_core::Context;
///
/// let double = LocalWorker::new("double", |call, result| {
///     let (n,): (u64,) = call.arguments()?;
///     end_of(2 * n, result)
/// });
/// let ctx = Context::local([double.signature("double(n: u64) -> u64")])?;
/// assert_eq!(ctx.spawn::<(u64,), u64>("double", (4u64,))?.join()?, 8);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LocalWorker {
    identity: &'static str,
    signature: Option<String>,
    function: Function,
}

impl LocalWorker {
    /// A worker of this identity, or of a name that it has alone; see [`crate::Worker::identity`].
    pub fn new(identity: &'static str, function: Function) -> LocalWorker {
        LocalWorker { identity, signature: None, function }
    }

    /// The same, which is listed by its signature.
    pub fn signature(mut self, signature: impl Into<String>) -> LocalWorker {
        self.signature = Some(signature.into());
        self
    }
}

/// What a context and those of its workers have in common.
struct Home {
    workers: Vec<LocalWorker>,
    /// How many of its workers have ended.
    deaths: AtomicU64,
    /// Woken when one has.
    died: Arc<WaitList>,
}

impl Home {
    fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::SeqCst)
    }

    fn tell_death(&self) {
        self.deaths.fetch_add(1, Ordering::SeqCst);
        self.died.wake();
    }
}

impl Context {
    /// A context whose processes are threads of this process: see [`crate::local`]. It knows these workers.
    ///
    /// ```
    /// use procbox_core::{Backend, Context};
    /// let ctx = Context::local([])?; // primitives need no workers
    /// assert_eq!(ctx.backend(), Backend::Local);
    /// let q = ctx.queue::<u32>(1)?;
    /// q.put(&7)?;
    /// assert_eq!(q.get()?, 7);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Os`] if there are no random bytes for its authkey.
    pub fn local(workers: impl IntoIterator<Item = LocalWorker>) -> Result<Context> {
        let mut key = vec![0; AUTHKEY];
        SystemRandom.fill(&mut key)?;
        let mut identity = Identity::new("MainProcess", life::FIRST);
        identity.authkey = Bytes(key);
        let home = Home {
            workers: workers.into_iter().collect(),
            deaths: AtomicU64::new(0),
            died: WaitList::new(),
        };
        let (home, names) = (Arc::new(home), Arc::<Names>::default());
        Ok(Context::from_raw(Arc::new(LocalContext { home, names, identity })))
    }
}
