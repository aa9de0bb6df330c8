//! What robust locks stand on: atomics, futexes, the thread's list of held locks, and the kernel.

#[path = "../../../../native/src/sync/robust.rs"]
pub(crate) mod robust;

pub(crate) mod atomic {
    use loom::sync::atomic::AtomicU32 as Word;
    pub(crate) use loom::sync::atomic::Ordering;
    use procbox_models::victim::{is_dead, point};
    use std::sync::atomic::AtomicUsize as Own;

    /// A word of shared memory.
    #[derive(Debug, Default)]
    pub(crate) struct AtomicU32(Word);

    impl AtomicU32 {
        pub(crate) fn load(&self, order: Ordering) -> u32 {
            point();
            if is_dead() { 0 } else { self.0.load(order) }
        }

        pub(crate) fn swap(&self, value: u32, order: Ordering) -> u32 {
            point();
            if is_dead() { 0 } else { self.0.swap(value, order) }
        }

        pub(crate) fn compare_exchange(
            &self,
            from: u32,
            to: u32,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u32, u32> {
            point();
            if is_dead() { Ok(from) } else { self.0.compare_exchange(from, to, success, failure) }
        }

        /// As the kernel looks at it.
        pub(super) fn in_kernel(&self) -> &Word {
            &self.0
        }
    }

    /// A link of a thread's list of locks: its own thread's alone, and the kernel's at its end.
    #[derive(Debug, Default)]
    pub(crate) struct AtomicUsize(Own);

    impl AtomicUsize {
        pub(crate) fn load(&self, order: Ordering) -> usize {
            self.0.load(order)
        }

        /// Writes it, without a step.
        pub(super) fn set(&self, value: usize) {
            self.0.store(value, Ordering::Relaxed);
        }

        pub(crate) fn store(&self, value: usize, order: Ordering) {
            point();
            if !is_dead() {
                self.0.store(value, order);
            }
        }
    }
}

pub(crate) mod thread {
    use super::atomic::{AtomicUsize, Ordering};
    use loom::thread::{ThreadId, current};
    use std::cell::RefCell;

    pub(crate) struct Head {
        pub(super) list: AtomicUsize,
        pub(super) pending: AtomicUsize,
    }

    /// With the `prev` that glibc has in front.
    #[repr(C)]
    struct OwnHead {
        prev: AtomicUsize,
        head: Head,
    }

    type Known = Vec<(ThreadId, u32, &'static Head)>;

    thread_local! {
        static KNOWN: RefCell<Known> = const { RefCell::new(Vec::new()) };
    }

    /// The threads of the run before are no more.
    pub(crate) fn forget_all() {
        KNOWN.take();
    }

    pub(super) fn me() -> (u32, &'static Head) {
        KNOWN.with_borrow_mut(|known| {
            let id = current().id();
            if let Some((_, tid, head)) = known.iter().find(|(known, ..)| *known == id) {
                return (*tid, *head);
            }
            let own: &OwnHead = Box::leak(Box::new(OwnHead {
                prev: AtomicUsize::default(),
                head: Head { list: AtomicUsize::default(), pending: AtomicUsize::default() },
            }));
            let _ = &own.prev;
            let head = &own.head;
            head.list.set(std::ptr::from_ref(head).expose_provenance());
            let tid = known.len() as u32 + 1;
            known.push((id, tid, head));
            (tid, head)
        })
    }

    /// A lock's word, by its entry in a list.
    fn word(entry: usize) -> &'static super::atomic::AtomicU32 {
        let address = entry.wrapping_add_signed(super::robust::WORD_FROM_ENTRY);
        // SAFETY: an entry is one of a lock that is alive, since threads are joined before that goes.
        unsafe { &*std::ptr::with_exposed_provenance(address) }
    }

