//! The native context: an arena, and what starts the processes that share it.

use crate::arena::Arena;
use crate::event::NativeEvent;
use crate::lock::NativeLock;
use crate::pipe::NativePipe;
use crate::process::NativeProcess;
use crate::program::Program;
use crate::queue::NativeQueue;
use crate::semaphore::NativeSemaphore;
use crate::start::Starter;
use crate::{connection, ready};
use procbox_core::{
    Address, Backend, Bounds, Entry, Identity, ProcessSpec, RawConnection, RawContext, RawEvent,
    RawListener, RawLock, RawPipe, RawProcess, RawQueue, RawSemaphore, Result, Wait, Waitable,
    WorkerInfo,
};
use std::sync::Arc;

/// The raw context.
pub(crate) struct NativeContext {
    arena: Arc<Arena>,
    identity: Identity,
    starter: Starter,
}

impl NativeContext {
    pub(crate) fn new(
        arena: Arc<Arena>,
        identity: Identity,
        program: Program,
        environment: Vec<(String, String)>,
    ) -> NativeContext {
        let starter = Starter::new(arena.clone(), program, environment);
        NativeContext { arena, identity, starter }
    }

    /// Who this process is.
    pub(crate) fn who(&self) -> &Identity {
        &self.identity
    }
}

impl RawContext for NativeContext {
    fn backend(&self) -> Backend {
        Backend::Native
    }

    fn lock(&self) -> Result<Arc<dyn RawLock>> {
        Ok(Arc::new(NativeLock::create(&self.arena)?))
    }

    fn semaphore(&self, permits: usize) -> Result<Arc<dyn RawSemaphore>> {
        Ok(Arc::new(NativeSemaphore::create(&self.arena, permits)?))
    }

    fn event(&self) -> Result<Arc<dyn RawEvent>> {
        Ok(Arc::new(NativeEvent::create(&self.arena)?))
    }

    fn queue(&self, bounds: Bounds) -> Result<Arc<dyn RawQueue>> {
        Ok(Arc::new(NativeQueue::create(&self.arena, bounds)?))
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
        };
        Ok(Arc::new(NativeProcess(child)))
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
