//! The semaphore: a count under a mutex. Which thread has which permits is the core's to know
//! ([`Taken`]): the permits of a thread come back when it ends.

use super::sleep::{WaitList, block, number};
use super::{Home, life};
use crate::observe::Operation;
use crate::raw::{MAX_PERMITS, RawSemaphore, Taken, Watch, too_many_permits};
use crate::sync::lock;
use crate::{Error, Result, Wait};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;

pub(super) struct LocalSemaphore {
    pub(super) home: Arc<Home>,
    permits: Mutex<usize>,
    released: Arc<WaitList>,
    taken: OnceLock<Arc<Taken>>,
}

impl LocalSemaphore {
    pub(super) fn new(home: Arc<Home>, permits: usize) -> LocalSemaphore {
        LocalSemaphore {
            home,
            permits: Mutex::new(permits),
            released: WaitList::new(),
            taken: OnceLock::new(),
        }
    }

    /// There is one permit more.
    fn give(&self) -> Result<()> {
        let mut permits = lock(&self.permits);
        if *permits >= MAX_PERMITS {
            return Err(too_many_permits());
        }
        *permits += 1;
        drop(permits);
        self.released.wake();
        Ok(())
    }
}

impl RawSemaphore for LocalSemaphore {
    fn acquire(&self, wait: Wait) -> Result<()> {
        let on = (Operation::SemaphoreAcquire, number(self));
        block(wait, on, &[&self.released], || {
            let mut permits = lock(&self.permits);
            *permits = permits.checked_sub(1)?;
            Some(Ok(()))
        })
    }

    fn release(&self) -> Result<()> {
        // All its permits are back already.
        if life::has_exited() { Err(Error::Interrupted) } else { self.give() }
    }

    /// The account has struck it out already.
    fn forget(&self) {}

    fn available(&self) -> usize {
        *lock(&self.permits)
    }

    fn taken(self: Arc<Self>) -> Option<Arc<Taken>> {
        let this = Arc::downgrade(&self);
        let account = || {
            // It has room for a permit that was taken from it.
            Taken::new(move || this.upgrade().into_iter().for_each(|it| drop(it.give())))
        };
        Some(self.taken.get_or_init(account).clone())
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        Ok(Some(self.released.watch(waker)))
    }
}
