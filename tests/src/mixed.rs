//! A bridge between both backends for the conformance suite, whose processes run on one side and the
//! other by turns.

use crate::Backend as Of;
use procbox::backend::{
    Handle, Identity, Life, ProcessSpec, RawConnection, RawContext, RawEvent, RawLedger,
    RawListener, RawLock, RawPipe, RawProcess, RawQueue, RawRegion, RawSemaphore, Waitable,
    WorkerInfo,
};
use procbox::{Address, Backend, Bounds, Context, Result, Wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bridge between new contexts for the program `conformance`.
///
/// # Errors
/// What making one says.
pub fn bridge() -> Result<Context> {
    Context::bridge(&crate::context(Of::Native)?, &crate::context(Of::Sandbox)?)
}

/// The same, where a process of which it is not said runs on the side on which the one before did not;
/// the first on this one.
///
/// # Errors
/// What making one says.
pub fn by_turns(first: Backend) -> Result<Context> {
    let turn = AtomicUsize::new(usize::from(first == Backend::Sandbox));
    Ok(Context::from_raw(Arc::new(Turns { bridge: bridge()?.raw().clone(), turn })))
}

/// The raw context of such a bridge.
struct Turns {
    bridge: Arc<dyn RawContext>,
    turn: AtomicUsize,
}

impl RawContext for Turns {
    fn backend(&self) -> Backend {
        self.bridge.backend()
    }

    fn lock(&self) -> Result<Arc<dyn RawLock>> {
        self.bridge.lock()
    }

    fn semaphore(&self, permits: usize) -> Result<Arc<dyn RawSemaphore>> {
        self.bridge.semaphore(permits)
    }

    fn event(&self) -> Result<Arc<dyn RawEvent>> {
        self.bridge.event()
    }

    fn queue(&self, bounds: Bounds) -> Result<Arc<dyn RawQueue>> {
        self.bridge.queue(bounds)
    }

    fn pipe(&self, duplex: bool) -> Result<(Arc<dyn RawPipe>, Arc<dyn RawPipe>)> {
        self.bridge.pipe(duplex)
    }

    fn ledger(&self) -> Result<Arc<dyn RawLedger>> {
        self.bridge.ledger()
    }

    fn region(&self, bytes: usize) -> Result<Arc<dyn RawRegion>> {
        self.bridge.region(bytes)
    }

    fn listen(&self, address: &Address) -> Result<Arc<dyn RawListener>> {
        self.bridge.listen(address)
    }

    fn connect(&self, address: &Address, wait: Wait) -> Result<Arc<dyn RawConnection>> {
        self.bridge.connect(address, wait)
    }

    fn start(&self, mut spec: ProcessSpec) -> Result<Arc<dyn RawProcess>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let sides = [Backend::Native, Backend::Sandbox];
        spec.side.get_or_insert(sides[turn % sides.len()]);
        self.bridge.start(spec)
    }

    fn number_of(&self, handle: &Handle) -> Option<u64> {
        self.bridge.number_of(handle)
    }

    fn life_of(&self, handle: &Handle) -> Option<Box<dyn Life>> {
        self.bridge.life_of(handle)
    }

    fn side(&self, backend: Backend) -> Option<Arc<dyn RawContext>> {
        self.bridge.side(backend)
    }

    fn ready(&self, those: &[Waitable], wait: Wait) -> Result<Vec<usize>> {
        self.bridge.ready(those, wait)
    }

    fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.bridge.workers()
    }

    fn identity(&self) -> Identity {
        self.bridge.identity()
    }

    fn cpu_count(&self) -> usize {
        self.bridge.cpu_count()
    }
}
