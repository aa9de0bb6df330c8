//! What a ring stands on: atomics, futexes, and locks that tell of their holder's death.

#[path = "../../../../native/src/sync/signal.rs"]
pub(crate) mod signal;

/// Nobody spins.
pub(crate) fn spin(_: impl Fn() -> bool) -> bool {
    false
}

pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::{Ordering, fence};
    use procbox_models::victim::{is_dead, point};

    macro_rules! word {
        ($name:ident, $number:ty) => {
            /// A word of shared memory.
            #[derive(Debug, Default)]
            pub(crate) struct $name(loom::sync::atomic::$name);

            impl $name {
                pub(crate) fn load(&self, order: Ordering) -> $number {
                    point();
                    self.0.load(order)
                }

                pub(crate) fn store(&self, value: $number, order: Ordering) {
                    point();
                    if !is_dead() {
                        self.0.store(value, order);
                    }
                }

                pub(crate) fn swap(&self, value: $number, order: Ordering) -> $number {
                    point();
                    if is_dead() { 0 } else { self.0.swap(value, order) }
                }

                pub(crate) fn fetch_or(&self, value: $number, order: Ordering) -> $number {
                    point();
                    if is_dead() { 0 } else { self.0.fetch_or(value, order) }
                }

                pub(crate) fn fetch_add(&self, value: $number, order: Ordering) -> $number {
                    point();
                    if is_dead() { 0 } else { self.0.fetch_add(value, order) }
                }
            }
        };
    }
    word!(AtomicU32, u32);
    word!(AtomicU64, u64);

    impl AtomicU32 {
        /// As the kernel looks at it.
        pub(super) fn in_kernel(&self) -> &loom::sync::atomic::AtomicU32 {
            &self.0
        }
    }
}

pub(crate) mod futex {
    use super::atomic::{AtomicU32, Ordering};
    use loom::sync::{Condvar, Mutex};
    use procbox_models::victim::{is_dead, point};

    loom::lazy_static! {
        static ref BUCKET: Mutex<()> = Mutex::new(());
        static ref WOKEN: Condvar = Condvar::new();
    }

    /// Wakes all who sleep, on whatever: who sleeps on another word looks at it once more.
    pub(crate) fn wake_all(_: &AtomicU32) {
        point();
        if !is_dead() {
            drop(BUCKET.lock().unwrap());
            WOKEN.notify_all();
        }
    }

    /// Sleeps while the word has this value.
    pub(crate) fn wait(word: &AtomicU32, expected: u32) {
        point();
        let mut bucket = BUCKET.lock().unwrap();
        if word.in_kernel().load(Ordering::SeqCst) == expected {
            bucket = WOKEN.wait(bucket).unwrap();
        }
        drop(bucket);
    }
}

pub(crate) mod patience {
    use procbox_core::Wait;
    use procbox_core::time::{Deadline, SystemClock};

    pub(crate) struct Patience(Wait);

    impl Patience {
        pub(crate) fn new(wait: Wait) -> Patience {
            Patience(wait)
        }

        pub(crate) fn deaf() -> Patience {
            Patience(Wait::Forever)
        }

        pub(crate) fn is_never(&self) -> bool {
            self.0.is_never()
        }

        pub(crate) fn until(&self) -> Deadline {
            self.0.deadline(&SystemClock)
        }
    }
}

pub(crate) mod robust {
    use super::patience::Patience;
    use loom::sync::Mutex;
    use procbox_core::Result;
    use procbox_models::victim::point;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::PoisonError;

    /// A lock, and whether its last holder has died with it.
    #[derive(Debug)]
    pub(crate) struct RobustLock(Mutex<bool>);

    impl Default for RobustLock {
        fn default() -> RobustLock {
            RobustLock(Mutex::new(false))
        }
    }

    impl RobustLock {
        pub(crate) fn hold<R>(
            &self,
            _: &Patience,
            work: impl FnOnce(bool) -> Result<R>,
        ) -> Result<R> {
            point();
            let mut died = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let owner_died = std::mem::replace(&mut *died, false);
            let done = catch_unwind(AssertUnwindSafe(|| {
                let done = work(owner_died);
                point();
                done
            }));
            *died = match &done {
                Ok(done) => owner_died && done.is_err(),
                Err(_) => true,
            };
            // Before the stack is unwound further: that would poison it.
            drop(died);
            done.unwrap_or_else(|killed| resume_unwind(killed))
        }

        /// The caller is the only one left who wants it, or waits for who has it.
        pub(crate) fn try_hold<R>(
            &self,
            work: impl FnOnce(bool) -> Result<R>,
        ) -> Result<Option<R>> {
            self.hold(&Patience::deaf(), work).map(Some)
        }

        pub(crate) fn wake_all(&self) {}
    }
}
