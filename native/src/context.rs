//! The native context: an arena, and what starts the processes that share it.

use crate::arena::Arena;
use crate::arena::filled::SharedMemory;
use crate::event::NativeEvent;
use crate::ledger::NativeLedger;
use crate::lock::NativeLock;
use crate::pipe::NativePipe;
use crate::process::NativeProcess;
use crate::program::Program;
use crate::queue::NativeQueue;
use crate::region::NativeRegion;
use crate::semaphore::NativeSemaphore;
use crate::start::{Setup, Starter};
use crate::{ambient, connection, ready};
use procbox_core::observe;
use procbox_core::raw::{
    Entry, Handle, Life, ProcessSpec, RawConnection, RawContext, RawEvent, RawLedger, RawListener,
    RawLock, RawPipe, RawProcess, RawQueue, RawRegion, RawSemaphore,
};
use procbox_core::{
    Address, Backend, Bounds, Context, Error, Identity, Result, Wait, Waitable, WorkerInfo,
};
use std::any::Any;
use std::sync::Arc;

/// The raw context.
pub(crate) struct NativeContext {
    arena: Arc<Arena>,
    identity: Identity,
    starter: Starter,
}

impl NativeContext {
    pub(crate) fn new(arena: Arc<Arena>, identity: Identity, setup: Setup) -> NativeContext {
        let starter = Starter::new(arena.clone(), setup);
        NativeContext { arena, identity, starter }
    }
}

/// The ambient context: in the first process it is a new one, in a worker process it is that of
/// the process that started it; later calls return the same.
///
/// It is closed (daemons are ended, other processes are joined) at the end of a worker, and in the
/// first process when the last clone is dropped: keep one in `main`.
///
/// ```
/// let ctx = procbox_native::context()?;
/// let lock = ctx.lock()?;
/// let again = procbox_native::context()?; // the same: its processes may have the lock too
/// again.queue(1)?.put(&lock)?;
/// # Ok::<(), procbox_core::Error>(())
/// ```
///
/// # Errors
/// [`procbox_core::Error::Os`], [`procbox_core::Error::Exhausted`], and
/// [`procbox_core::Error::Invalid`] in a constructor of the program, where it is not known yet who the
/// process is.
pub fn context() -> Result<Context> {
    // A worker on a thread has one of its own.
    if let Some(local) = procbox_core::local::current() {
        return Ok(local);
    }
    ambient::context(|arena, identity| {
        let native = NativeContext::new(arena, identity, Setup::of(Program::current()?));
        Ok(Arc::new(native))
    })
}

/// What the shared memory of a native context is filled with now; `None` for a context of another backend.
///
/// ```
/// let ctx = procbox_native::Native::builder().build()?;
/// let before = procbox_native::shared_memory(&ctx).expect("a native context");
/// let lock = ctx.lock()?;
/// let now = procbox_native::shared_memory(&ctx).expect("a native context");
/// assert_eq!(now.primitives, before.primitives + 1);
/// # drop(lock);
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub fn shared_memory(ctx: &Context) -> Option<SharedMemory> {
    let native: Option<&NativeContext> = (&**ctx.raw() as &dyn Any).downcast_ref();
    native.map(|native| native.arena.filled())
}

impl RawContext for NativeContext {
    fn backend(&self) -> Backend {
        Backend::Native
    }

    fn lock(&self) -> Result<Arc<dyn RawLock>> {
        let lock = Arc::new(NativeLock::create(&self.arena)?);
        observe::show(&lock);
        Ok(lock)
    }

    fn semaphore(&self, permits: usize) -> Result<Arc<dyn RawSemaphore>> {
        Ok(Arc::new(NativeSemaphore::create(&self.arena, permits)?))
    }

    fn event(&self) -> Result<Arc<dyn RawEvent>> {
        Ok(Arc::new(NativeEvent::create(&self.arena)?))
    }

    fn ledger(&self) -> Result<Arc<dyn RawLedger>> {
        Ok(Arc::new(NativeLedger::create(&self.arena)?))
    }

    fn region(&self, bytes: usize) -> Result<Arc<dyn RawRegion>> {
        Ok(Arc::new(NativeRegion::create(&self.arena, bytes)?))
    }

    fn queue(&self, bounds: Bounds) -> Result<Arc<dyn RawQueue>> {
        let queue = Arc::new(NativeQueue::create(&self.arena, bounds)?);
        observe::show(&queue);
        Ok(queue)
    }

    fn pipe(&self, duplex: bool) -> Result<(Arc<dyn RawPipe>, Arc<dyn RawPipe>)> {
        let (first, second) = NativePipe::create(&self.arena, duplex)?;
        Ok((Arc::new(first), Arc::new(second)))
    }

    fn listen(&self, address: &Address) -> Result<Arc<dyn RawListener>> {
        connection::listen(address)
    }

    fn connect(&self, address: &Address, wait: Wait) -> Result<Arc<dyn RawConnection>> {
        connection::connect(address, wait)
    }

    fn start(&self, spec: ProcessSpec) -> Result<Arc<dyn RawProcess>> {
        let child = match &spec.entry {
            Entry::Main(args) => self.starter.main(args, &spec)?,
            Entry::Call(name) => self.starter.worker(name, false, &spec)?,
            Entry::Serve(name) => self.starter.worker(name, true, &spec)?,
            _ => return Err(Error::Unsupported("such an entry")),
        };
        Ok(Arc::new(NativeProcess(child)))
    }

    fn warm(&self, first: ProcessSpec) -> Result<Arc<dyn RawContext>> {
        let starter = self.starter.after(first)?;
        let (arena, identity) = (self.arena.clone(), self.identity.clone());
        Ok(Arc::new(NativeContext { arena, identity, starter }))
    }

    fn number_of(&self, handle: &Handle) -> Option<u64> {
        self.arena.held(handle).map(|held| held.offset)
    }

    fn life_of(&self, handle: &Handle) -> Option<Box<dyn Life>> {
        let held = self.arena.held(handle)?;
        let kind = self.arena.kind(held.offset)?;
        Some(Box::new(kind.trace(&self.arena, held.offset)))
    }

    fn ready(&self, those: &[Waitable], wait: Wait) -> Result<Vec<usize>> {
        ready::ready(&self.arena, self.starter.deaths(), those, wait)
    }

    fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.starter.program().workers()
    }

    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn cpu_count(&self) -> usize {
        std::thread::available_parallelism().map_or(1, |n| n.get())
    }
}
