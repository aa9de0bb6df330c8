//! A tree's share of the CPUs, and a process's seat in it: what the runtime knows of either.

use super::lane::Lane;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The weight of a tree that nobody has given another.
pub(crate) const WEIGHT: u32 = 100;

/// The share of one tree: trees that have something to run get CPU time in proportion to their
/// weights, however many processes each has.
pub(crate) struct Share {
    weight: u32,
    /// The CPU time that its processes have had, in nanoseconds of a tree of the usual weight: a
    /// tree of twice that uses half as much of it for the same work.
    used: AtomicU64,
    /// Those of its tasks that can go on. Touched under the run queue's lock only.
    pub(super) lane: Mutex<Lane>,
}

impl Share {
    pub(crate) fn new(weight: u32) -> Arc<Share> {
        let weight = weight.max(1);
        Arc::new(Share { weight, used: AtomicU64::new(0), lane: Mutex::default() })
    }

    /// What it has used so far.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Notes that one of its processes has run for so long.
    pub(super) fn charge(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let weighed = nanos.saturating_mul(WEIGHT.into()) / u64::from(self.weight);
        self.used.fetch_add(weighed, Ordering::Relaxed);
    }

    /// Counts it as having used so much at least: what it did not use while it had nothing to do is
    /// not saved up.
    pub(super) fn catch_up(&self, used: u64) {
        self.used.fetch_max(used, Ordering::Relaxed);
    }
}

/// The seat of one process: whose it is, and where its task waits.
pub(crate) struct Seat {
    pub(super) pid: u32,
    pub(super) share: Arc<Share>,
    /// It is to end, and goes before all that are not.
    doomed: AtomicBool,
    /// Where in its tree's lane its task is; [`Seat::NOWHERE`] if it is not. Written under the run
    /// queue's lock.
    place: AtomicU64,
}

impl Seat {
    const NOWHERE: u64 = u64::MAX;

    pub(crate) fn new(pid: u32, share: Arc<Share>) -> Arc<Seat> {
        let place = AtomicU64::new(Seat::NOWHERE);
        Arc::new(Seat { pid, share, doomed: AtomicBool::new(false), place })
    }

    pub(super) fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::Acquire)
    }

    pub(super) fn doom(&self) {
        self.doomed.store(true, Ordering::Release);
    }

    /// Notes where its task waits now.
    pub(super) fn put(&self, place: u64) {
        self.place.store(place, Ordering::Relaxed);
    }

    /// Where its task waits, if it does; it is about to leave.
    pub(super) fn leave(&self) -> Option<u64> {
        let place = self.place.swap(Seat::NOWHERE, Ordering::Relaxed);
        (place != Seat::NOWHERE).then_some(place)
    }
}
