//! The context of a sandboxed process: everything is asked of the host.

use super::ledger::GuestLedger;
use super::primitives::{GuestEvent, GuestLock, GuestPipe, GuestQueue, GuestSemaphore, Own};
use super::region::GuestRegion;
use super::{connection, identity, process, ready, sys};
use procbox_core::raw::{
    ProcessSpec, RawConnection, RawContext, RawEvent, RawLedger, RawListener, RawLock, RawPipe,
    RawProcess, RawQueue, RawRegion, RawSemaphore,
};
use procbox_core::{Address, Backend, Bounds, Identity, Result, Wait, Waitable, WorkerInfo};
use std::cell::RefCell;
use std::sync::Arc;

pub(super) struct GuestContext;

thread_local! {
    /// The identity of this process, which every start needs.
    static IDENTITY: RefCell<Option<Identity>> = const { RefCell::new(None) };
}

/// Has the host be asked again: this process begins with the memory of another.
pub(super) fn forget_identity() {
    IDENTITY.set(None);
}

fn own(code: i32) -> Result<Own> {
    sys::check(code).map(Own)
}

impl RawContext for GuestContext {
    fn backend(&self) -> Backend {
        Backend::Guest
    }

    fn lock(&self) -> Result<Arc<dyn RawLock>> {
        Ok(Arc::new(GuestLock(own(sys::lock_new())?)))
    }

    fn semaphore(&self, permits: usize) -> Result<Arc<dyn RawSemaphore>> {
        let permits = i32::try_from(permits).unwrap_or(i32::MAX);
        Ok(Arc::new(GuestSemaphore(own(sys::semaphore_new(permits))?)))
    }

    fn event(&self) -> Result<Arc<dyn RawEvent>> {
        Ok(Arc::new(GuestEvent(own(sys::event_new())?)))
    }

    fn ledger(&self) -> Result<Arc<dyn RawLedger>> {
        Ok(Arc::new(GuestLedger(own(sys::ledger_new())?)))
    }

    fn region(&self, bytes: usize) -> Result<Arc<dyn RawRegion>> {
        Ok(Arc::new(GuestRegion(own(sys::region_new(bytes))?)))
    }

    fn queue(&self, bounds: Bounds) -> Result<Arc<dyn RawQueue>> {
        let number = |n: usize| i64::try_from(n).unwrap_or(-1);
        let messages = bounds.messages.map_or(-1, number);
        Ok(Arc::new(GuestQueue(own(sys::queue_new(messages, number(bounds.bytes)))?)))
    }

    fn pipe(&self, duplex: bool) -> Result<(Arc<dyn RawPipe>, Arc<dyn RawPipe>)> {
        let [a, b] = sys::pipe_new(duplex)?;
        Ok((Arc::new(GuestPipe(Own(a))), Arc::new(GuestPipe(Own(b)))))
    }

    fn listen(&self, address: &Address) -> Result<Arc<dyn RawListener>> {
        connection::listen(address)
    }

    fn connect(&self, address: &Address, wait: Wait) -> Result<Arc<dyn RawConnection>> {
        connection::connect(address, wait)
    }

    fn start(&self, spec: ProcessSpec) -> Result<Arc<dyn RawProcess>> {
        Ok(Arc::new(process::start(&spec)?))
    }

    fn ready(&self, those: &[Waitable], wait: Wait) -> Result<Vec<usize>> {
        ready::ready(those, wait)
    }

    fn workers(&self) -> Result<Vec<WorkerInfo>> {
        identity::workers()
    }

    fn identity(&self) -> Identity {
        IDENTITY.with_borrow_mut(|known| {
            let unknown = |_| Identity::new("Process", 0);
            known.get_or_insert_with(|| identity::identity().unwrap_or_else(unknown)).clone()
        })
    }

    fn cpu_count(&self) -> usize {
        usize::try_from(sys::cpu_count()).unwrap_or(1)
    }
}
