//! The semaphore: a count under a robust lock.
//!
//! Each process's record says how many permits it has taken; with the total, that is the truth, and
//! the count of free permits is derived from it. A holder of the lock that dies between the two
//! makes the next one count again, so a permit is never lost and never there twice.

use crate::arena::Arena;
use crate::arena::held::Held;
use crate::arena::kind::{Kind, Needs, Rest};
use crate::arena::layout::{BODY, Hold, Tag, shared};
use crate::arena::waits::{Awaits, Patient};
use crate::sync::futex;
use crate::sync::patience::Patience;
use crate::sync::robust::RobustLock;
use crate::sync::signal::Signal;
use procbox_core::observe::{Operation, Waiting};
use procbox_core::raw::{Handle, MAX_PERMITS, RawSemaphore, Taken, too_many_permits};
use procbox_core::{Error, Result, Wait};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

shared! {
    /// The body of a semaphore. The truth is `total` less the permits in all processes' records.
    struct Core {
        /// Held by whoever changes the words below, and the records.
        lock: RobustLock,
        /// Permits that there are, free or taken.
        total: AtomicU64,
        /// The free ones; derived.
        free: AtomicU32,
        /// 1 when a permit came back past a holder of the lock who is stopped: `free` is to be counted again.
        recount: AtomicU32,
        /// For those who wait for one.
        released: Signal,
    }
}

/// A semaphore, by handle.
pub(crate) struct NativeSemaphore(Arc<Held>);

/// Kind of semaphores, as the arena sees it.
pub(crate) struct SemaphoreKind;

const SIZE: u64 = size_of::<Core>() as u64;

impl Kind for SemaphoreKind {
    fn tag(&self) -> Tag {
        Tag::number(2)
    }

    fn size(&self) -> u64 {
        BODY + SIZE
    }

    fn handle(&self, held: Arc<Held>) -> Option<Handle> {
        Some(Handle::Semaphore(Arc::new(NativeSemaphore(held))))
    }

    fn held<'a>(&self, handle: &'a Handle) -> Option<&'a Arc<Held>> {
        let Handle::Semaphore(raw) = handle else { return None };
        (&**raw as &dyn Any).downcast_ref().map(|semaphore: &NativeSemaphore| &semaphore.0)
    }

    fn rest(&self, _: &Arena, _: u64, hold: &Hold) -> Rest {
        // Permits that were taken and never given back are the process's until it ends.
        if hold.permits.load(Ordering::Relaxed) > 0 { Rest::Recorded } else { Rest::Nothing }
    }

    fn needs(&self, arena: &Arena, awaits: &Awaits) -> Needs {
        let core: &Core = arena.body(awaits.object);
        let none =
            core.free.load(Ordering::SeqCst) == 0 && core.recount.load(Ordering::SeqCst) == 0;
        if none { Needs::Referrers } else { Needs::Nothing }
    }

    fn recover(&self, arena: &Arena, object: u64, hold: &Hold, patience: &Patience) -> Result<()> {
        let core: &Core = arena.body(object);
        locked(arena, object, core, patience, || {
            core.lock.wake_all();
            let permits = hold.permits.swap(0, Ordering::Relaxed);
            core.free.fetch_add(permits as u32, Ordering::Release);
            Ok(())
        })?;
        core.released.bump(arena.shared(), futex::wake_all);
        Ok(())
    }
}

/// Does something under a semaphore's lock; counts again before if the last holder died.
#[inline]
fn locked<R>(
    arena: &Arena,
    object: u64,
    core: &Core,
    patience: &Patience,
    work: impl FnOnce() -> Result<R>,
) -> Result<R> {
    core.lock.hold(patience, |owner_died| {
        if owner_died || core.recount.load(Ordering::Relaxed) != 0 {
            core.recount.store(0, Ordering::SeqCst);
            let taken = arena.permits_taken(object, patience).inspect_err(|_| {
                core.recount.store(1, Ordering::SeqCst);
            })?;
            let free = core.total.load(Ordering::Relaxed).saturating_sub(taken);
            core.free.store(free as u32, Ordering::Release);
            core.released.bump(arena.shared(), futex::wake_all);
        }
        work()
    })
}