    /// What the kernel does for a thread that has ended (`exit_robust_list` of Linux's futex/core.c).
    pub(crate) fn ended() {
        let (tid, head) = me();
        let pending = head.pending.load(Ordering::Relaxed);
        let mut entry = head.list.load(Ordering::Relaxed);
        while entry != std::ptr::from_ref(head).addr() {
            // SAFETY: an entry is the address of a lock's `next`; the lock is alive, as above.
            let next: &AtomicUsize = unsafe { &*std::ptr::with_exposed_provenance(entry) };
            let next = next.load(Ordering::Relaxed);
            if entry != pending {
                of_the_dead(word(entry), tid, false);
            }
            entry = next;
        }
        if pending != 0 {
            of_the_dead(word(pending), tid, true);
        }
    }

    /// One lock of the dead (`handle_futex_death`).
    fn of_the_dead(word: &super::atomic::AtomicU32, tid: u32, is_pending: bool) {
        use nix::libc::{FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS};
        let raw = word.in_kernel();
        loop {
            let value = raw.load(Ordering::SeqCst);
            if is_pending && value == 0 {
                return super::futex::wake(word, 1);
            }
            if value & FUTEX_TID_MASK != tid {
                return;
            }
            let dead = value & FUTEX_WAITERS | FUTEX_OWNER_DIED;
            if raw.compare_exchange(value, dead, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                if value & FUTEX_WAITERS != 0 {
                    super::futex::wake(word, 1);
                }
                return;
            }
        }
    }
}

pub(crate) mod futex {
    use super::atomic::{AtomicU32, Ordering};
    use loom::sync::{Condvar, Mutex};
    use procbox_core::time::Deadline;
    use procbox_models::victim::{is_dead, point};

    pub(crate) enum Woke {
        Look,
        #[allow(dead_code, reason = "no wait of the models runs out")]
        TimedOut,
        #[allow(dead_code, reason = "nor is it interrupted")]
        Interrupted,
    }

    /// Those who sleep, by the word's address, and whether they were woken.
    #[derive(Default)]
    struct Bucket {
        asleep: Vec<(usize, u32, bool)>,
        tickets: u32,
    }

    loom::lazy_static! {
        static ref BUCKET: Mutex<Bucket> = Mutex::new(Bucket::default());
        static ref WOKEN: Condvar = Condvar::new();
    }

    fn key(word: &AtomicU32) -> usize {
        std::ptr::from_ref(word).addr()
    }

    pub(crate) fn wake(word: &AtomicU32, most: i32) {
        point();
        if is_dead() {
            return;
        }
        let mut bucket = BUCKET.lock().unwrap();
        let of_it = bucket.asleep.iter_mut().filter(|(of, _, woken)| *of == key(word) && !woken);
        of_it.take(most as usize).for_each(|(_, _, woken)| *woken = true);
        drop(bucket);
        WOKEN.notify_all();
    }

    pub(crate) fn wake_all(word: &AtomicU32) {
        wake(word, i32::MAX);
    }

    pub(crate) fn wait(word: &AtomicU32, expected: u32, _: Deadline) -> Woke {
        sleep(word, expected)
    }

    pub(crate) fn wait_many(_: &[(&AtomicU32, u32)], _: Deadline) -> Woke {
        unreachable!("nobody watches for deadlocks");
    }

    pub(super) fn sleep(word: &AtomicU32, expected: u32) -> Woke {
        point();
        if is_dead() {
            return Woke::TimedOut;
        }
        let mut bucket = BUCKET.lock().unwrap();
        if word.in_kernel().load(Ordering::SeqCst) == expected {
            bucket.tickets += 1;
            let ticket = bucket.tickets;
            bucket.asleep.push((key(word), ticket, false));
            while !bucket.asleep.iter().any(|(_, of, woken)| *of == ticket && *woken) {
                bucket = WOKEN.wait(bucket).unwrap();
            }
            bucket.asleep.retain(|(_, of, _)| *of != ticket);
        }
        drop(bucket);
        Woke::Look
    }
}

pub(crate) mod patience {
    use super::atomic::AtomicU32;
    use super::futex::{Woke, sleep};

    /// That of one who waits as long as it takes.
    pub(crate) struct Patience;

    impl Patience {
        pub(super) fn wait(&self, word: &AtomicU32, expected: u32) -> Woke {
            sleep(word, expected)
        }
    }
}
