//! Limits of a sandbox's processes, and the room that there is for more of them.

use procbox_core::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmtime::{StoreLimits, StoreLimitsBuilder};

/// The most handles that one process may have.
pub(crate) const HANDLES: u32 = procbox_abi::max::HANDLES;

/// Limits of each process of a sandbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of linear memory.
    pub(crate) memory: usize,
    /// Fuel; `None` if it is not counted.
    pub(crate) fuel: Option<u64>,
}

impl Limits {
    /// The limiter that holds one process's store to them.
    pub(crate) fn of_store(&self) -> StoreLimits {
        StoreLimitsBuilder::new().memory_size(self.memory).build()
    }
}

/// Room for processes: how many live now, and how many may.
pub(crate) struct Room {
    taken: Arc<AtomicUsize>,
    most: usize,
}

impl Room {
    pub(crate) fn new(most: usize) -> Room {
        Room { taken: Arc::default(), most }
    }

    /// A place for one more.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub(crate) fn take(&self) -> Result<Place> {
        let most = self.most;
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |n| (n < most).then_some(n + 1))
            .map(|_| Place(self.taken.clone()))
            .map_err(|_| Error::Exhausted(format!("room for more than {most} sandboxed processes")))
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }
}

/// The place of a live process: it has it for as long as its store is there.
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
