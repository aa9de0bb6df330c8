//! Loom's locks, and threads whose wakes are kept for as long as they do not sleep.

pub(crate) use loom::sync::{Mutex, MutexGuard};

use std::sync::PoisonError;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) mod thread {
    use super::{Mutex, lock};
    use loom::sync::Condvar;
    use loom::thread::ThreadId;
    use std::cell::RefCell;
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    struct Parker {
        is_woken: Mutex<bool>,
        woken: Condvar,
    }

    #[derive(Clone)]
    pub(crate) struct Thread(Arc<Parker>);

    thread_local! {
        static KNOWN: RefCell<Vec<(ThreadId, Thread)>> = const { RefCell::new(Vec::new()) };
    }

    /// The threads of the run before are no more.
    pub(crate) fn forget_all() {
        KNOWN.take();
    }

    impl Thread {
        fn new() -> Thread {
            Thread(Arc::new(Parker { is_woken: Mutex::new(false), woken: Condvar::new() }))
        }

        pub(crate) fn unpark(&self) {
            *lock(&self.0.is_woken) = true;
            self.0.woken.notify_one();
        }

        /// One for each thread.
        pub(crate) fn id(&self) -> usize {
            Arc::as_ptr(&self.0).addr()
        }
    }

    pub(crate) fn current() -> Thread {
        let id = loom::thread::current().id();
        let known = KNOWN.with_borrow(|known| {
            known.iter().find(|(of, _)| *of == id).map(|(_, thread)| thread.clone())
        });
        known.unwrap_or_else(|| {
            let thread = Thread::new();
            KNOWN.with_borrow_mut(|known| known.push((id, thread.clone())));
            thread
        })
    }

    pub(crate) fn park() {
        let Thread(parker) = current();
        let mut is_woken = lock(&parker.is_woken);
        while !std::mem::replace(&mut *is_woken, false) {
            is_woken =
                parker.woken.wait(is_woken).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Time passes when the others have done what they can.
    pub(crate) fn park_timeout(_: Duration) {
        let Thread(parker) = current();
        if !std::mem::replace(&mut *lock(&parker.is_woken), false) {
            loom::thread::yield_now();
        }
    }

    pub(crate) struct Builder;

    /// A thread that nobody joins.
    pub(crate) struct Started(Thread);

    impl Started {
        pub(crate) fn thread(&self) -> &Thread {
            &self.0
        }
    }

    impl Builder {
        pub(crate) fn new() -> Builder {
            Builder
        }

        pub(crate) fn name(self, _: String) -> Builder {
            self
        }

        pub(crate) fn spawn(self, body: impl FnOnce() + 'static) -> io::Result<Started> {
            let thread = Thread::new();
            let its = thread.clone();
            loom::thread::spawn(move || {
                let id = loom::thread::current().id();
                KNOWN.with_borrow_mut(|known| known.push((id, its)));
                body();
            });
            Ok(Started(thread))
        }
    }
}
