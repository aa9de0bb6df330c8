//! Limits of a sandbox's processes, and the room that there is for more of them.

use procbox_core::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmtime::ResourceLimiter;

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
    pub(crate) fn of_store(&self) -> MemoryLimit {
        MemoryLimit { most: self.memory, taken: 0, last: 0 }
    }
}

/// What holds a store to the memory of its process: of its linear memory and of its heap of
/// garbage-collected values together.
pub(crate) struct MemoryLimit {
    most: usize,
    taken: usize,
    /// What was taken last: it is given back if it cannot be had from the system.
    last: usize,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let is_possible = maximum.is_none_or(|most| desired <= most)
            && self.taken.checked_add(more).is_some_and(|taken| taken <= self.most);
        self.last = if is_possible { more } else { 0 };
        self.taken += self.last;
        Ok(is_possible)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.taken -= std::mem::take(&mut self.last);
        Ok(())
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // The pool says how large a table may be.
        Ok(true)
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
