//! The semaphore: a count under a robust lock.
//!
//! Each process's record says how many permits it has taken; with the total, that is the truth, and
//! the count of free permits is derived from it. A holder of the lock that dies between the two
//! makes the next one count again, so a permit is never lost and never there twice.

use crate::arena::Arena;
use crate::arena::layout::{BODY, Hold, SemaphoreCore, Tag};
use crate::arena::table::Held;
use crate::sync::futex;
use crate::sync::robust::Guard;
use procbox_core::{Error, RawSemaphore, Result, Semaphore, SystemClock, Wait};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A semaphore, by handle.
pub(crate) struct NativeSemaphore(pub(crate) Arc<Held>);

/// Takes the semaphore's lock; counts again if the last holder died.
fn guard(arena: &Arena, object: u64) -> Result<(Guard<'_>, &SemaphoreCore)> {
    let core: &SemaphoreCore = arena.body(object);
    let guard = core.lock.guard()?;
    if guard.owner_died {
        let taken = arena.permits_taken(object)?;
        let free = core.total.load(Ordering::Relaxed).saturating_sub(taken);
        core.free.store(free as u32, Ordering::Release);
        core.released.bump(futex::wake_all);
    }
    Ok((guard, core))
}

/// For a dead process: its permits are free again, and whoever waits is woken, in case the process
/// died before it did that itself.
pub(crate) fn give_back_all(arena: &Arena, object: u64, hold: &Hold) -> Result<()> {
    let (guard, core) = guard(arena, object)?;
    core.lock.kick();
    let permits = hold.permits.swap(0, Ordering::Relaxed);
    core.free.fetch_add(permits as u32, Ordering::Release);
    drop(guard);
    core.released.bump(futex::wake_all);
    Ok(())
}

impl NativeSemaphore {
    pub(crate) fn create(arena: &Arc<Arena>, permits: usize) -> Result<NativeSemaphore> {
        let permits = u32::try_from(permits).map_err(|_| procbox_core::raw::too_many_permits())?;
        let size = BODY + size_of::<SemaphoreCore>() as u64;
        let held = arena.create_object(size, Tag::SEMAPHORE, |_, object| {
            for word in 0..size_of::<SemaphoreCore>() as u64 / 8 {
                arena.word(object + BODY + 8 * word).store(0, Ordering::Relaxed);
            }
            let core: &SemaphoreCore = arena.body(object);
            core.total.store(permits.into(), Ordering::Relaxed);
            core.free.store(permits, Ordering::Relaxed);
            Ok(())
        });
        held.map(NativeSemaphore)
    }

    fn core(&self) -> &SemaphoreCore {
        self.0.arena.body(self.0.offset)
    }

    /// Takes a permit if there is one; whether it did.
    fn try_take(&self) -> Result<bool> {
        let (_guard, core) = guard(&self.0.arena, self.0.offset)?;
        let free = core.free.load(Ordering::Relaxed);
        if free == 0 {
            return Ok(false);
        }
        self.0.hold().permits.fetch_add(1, Ordering::Release);
        core.free.store(free - 1, Ordering::Release);
        Ok(true)
    }
}

impl RawSemaphore for NativeSemaphore {
    fn acquire(&self, wait: Wait) -> Result<()> {
        if self.try_take()? {
            return Ok(());
        }
        if wait.is_never() {
            return Err(Error::TimedOut);
        }
        let until = wait.deadline(&SystemClock);
        loop {
            let announced = self.core().released.announce();
            if self.try_take()? {
                return Ok(());
            }
            self.0.arena.block(&[announced], until)?;
        }
    }

    fn release(&self) -> Result<()> {
        let (guard, core) = guard(&self.0.arena, self.0.offset)?;
        let permits = &self.0.hold().permits;
        if permits.load(Ordering::Relaxed) > 0 {
            permits.fetch_sub(1, Ordering::Release);
        } else if core.total.load(Ordering::Relaxed) < Semaphore::MAX_PERMITS as u64 {
            core.total.fetch_add(1, Ordering::Release);
        } else {
            return Err(procbox_core::raw::too_many_permits());
        }
        core.free.fetch_add(1, Ordering::Release);
        drop(guard);
        core.released.changed(futex::wake_all);
        Ok(())
    }

    fn forget(&self) {
        let Ok((_guard, core)) = guard(&self.0.arena, self.0.offset) else { return };
        if self.0.hold().permits.load(Ordering::Relaxed) > 0 {
            core.total.fetch_sub(1, Ordering::Release);
            self.0.hold().permits.fetch_sub(1, Ordering::Release);
        }
    }

    fn available(&self) -> usize {
        self.core().free.load(Ordering::Acquire) as usize
    }
}
