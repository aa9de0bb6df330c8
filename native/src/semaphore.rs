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
use procbox_core::{Deadline, Error, RawSemaphore, Result, Semaphore, Wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering, fence};

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
        notify(core);
    }
    Ok((guard, core))
}

/// Wakes all who wait: one would do, but one that is then killed would take the wake with it.
fn notify(core: &SemaphoreCore) {
    fence(Ordering::SeqCst);
    if core.wanted.load(Ordering::Relaxed) != 0 && core.wanted.swap(0, Ordering::SeqCst) != 0 {
        futex::wake_all(&core.free);
    }
}

/// For a dead process: its permits are free again, and whoever waits is woken, in case the process
/// died before it did that itself.
pub(crate) fn give_back_all(arena: &Arena, object: u64, hold: &Hold) -> Result<()> {
    let (guard, core) = guard(arena, object)?;
    let permits = hold.permits.swap(0, Ordering::Relaxed);
    core.free.fetch_add(permits as u32, Ordering::Release);
    drop(guard);
    futex::wake_all(&core.free);
    Ok(())
}

impl NativeSemaphore {
    pub(crate) fn create(arena: &Arc<Arena>, permits: usize) -> Result<NativeSemaphore> {
        let permits = u32::try_from(permits).map_err(|_| Error::too_many_permits())?;
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

    fn free(&self) -> &AtomicU32 {
        &self.0.arena.body::<SemaphoreCore>(self.0.offset).free
    }
}

impl RawSemaphore for NativeSemaphore {
    fn acquire(&self, wait: Wait) -> Result<()> {
        let mut deadline: Option<Deadline> = None;
        loop {
            {
                let (_guard, core) = guard(&self.0.arena, self.0.offset)?;
                let free = core.free.load(Ordering::Relaxed);
                if free > 0 {
                    self.0.hold().permits.fetch_add(1, Ordering::Release);
                    core.free.store(free - 1, Ordering::Release);
                    return Ok(());
                }
                if wait.is_never() {
                    return Err(Error::TimedOut);
                }
                core.wanted.store(1, Ordering::SeqCst);
            }
            let until = *deadline.get_or_insert_with(|| wait.deadline());
            self.0.arena.block(&[(self.free(), 0)], until)?;
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
            return Err(Error::too_many_permits());
        }
        core.free.fetch_add(1, Ordering::Release);
        drop(guard);
        notify(core);
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
        self.free().load(Ordering::Acquire) as usize
    }
}
