//! The context: makes primitives, which are all of one family, and starts workers on threads.

use super::connection::Names;
use super::event::LocalEvent;
use super::ledger::LocalLedger;
use super::lock::LocalLock;
use super::pipe::LocalPipe;
use super::queue::LocalQueue;
use super::region::LocalRegion;
use super::semaphore::LocalSemaphore;
use super::{Home, process, ready};
use crate::raw::{
    Address, Backend, Bounds, Identity, ProcessSpec, RawConnection, RawContext, RawEvent,
    RawLedger, RawListener, RawLock, RawPipe, RawProcess, RawQueue, RawRegion, RawSemaphore,
    Waitable, WorkerInfo,
};
use crate::runner::listed_workers;
use crate::{Result, Wait};
use std::sync::Arc;

#[derive(Clone)]
pub(super) struct LocalContext {
    pub(super) home: Arc<Home>,
    /// Where its listeners are.
    pub(super) names: Arc<Names>,
    pub(super) identity: Identity,
}

impl RawContext for LocalContext {
    fn backend(&self) -> Backend {
        Backend::Local
    }

    fn lock(&self) -> Result<Arc<dyn RawLock>> {
        Ok(LocalLock::new(self.home.clone()))
    }

    fn semaphore(&self, permits: usize) -> Result<Arc<dyn RawSemaphore>> {
        Ok(Arc::new(LocalSemaphore::new(self.home.clone(), permits)))
    }

    fn event(&self) -> Result<Arc<dyn RawEvent>> {
        Ok(Arc::new(LocalEvent::new(self.home.clone())))
    }

    fn ledger(&self) -> Result<Arc<dyn RawLedger>> {
        Ok(LocalLedger::new(self.home.clone()))
    }

    fn region(&self, bytes: usize) -> Result<Arc<dyn RawRegion>> {
        Ok(Arc::new(LocalRegion::new(self.home.clone(), bytes)?))
    }

    fn queue(&self, bounds: Bounds) -> Result<Arc<dyn RawQueue>> {
        Ok(Arc::new(LocalQueue::new(self.home.clone(), bounds)))
    }

    fn pipe(&self, duplex: bool) -> Result<(Arc<dyn RawPipe>, Arc<dyn RawPipe>)> {
        let (first, second) = LocalPipe::pair(&self.home, duplex);
        Ok((Arc::new(first), Arc::new(second)))
    }

    fn listen(&self, address: &Address) -> Result<Arc<dyn RawListener>> {
        Ok(Arc::new(self.names.listen(&self.home, address)?))
    }

    fn connect(&self, address: &Address, wait: Wait) -> Result<Arc<dyn RawConnection>> {
        Ok(Arc::new(self.names.connect(&self.home, address, wait)?))
    }

    fn start(&self, spec: ProcessSpec) -> Result<Arc<dyn RawProcess>> {
        process::start(self, spec)
    }

    fn ready(&self, those: &[Waitable], wait: Wait) -> Result<Vec<usize>> {
        ready::ready(&self.home, those, wait)
    }

    fn workers(&self) -> Result<Vec<WorkerInfo>> {
        let info = |worker: &super::LocalWorker| {
            WorkerInfo::new(worker.identity, worker.signature.clone())
        };
        Ok(listed_workers(self.home.workers.iter().map(info).collect()))
    }

    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn cpu_count(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}
