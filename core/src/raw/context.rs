//! A backend's context, which makes primitives and starts processes.

use super::{
    Address, Bounds, Handle, Identity, Life, ProcessSpec, RawConnection, RawEvent, RawLedger,
    RawListener, RawLock, RawPipe, RawProcess, RawQueue, RawRegion, RawSemaphore, Waitable,
    WorkerInfo,
};
use crate::random::{Random, SystemRandom};
use crate::time::{Clock, SystemClock};
use crate::{Error, Result, Wait};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// The way in which a context runs its processes.
///
/// ```
/// use procbox_core::Backend;
/// assert_eq!(Backend::Sandbox.to_string(), "sandbox"); // as `procbox run --backend` has it
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// As OS processes.
    Native,
    /// As wasmtime instances inside this process.
    Sandbox,
    /// Seen from inside a sandboxed process: through its imports.
    Guest,
    /// As both, side by side: the context is a bridge between two others.
    Mixed,
    /// As threads of this process: see [`crate::local`]. `procbox run` has no such backend, it runs files.
    Local,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Native => "native",
            Backend::Sandbox => "sandbox",
            Backend::Guest => "guest",
            Backend::Mixed => "mixed",
            Backend::Local => "local",
        })
    }
}

/// A context, as a backend implements it. [`crate::Context`] is written on top of it.
///
/// ```
/// use procbox_core::raw::RawContext;
/// use procbox_core::Context;
/// fn context_of(backend: impl RawContext) -> Context {
///     Context::from_raw(std::sync::Arc::new(backend))
/// }
/// ```
pub trait RawContext: Any + Send + Sync {
    /// The backend that this is.
    fn backend(&self) -> Backend;

    /// A lock that nobody holds.
    ///
    /// # Errors
    /// [`crate::Error::Exhausted`].
    fn lock(&self) -> Result<Arc<dyn RawLock>>;

    /// A semaphore with this many permits.
    ///
    /// # Errors
    /// [`crate::Error::Exhausted`].
    fn semaphore(&self, permits: usize) -> Result<Arc<dyn RawSemaphore>>;

    /// An event that is clear.
    ///
    /// # Errors
    /// [`crate::Error::Exhausted`].
    fn event(&self) -> Result<Arc<dyn RawEvent>>;

    /// An empty queue.
    ///
    /// # Errors
    /// [`crate::Error::Exhausted`].
    fn queue(&self, bounds: Bounds) -> Result<Arc<dyn RawQueue>>;

    /// The two ends of a pipe. When not duplex, the first only receives and the second only sends.
    ///
    /// # Errors
    /// [`crate::Error::Exhausted`].
    fn pipe(&self, duplex: bool) -> Result<(Arc<dyn RawPipe>, Arc<dyn RawPipe>)>;

    /// A new ledger, all zero.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    fn ledger(&self) -> Result<Arc<dyn RawLedger>> {
        Err(Error::Unsupported("ledgers, on which read-write locks, barriers and the like stand"))
    }

    /// A new region of so many bytes, all zero.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    fn region(&self, bytes: usize) -> Result<Arc<dyn RawRegion>> {
        let _ = bytes;
        Err(Error::Unsupported("shared bytes"))
    }

    /// A listener under an address.
    ///
    /// # Errors
    /// [`crate::Error::AddressInUse`], [`crate::Error::NotGranted`], [`crate::Error::Os`].
    fn listen(&self, address: &Address) -> Result<Arc<dyn RawListener>> {
        let _ = address;
        Err(Error::Unsupported("listeners"))
    }

    /// A connection to whoever listens under an address; waits while too many others do.
    ///
    /// # Errors
    /// [`crate::Error::ConnectionRefused`], [`crate::Error::TimedOut`],
    /// [`crate::Error::NotGranted`], [`crate::Error::Interrupted`], [`crate::Error::Os`].
    fn connect(&self, address: &Address, wait: Wait) -> Result<Arc<dyn RawConnection>> {
        let _ = (address, wait);
        Err(Error::Unsupported("listeners"))
    }

    /// Starts a process.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchWorker`], [`crate::Error::NotRunnable`],
    /// [`crate::Error::NotGranted`], [`crate::Error::Exhausted`], [`crate::Error::ForeignHandle`].
    fn start(&self, spec: ProcessSpec) -> Result<Arc<dyn RawProcess>>;

    /// `true` if it heeds [`ProcessSpec::memory`].
    fn limits_memory(&self) -> bool {
        false
    }

    /// A context of the same program whose processes begin where this one has returned. It runs once,
    /// here; its message has no handles. See [`crate::Context::warm`].
    ///
    /// # Errors
    /// Those of [`RawContext::start`]; [`crate::Error::WorkerDied`] if it ends otherwise than by
    /// returning, [`crate::Error::NotRunnable`] if it leaves what others cannot begin with.
    fn warm(&self, first: ProcessSpec) -> Result<Arc<dyn RawContext>> {
        let _ = first;
        Err(Error::Unsupported("warm processes"))
    }

    /// A module whose processes begin where this one has returned, or said that it is ready. See
    /// [`crate::ProcessBuilder::snapshot`].
    ///
    /// # Errors
    /// Those of [`RawContext::warm`].
    fn snapshot(&self, first: ProcessSpec) -> Result<Vec<u8>> {
        let _ = first;
        Err(Error::Unsupported("snapshots of processes"))
    }

    /// The number of the primitive that a handle is of, the same for all handles of it in this process
    /// as long as there is one; `None` if it is not one of this context's. Where there are no such
    /// numbers, its primitives cannot be those of a bridge.
    fn number_of(&self, handle: &Handle) -> Option<u64> {
        let _ = handle;
        None
    }

    /// What becomes of the primitive that a handle is of, to be asked when there is no handle of it here any
    /// more; `None` if nobody can say. It keeps nothing.
    fn life_of(&self, handle: &Handle) -> Option<Box<dyn Life>> {
        let _ = handle;
        None
    }

    /// A context of the same program whose processes also take handles of `maker`, and make their own
    /// primitives there: the other side of a bridge.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    fn beside(&self, maker: &Arc<dyn RawContext>) -> Result<Arc<dyn RawContext>> {
        let _ = maker;
        Err(Error::Unsupported("processes that use the primitives of another backend"))
    }

    /// The side of this bridge on which such processes run; `None` if it is none, or has no such side.
    fn side(&self, backend: Backend) -> Option<Arc<dyn RawContext>> {
        let _ = backend;
        None
    }

    /// Waits until at least one is ready; the answer is the indices of those that are.
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`], [`crate::Error::Interrupted`], [`crate::Error::ForeignHandle`].
    fn ready(&self, those: &[Waitable], wait: Wait) -> Result<Vec<usize>>;

    /// The workers that the program offers.
    ///
    /// # Errors
    /// [`crate::Error::NotRunnable`].
    fn workers(&self) -> Result<Vec<WorkerInfo>>;

    /// The identity of the calling process.
    fn identity(&self) -> Identity;

    /// The number of CPUs that its processes can use.
    fn cpu_count(&self) -> usize;

    /// The clock that its processes live by, and by which waits run out.
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    /// The source of random bytes for keys and challenges.
    fn random(&self) -> Arc<dyn Random> {
        Arc::new(SystemRandom)
    }
}
