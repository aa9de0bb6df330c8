//! The sandbox's semaphore: a count, and per process what it has taken.

use crate::account::Charge;
use crate::permits::Lender;
use crate::runtime::Runtime;
use crate::wait_list::WaitList;
use crate::waiting;
use procbox_core::observe::Operation;
use procbox_core::raw::{MAX_PERMITS, RawSemaphore, Taken, Watch, too_many_permits};
use procbox_core::{Result, Wait};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;

pub(crate) struct HostSemaphore {
    this: Weak<HostSemaphore>,
    pub(crate) runtime: Arc<Runtime>,
    permits: AtomicUsize,
    released: WaitList,
    /// Which thread of the embedding program has which permits.
    taken: OnceLock<Arc<Taken>>,
    _charge: Charge,
}

impl HostSemaphore {
    pub(crate) fn new(runtime: Arc<Runtime>, permits: usize, charge: Charge) -> Arc<HostSemaphore> {
        let permits = AtomicUsize::new(permits);
        let (taken, released) = (OnceLock::new(), WaitList::new());
        Arc::new_cyclic(|this| HostSemaphore {
            this: this.clone(),
            runtime,
            permits,
            released,
            taken,
            _charge: charge,
        })
    }

    /// `None` if there is no permit.
    #[inline]
    pub(crate) fn try_take(&self) -> Option<Result<()>> {
        self.permits
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |n| n.checked_sub(1))
            .ok()
            .map(|_| Ok(()))
    }

    pub(crate) async fn take(&self) -> Result<()> {
        waiting::until(&self.runtime, &self.released, || self.try_take()).await
    }

    #[inline]
    pub(crate) fn give(&self, n: usize) -> Result<()> {
        let sum = |now: usize| now.checked_add(n).filter(|sum| *sum <= MAX_PERMITS);
        self.permits
            .fetch_update(Ordering::SeqCst, Ordering::Relaxed, sum)
            .map_err(|_| too_many_permits())?;
        self.released.wake_swapped(n);
        Ok(())
    }
}

impl Lender for HostSemaphore {
    /// As far as that can be counted: others may have released what they did not have.
    fn take_back(&self, n: usize) {
        let sum = |now: usize| Some(now.saturating_add(n).min(MAX_PERMITS));
        // It always has a new value.
        let _ = self.permits.fetch_update(Ordering::Release, Ordering::Relaxed, sum);
        self.released.wake(n);
    }
}

/// What a thread of the embedding program has taken comes back when the thread ends: see the typed
/// wrapper, by which it takes.
impl RawSemaphore for HostSemaphore {
    fn acquire(&self, wait: Wait) -> Result<()> {
        let on = (Operation::SemaphoreAcquire, waiting::number(self));
        waiting::block(&self.runtime, wait, on, || self.try_take(), || self.take())
    }

    fn release(&self) -> Result<()> {
        self.give(1)
    }

    fn forget(&self) {}

    fn available(&self) -> usize {
        self.permits.load(Ordering::Relaxed)
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        waiting::watch(&self.runtime, &self.this, |semaphore| &semaphore.released, waker)
    }

    fn taken(self: Arc<Self>) -> Option<Arc<Taken>> {
        let weak = Arc::downgrade(&self);
        let taken = || {
            Taken::new(move || {
                weak.upgrade().into_iter().for_each(|semaphore| semaphore.take_back(1))
            })
        };
        Some(self.taken.get_or_init(taken).clone())
    }
}
