//! A context's or tree's share of the CPUs, and a process's seat in it: what the runtime knows of either.

use super::lane::Lane;
use super::ring::Ring;
use crate::sync::{Mutex, MutexGuard, lock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The weight of a share that nobody has given another.
pub(crate) const WEIGHT: u32 = 100;

/// The share of a context, or of a tree in its context's: those that have something to run get CPU
/// time in proportion to their weights, however many processes each has.
pub(crate) struct Share {
    weight: u32,
    /// That of which this is one.
    parent: Option<Arc<Share>>,
    /// The CPU time that its processes have had, in nanoseconds of a share of the usual weight: one
    /// of twice that uses half as much of it for the same work.
    used: AtomicU64,
    members: Mutex<Members>,
}

/// What of a share can go on.
#[derive(Default)]
pub(super) struct Members {
    /// Tasks, of a tree.
    pub(super) lane: Lane,
    /// Trees with tasks, of a context.
    pub(super) ring: Ring,
    /// It is in the ring that it takes turns in.
    pub(super) has_turn: bool,
}

impl Share {
    /// That of a context.
    pub(crate) fn new(weight: u32) -> Arc<Share> {
        Share::of(None, weight.max(1))
    }

    /// That of a tree, in its context's.
    pub(crate) fn child(self: &Arc<Share>) -> Arc<Share> {
        Share::of(Some(self.clone()), WEIGHT)
    }

    fn of(parent: Option<Arc<Share>>, weight: u32) -> Arc<Share> {
        Arc::new(Share { weight, parent, used: AtomicU64::new(0), members: Mutex::default() })
    }

    /// That of which this is one.
    pub(super) fn parent(&self) -> Option<&Arc<Share>> {
        self.parent.as_ref()
    }

    /// Its members. To be called under the run queue's lock only, so that nobody waits for it.
    pub(super) fn members(&self) -> MutexGuard<'_, Members> {
        lock(&self.members)
    }

    /// What it has used so far.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Notes that one of its processes has run for so long.
    pub(super) fn charge(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mut share = Some(self);
        while let Some(Share { weight, parent, used, .. }) = share {
            // Divided only where it has to be: this is on the way of every message.
            let weighed = match *weight {
                WEIGHT => nanos,
                weight => nanos.saturating_mul(WEIGHT.into()) / u64::from(weight),
            };
            used.fetch_add(weighed, Ordering::Relaxed);
            share = parent.as_deref();
        }
    }

    /// Counts it as having used so much at least.
    pub(super) fn catch_up(&self, used: u64) {
        if self.used() < used {
            self.used.fetch_max(used, Ordering::Relaxed);
        }
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
    /// Beside the lanes, as the only task there.
    pub(super) const ALONE: u64 = u64::MAX - 1;

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
        // Not a swap: nobody else writes meanwhile.
        let place = self.place.load(Ordering::Relaxed);
        self.place.store(Seat::NOWHERE, Ordering::Relaxed);
        (place != Seat::NOWHERE).then_some(place)
    }
}