impl NativeSemaphore {
    pub(crate) fn create(arena: &Arc<Arena>, permits: usize) -> Result<NativeSemaphore> {
        let permits = u32::try_from(permits).map_err(|_| procbox_core::raw::too_many_permits())?;
        let held = arena.create_object(&SemaphoreKind, |_, object| {
            arena.zero(object + BODY, SIZE);
            let core: &Core = arena.body(object);
            core.total.store(permits.into(), Ordering::Relaxed);
            core.free.store(permits, Ordering::Relaxed);
            Ok(())
        });
        held.map(NativeSemaphore)
    }

    fn core(&self) -> &Core {
        self.0.arena.body(self.0.offset)
    }

    #[inline]
    fn locked<R>(&self, patience: &Patience, work: impl FnOnce(&Core) -> Result<R>) -> Result<R> {
        let core = self.core();
        locked(&self.0.arena, self.0.offset, core, patience, || work(core))
    }

    /// Takes a permit off this process's record, if there is one; whether there was.
    fn take_off_record(&self) -> bool {
        let one_less = |permits: u64| permits.checked_sub(1);
        let permits = &self.0.hold().permits;
        permits.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_less).is_ok()
    }

    /// Changes the truth: a permit of this process's comes back, or there is one more.
    fn give_back(&self, core: &Core) -> Result<()> {
        if self.take_off_record() {
            return Ok(());
        }
        if core.total.load(Ordering::Relaxed) >= MAX_PERMITS as u64 {
            return Err(too_many_permits());
        }
        core.total.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Takes a permit if there is one; whether it did.
    fn try_take(&self, patience: &Patience) -> Result<bool> {
        self.locked(patience, |core| {
            let free = core.free.load(Ordering::Relaxed);
            if free == 0 {
                return Ok(false);
            }
            self.0.hold().permits.fetch_add(1, Ordering::Release);
            core.free.store(free - 1, Ordering::Release);
            Ok(true)
        })
    }
}

impl RawSemaphore for NativeSemaphore {
    fn acquire(&self, wait: Wait) -> Result<()> {
        let patience = Patience::new(wait);
        if self.try_take(&patience)? {
            return Ok(());
        }
        if patience.is_never() {
            return Err(Error::TimedOut);
        }
        let until = patience.until();
        let waiting = Waiting::begin(std::process::id, Operation::SemaphoreAcquire, self.0.offset);
        let (operation, object) = (Operation::SemaphoreAcquire, self.0.offset);
        let awaits = Awaits { operation, object, detail: 0 };
        let mut patient = Patient::new(&self.0.arena, wait, awaits);
        loop {
            let announced = self.core().released.announce();
            if self.try_take(&patience)? {
                waiting.end(true);
                return Ok(());
            }
            patient.block(announced, until)?;
        }
    }

    fn release(&self) -> Result<()> {
        let released = self.locked(&Patience::brief(), |core| {
            self.give_back(core)?;
            core.free.fetch_add(1, Ordering::Release);
            Ok(())
        });
        match released {
            // The lock's holder is stopped. The records are the truth, and whoever has the lock next counts
            // them: so a permit that is given back needs no wait.
            Err(Error::TimedOut | Error::Interrupted) => {
                let core = self.core();
                self.give_back(core)?;
                core.recount.store(1, Ordering::SeqCst);
            }
            other => other?,
        }
        self.core().released.changed(self.0.arena.shared(), futex::wake_all);
        Ok(())
    }

    fn forget(&self) {
        // It fails only if this thread held the lock already, which it never keeps.
        let _ = self.locked(&Patience::deaf(), |core| {
            if self.take_off_record() {
                core.total.fetch_sub(1, Ordering::Release);
            }
            Ok(())
        });
    }

    fn available(&self) -> usize {
        self.core().free.load(Ordering::Acquire) as usize
    }

    fn taken(self: Arc<Self>) -> Option<Arc<Taken>> {
        let held = Arc::downgrade(&self.0);
        let taken = || {
            Taken::new(move || {
                // It fails only on overflow, which a permit that was taken cannot cause.
                let _ = held.upgrade().map(|held| NativeSemaphore(held).release());
            })
        };
        Some(self.0.taken.get_or_init(taken).clone())
    }
}
