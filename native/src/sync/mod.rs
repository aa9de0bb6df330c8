//! Waiting and locking between processes: futexes, robust locks, and how long to spin first.

pub(crate) mod futex;
pub(crate) mod guarded;
pub(crate) mod interrupted;
pub(crate) mod patience;
pub(crate) mod poll;
pub(crate) mod robust;
pub(crate) mod signal;
pub(crate) mod thread;
pub(crate) mod wakers;

pub(crate) mod atomic {
    //! The atomics of shared memory; its models have others instead.
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
}

use procbox_core::time::{Clock, SystemClock};
use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;

/// The longest that a thread spins before it sleeps. A wake across cores costs 25 to 50 us on the
/// machine that the design was measured on: spinning about as long at most doubles a wait.
pub(crate) const MOST_SPIN: Duration = Duration::from_micros(50);
const LEAST_SPIN: Duration = Duration::from_micros(2);

thread_local! {
    /// Time that this thread spins next: doubled when spinning helped, halved when it did not, so
    /// that an idle pool of workers does not burn the CPUs that the busy ones need.
    static SPIN: Cell<Duration> = const { Cell::new(MOST_SPIN) };
}

/// Like [`spin`], for who waits for what several processes do: it yields, since with fewer CPUs than processes
/// one of these may be waiting for this one's.
pub(crate) fn spin_yielding(done: impl Fn() -> bool) -> bool {
    spin(|| {
        let is_done = done();
        if !is_done {
            std::thread::yield_now();
        }
        is_done || done()
    })
}

/// Spins until `done`, for a short while; says whether it came true.
pub(crate) fn spin(done: impl Fn() -> bool) -> bool {
    static CPUS: OnceLock<usize> = OnceLock::new();
    if *CPUS.get_or_init(|| std::thread::available_parallelism().map_or(1, |n| n.get())) == 1 {
        return done();
    }
    let most = SPIN.get();
    let begin = SystemClock.now();
    loop {
        for _ in 0..50 {
            if done() {
                SPIN.set((most * 2).min(MOST_SPIN));
                return true;
            }
            std::hint::spin_loop();
        }
        if begin.elapsed() > most {
            SPIN.set((most / 2).max(LEAST_SPIN));
            return false;
        }
    }
}
