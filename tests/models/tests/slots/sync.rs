//! Locks between the processes of the model. They are robust, as the kernel makes them: that they are is
//! for another model to show. None is waited for in vain, since nobody is stopped.

/// The production files have their atomics from here.
pub(crate) mod atomic {
    pub(crate) use crate::memory::{AtomicU32, AtomicU64, Ordering};
}

pub(crate) mod futex {
    use super::atomic::AtomicU32;

    pub(crate) fn wake_all(_: &AtomicU32) {}
}

pub(crate) mod patience {
    /// Nobody is stopped: all patience is enough.
    pub(crate) struct Patience;

    impl Patience {
        pub(crate) fn forever() -> Patience {
            Patience
        }

        pub(crate) fn brief() -> Patience {
            Patience
        }

        pub(crate) fn deaf() -> Patience {
            Patience
        }
    }
}

pub(crate) mod signal {
    use super::atomic::AtomicU32;

    #[repr(C)]
    pub(crate) struct Signal([AtomicU32; 2]);
}

pub(crate) mod robust {
    use super::patience::Patience;
    use crate::memory::{base, peek, poke};
    use procbox_core::{Error, Result, Wait};
    use procbox_models::explore::{current, saw, step, wait_until};
    use std::cell::RefCell;

    thread_local! {
        /// The locks that are held, and by whom.
        static HELD: RefCell<Vec<(u64, u64)>> = const { RefCell::new(Vec::new()) };
    }

    /// The number among the actors of those that set the world up.
    const MAIN: usize = 1 << 31;

    /// In the second word: the last holder died with it.
    const DIED: u64 = 1;

    #[repr(C, align(8))]
    #[derive(Default)]
    pub(crate) struct RobustLock {
        /// The holder's number, from 1.
        holder: u64,
        died: u64,
        unused: [u64; 3],
    }

    /// The number by which the actor that runs holds locks.
    fn me() -> u64 {
        let (actor, process) = current().unwrap_or((MAIN, crate::world::set_up_for()));
        u64::from(process) << 32 | actor as u64
    }

    /// True if the actor that runs holds the arena's lock.
    pub(crate) fn is_in_transaction() -> bool {
        let lock = crate::arena::ARENA_LOCK;
        current().is_none() || peek(lock) == me()
    }

    /// What the kernel does for the locks of a process that has ended.
    pub(crate) fn process_ended(process: u32) {
        HELD.with_borrow_mut(|held| {
            held.retain(|(lock, holder)| {
                let its = *holder >> 32 == u64::from(process);
                if its {
                    poke(*lock, 0);
                    poke(*lock + 8, DIED);
                }
                !its
            });
        });
    }

    /// All locks are free.
    pub(crate) fn clear() {
        HELD.take();
    }

    impl RobustLock {
        fn offset(&self) -> u64 {
            (std::ptr::from_ref(self).addr() - base().addr()) as u64
        }

        fn take(&self) -> bool {
            let (lock, me) = (self.offset(), me());
            poke(lock, me);
            HELD.with_borrow_mut(|held| held.push((lock, me)));
            let owner_died = peek(lock + 8) != 0;
            poke(lock + 8, 0);
            saw(owner_died.into());
            owner_died
        }

        fn give(&self, died: u64) {
            let lock = self.offset();
            poke(lock, 0);
            poke(lock + 8, died);
            HELD.with_borrow_mut(|held| held.retain(|(held, _)| *held != lock));
        }

        fn work<R>(&self, work: impl FnOnce(bool) -> Result<R>) -> Result<R> {
            let owner_died = self.take();
            let done = work(owner_died);
            step("giving a lock back");
            self.give(if owner_died && done.is_err() { DIED } else { 0 });
            done
        }

        pub(crate) fn hold<R>(
            &self,
            _: &Patience,
            work: impl FnOnce(bool) -> Result<R>,
        ) -> Result<R> {
            let lock = self.offset();
            assert!(peek(lock) != me() || current().is_none(), "a lock is held already");
            wait_until("taking a lock", move || peek(lock) == 0);
            self.work(work)
        }

        pub(crate) fn try_hold<R>(
            &self,
            work: impl FnOnce(bool) -> Result<R>,
        ) -> Result<Option<R>> {
            step("trying a lock");
            let is_free = peek(self.offset()) == 0;
            saw(is_free.into());
            if is_free { self.work(work).map(Some) } else { Ok(None) }
        }

        /// # Safety
        /// Memory of the model is never unmapped.
        pub(crate) unsafe fn acquire(&self, _: Wait) -> Result<bool> {
            step("taking a life");
            if peek(self.offset()) != 0 {
                return Err(Error::TimedOut);
            }
            Ok(self.take())
        }

        pub(crate) fn is_free(&self) -> bool {
            step("a look at a life");
            let is_free = peek(self.offset()) == 0;
            saw(is_free.into());
            is_free
        }

        pub(crate) fn wake_all(&self) {}
    }
}
