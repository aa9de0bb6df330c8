//! The semaphore: a count under a robust lock.
//!
//! Each process's record says how many permits it has taken; with the total, that is the truth, and
//! the count of free permits is derived from it. A holder of the lock that dies between the two
//! makes the next one count again, so a permit is never lost and never there twice.
//!
//! All of it is changed under the lock, but for what a record says of permits that were given back past
//! a holder who is stopped. So whoever has the lock needs no atomic operations but those of the lock.

use crate::arena::Arena;
use crate::arena::held::Held;
use crate::arena::kind::{Kind, Needs, Rest};
use crate::arena::layout::{BODY, Hold, Tag, shared};
use crate::arena::waits::{Awaits, Patient};
use crate::arena::watches::Wakes;
use crate::sync::futex;
use crate::sync::patience::Patience;
use crate::sync::robust::RobustLock;
use crate::sync::signal::Signal;
use procbox_core::observe::{Operation, Waiting};
use procbox_core::raw::{Handle, MAX_PERMITS, RawSemaphore, Taken, Watch, too_many_permits};
use procbox_core::{Error, Result, Wait};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::Waker;

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
        let even = hold.permits.load(Ordering::Relaxed) == hold.returned.load(Ordering::Relaxed);
        if even { Rest::Nothing } else { Rest::Recorded }
    }

    fn needs(&self, arena: &Arena, awaits: &Awaits) -> Needs {
        let core: &Core = arena.body(awaits.object);
        let none =
            core.free.load(Ordering::SeqCst) == 0 && core.recount.load(Ordering::SeqCst) == 0;
        if none { Needs::Referrers } else { Needs::Nothing }
    }

    fn recover(&self, arena: &Arena, object: u64, hold: &Hold, patience: &Patience) -> Result<()> {
        let core: &Core = arena.body(object);
        locked(arena, object, core, hold, patience, || {
            core.lock.wake_all();
            let permits = hold.permits.swap(0, Ordering::Relaxed);
            core.free.fetch_add(permits, Ordering::Release);
            Ok(())
        })?;
        core.released.bump(arena.shared(), futex::wake_all);
        Ok(())
    }
}

