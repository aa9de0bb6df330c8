//! The lock: a robust futex in the arena, which the kernel releases when its holder dies.

use crate::arena::Arena;
use crate::arena::held::Held;
use crate::arena::kind::{Kind, Needs, Rest};
use crate::arena::layout::{BODY, Hold, SLOTS, Tag};
use crate::arena::waits::{Awaits, Patient};
use crate::sync::patience::Patience;
use crate::sync::robust::RobustLock;
use procbox_core::observe::{self, Operation, Sight, Visible, Waiting};
use procbox_core::raw::{Handle, RawLock, Watch};
use procbox_core::time::SystemClock;
use procbox_core::{Acquired, Error, Result, Wait};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

/// A lock, by handle.
pub(crate) struct NativeLock(Arc<Held>);

/// Kind of locks, as the arena sees it.
pub(crate) struct LockKind;

const SIZE: u64 = size_of::<RobustLock>() as u64;

/// The slot of the process that has the lock for somebody, if it is held so. The word may be scribbled over.
fn holder_slot(lock: &RobustLock) -> Option<u32> {
    lock.slot().filter(|slot| u64::from(*slot) < SLOTS)
}

impl Kind for LockKind {
    fn tag(&self) -> Tag {
        Tag::number(1)
    }

    fn size(&self) -> u64 {
        BODY + SIZE
    }

    fn handle(&self, held: Arc<Held>) -> Option<Handle> {
        Some(Handle::Lock(Arc::new(NativeLock(held))))
    }

    fn held<'a>(&self, handle: &'a Handle) -> Option<&'a Arc<Held>> {
        let Handle::Lock(raw) = handle else { return None };
        (&**raw as &dyn Any).downcast_ref().map(|lock: &NativeLock| &lock.0)
    }

    fn rest(&self, arena: &Arena, object: u64, _: &Hold) -> Rest {
        let lock: &RobustLock = arena.body(object);
        if lock.is_held_here() { Rest::Locked } else { Rest::Nothing }
    }

    fn needs(&self, arena: &Arena, awaits: &Awaits) -> Needs {
        let holder = arena.body::<RobustLock>(awaits.object).holder();
        holder.map_or(Needs::Nothing, Needs::Thread)
    }

    fn recover(&self, arena: &Arena, object: u64, hold: &Hold, _: &Patience) -> Result<()> {
        let lock: &RobustLock = arena.body(object);
        // What the dead process had for somebody whom it ran, if it is that process's slot: no other
        // has this place in its record.
        if let Some(slot) = holder_slot(lock)
            && arena.entries(slot).into_iter().any(|entry| std::ptr::eq(arena.at(entry), hold))
        {
            // It fails only if an earlier recovery has come so far.
            let _ = lock.release_for(slot, true);
        }
        lock.wake_all();
        Ok(())
    }
}

impl NativeLock {
    pub(crate) fn create(arena: &Arc<Arena>) -> Result<NativeLock> {
        let held = arena.create_object(&LockKind, |_, object| {
            arena.zero(object + BODY, SIZE);
            Ok(())
        });
        held.map(NativeLock)
    }

    #[inline]
    fn lock(&self) -> &RobustLock {
        self.0.arena.body(self.0.offset)
    }
}

impl NativeLock {
    /// Waits on for the lock, when the first moments are over.
    #[cold]
    #[inline(never)]
    fn wait_on(&self) -> Result<bool> {
        let (arena, object) = (&*self.0.arena, self.0.offset);
        let awaits = Awaits { operation: Operation::LockAcquire, object, detail: 0 };
        let mut patient = Patient::long(arena, awaits);
        let forever = Wait::Forever.deadline(&SystemClock);
        patient.sleep(forever, Duration::MAX, |verdict, until| {
            loop {
                let parent = arena.living_parent();
                let watched: Vec<_> = verdict.into_iter().chain(parent).collect();
                let limit = until.min(arena.orphan_look_due());
                // SAFETY: as in `acquire`.
                let acquired = unsafe { self.lock().acquire_watching(&watched, limit) };
                let is_condemned =
                    verdict.is_some_and(|(word, before)| word.load(Ordering::SeqCst) != before);
                if acquired != Err(Error::TimedOut) || is_condemned || until.is_past(&SystemClock) {
                    return acquired;
                }
                // What a process had for another comes back by its recovery alone, not by the kernel.
                arena.look_after_orphans();
            }
        })
    }

    /// The lock, if it was not free just now, or its last holder died with it. Apart, so that one that
    /// is free costs nothing of it.
    #[cold]
    #[inline(never)]
    fn acquire_taken(&self, wait: Wait) -> Result<Acquired> {
        if observe::is_observed() {
            return self.acquire_watched(wait);
        }
        // SAFETY: as in `acquire`.
        match unsafe { self.lock().acquire(wait) } {
            Ok(owner_died) => Ok(Acquired::new(owner_died)),
            Err(Error::TimedOut) if wait == Wait::Forever => self.wait_on().map(Acquired::new),
            Err(e) => Err(e),
        }
    }

    /// The lock, for somebody who watches: he is told before it is asked for in earnest, not in the
    /// middle.
    fn acquire_watched(&self, wait: Wait) -> Result<Acquired> {
        // SAFETY: as in `acquire`.
        match unsafe { self.lock().acquire(Wait::Never) } {
            Err(Error::TimedOut) if !wait.is_never() => {
                let waiting =
                    Waiting::begin(std::process::id, Operation::LockAcquire, self.0.offset);
                // SAFETY: as in `acquire`.
                let acquired = match unsafe { self.lock().acquire(wait) } {
                    Err(Error::TimedOut) if wait == Wait::Forever => self.wait_on(),
                    other => other,
                };
                waiting.end(acquired.is_ok());
                acquired.map(Acquired::new)
            }
            at_once => at_once.map(Acquired::new),
        }
    }
}

impl Visible for NativeLock {
    fn sight(&self) -> Sight {
        let (arena, lock) = (&self.0.arena, self.lock());
        let holder = match holder_slot(lock) {
            Some(slot) => Some(arena.slot(slot).pid.load(Ordering::Relaxed) as u32),
            None => lock.holder(),
        };
        Sight::Lock { object: self.0.offset, holder }
    }
}

impl RawLock for NativeLock {
    fn acquire(&self, wait: Wait) -> Result<Acquired> {
        // One that is free is had without a wait, of which there would be nothing to tell.
        // SAFETY: the arena stays mapped as long as this process has the object, and one of which it
        // lets go while a thread of it has the lock keeps the arena: `LockKind::rest`.
        if unsafe { self.lock().acquire_free() } {
            return Ok(Acquired::new(false));
        }
        self.acquire_taken(wait)
    }

    #[inline]
    fn release(&self) -> Result<()> {
        self.lock().release()
    }

    fn acquire_for(&self) -> Result<Acquired> {
        let taken = self.lock().acquire_for(self.0.arena.me());
        taken.map(Acquired::new).ok_or(Error::TimedOut)
    }

    fn release_for(&self, died: bool) -> Result<()> {
        self.lock().release_for(self.0.arena.me(), died)
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        self.0.watch_lock(self.lock(), waker).map(Some)
    }
}