/// Does something under a semaphore's lock, with a record that is up to date; counts again before if
/// the last holder died.
fn locked<R>(
    arena: &Arena,
    object: u64,
    core: &Core,
    hold: &Hold,
    patience: &Patience,
    work: impl FnOnce() -> Result<R>,
) -> Result<R> {
    core.lock.hold(patience, |owner_died| {
        settle(core, hold);
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

/// Strikes the permits off a record that were given back without the lock, for who has it. If more were
/// than the process had, by several threads at a time, there are more permits now.
#[inline]
fn settle(core: &Core, hold: &Hold) {
    if hold.returned.load(Ordering::Relaxed) == 0 {
        return;
    }
    // Whoever gave them back may have been killed before it said so.
    core.recount.store(1, Ordering::SeqCst);
    let returned = hold.returned.swap(0, Ordering::AcqRel);
    let permits = hold.permits.load(Ordering::Relaxed);
    hold.permits.store(permits.saturating_sub(returned), Ordering::Release);
    core.total.fetch_add(returned.saturating_sub(permits).into(), Ordering::Release);
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

    #[inline]
    fn core(&self) -> &Core {
        self.0.arena.body(self.0.offset)
    }

    /// Does something under the lock.
    fn locked<R>(
        &self,
        patience: &Patience,
        work: impl FnOnce(&Core, &Hold) -> Result<R>,
    ) -> Result<R> {
        let (core, hold) = (self.core(), self.0.hold());
        locked(&self.0.arena, self.0.offset, core, hold, patience, || work(core, hold))
    }

    /// Does something if the lock is free and there is nothing to repair; `None` if not, or if `work`
    /// says so, which then has changed nothing.
    ///
    /// # Safety
    /// `work` takes no lock, and does not panic.
    #[inline(always)]
    unsafe fn locked_shortly<R>(&self, work: impl FnOnce(&Core, &Hold) -> Option<R>) -> Option<R> {
        let (core, hold) = (self.core(), self.0.hold());
        let work = || {
            let as_usual = core.recount.load(Ordering::Relaxed) == 0
                && hold.returned.load(Ordering::Relaxed) == 0;
            if as_usual { work(core, hold) } else { None }
        };
        // SAFETY: the caller promises it.
        unsafe { core.lock.hold_shortly(work) }.flatten()
    }

    /// Takes a permit, if there is one and nothing is in the way; whether it did.
    #[inline(always)]
    fn take_at_once(&self) -> bool {
        let take = |core: &Core, hold: &Hold| {
            let free = core.free.load(Ordering::Relaxed).checked_sub(1)?;
            let permits = hold.permits.load(Ordering::Relaxed);
            hold.permits.store(permits.wrapping_add(1), Ordering::Release);
            core.free.store(free, Ordering::Release);
            Some(())
        };
        // SAFETY: it is loads and stores.
        unsafe { self.locked_shortly(take) }.is_some()
    }

    /// Gives a permit of this process's back, if nothing is in the way. The answer is whether somebody
    /// waits for one, or `None` if it was not given back.
    #[inline(always)]
    fn give_at_once(&self) -> Option<bool> {
        let give = |core: &Core, hold: &Hold| {
            let permits = hold.permits.load(Ordering::Relaxed).checked_sub(1)?;
            hold.permits.store(permits, Ordering::Release);
            let free = core.free.load(Ordering::Relaxed);
            core.free.store(free.wrapping_add(1), Ordering::Release);
            Some(core.released.is_wanted())
        };
        // SAFETY: as above.
        unsafe { self.locked_shortly(give) }
    }

    /// Takes a permit if there is one; whether it did.
    fn try_take(&self, patience: &Patience) -> Result<bool> {
        self.locked(patience, |core, hold| {
            let free = core.free.load(Ordering::Relaxed);
            if free == 0 {
                return Ok(false);
            }
            hold.permits.fetch_add(1, Ordering::Release);
            core.free.store(free - 1, Ordering::Release);
            Ok(true)
        })
    }

    /// Changes the truth under the lock: a permit of this process's comes back, or there is one more.
    fn give_back(core: &Core, hold: &Hold) -> Result<()> {
        if take_one_off(&hold.permits) { Ok(()) } else { one_more(core) }
    }

    /// The same without the lock.
    fn give_back_unlocked(core: &Core, hold: &Hold) -> Result<()> {
        let permits = hold.permits.load(Ordering::Acquire);
        let more = |returned: u32| (returned < permits).then(|| returned + 1);
        match hold.returned.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more) {
            Ok(_) => Ok(()),
            Err(_) => one_more(core),
        }
    }

    /// Waits for a permit that was not to be had at once.
    #[cold]
    #[inline(never)]
    fn acquire_taken(&self, wait: Wait) -> Result<()> {
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

    /// Gives a permit back that could not be at once, or that is one more.
    #[cold]
    #[inline(never)]
    fn release_otherwise(&self) -> Result<()> {
        let released = self.locked(&Patience::brief(), |core, hold| {
            Self::give_back(core, hold)?;
            core.free.fetch_add(1, Ordering::Release);
            Ok(())
        });
        match released {
            // The lock's holder is stopped. The records are the truth, and whoever has the lock next counts
            // them: so a permit that is given back needs no wait.
            Err(Error::TimedOut | Error::Interrupted) => {
                let core = self.core();
                Self::give_back_unlocked(core, self.0.hold())?;
                core.recount.store(1, Ordering::SeqCst);
            }
            other => other?,
        }
        self.tell();
        Ok(())
    }

    /// Tells those who wait.
    fn tell(&self) {
        self.core().released.changed(self.0.arena.shared(), futex::wake_all);
    }
}

/// One less, if there is one; whether there was.
fn take_one_off(permits: &AtomicU32) -> bool {
    let one_less = |permits: u32| permits.checked_sub(1);
    permits.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_less).is_ok()
}

/// There is one permit more than before.
fn one_more(core: &Core) -> Result<()> {
    if core.total.load(Ordering::Relaxed) >= MAX_PERMITS as u64 {
        return Err(too_many_permits());
    }
    core.total.fetch_add(1, Ordering::Release);
    Ok(())
}

impl RawSemaphore for NativeSemaphore {
    fn acquire(&self, wait: Wait) -> Result<()> {
        if self.take_at_once() { Ok(()) } else { self.acquire_taken(wait) }
    }

    fn release(&self) -> Result<()> {
        match self.give_at_once() {
            Some(false) => Ok(()),
            Some(true) => {
                self.tell();
                Ok(())
            }
            None => self.release_otherwise(),
        }
    }

    fn forget(&self) {
        // It fails only if this thread held the lock already, which it never keeps.
        let _ = self.locked(&Patience::deaf(), |core, hold| {
            if take_one_off(&hold.permits) {
                core.total.fetch_sub(1, Ordering::Release);
            }
            Ok(())
        });
    }

    fn available(&self) -> usize {
        self.core().free.load(Ordering::Acquire) as usize
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        self.0.watch(&self.core().released, Wakes::One, waker).map(Some)
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
