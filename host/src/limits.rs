//! Limits of a sandbox's processes.

use crate::account::Account;
use crate::tree_limits::TreeLimits;
use std::sync::Arc;
use wasmtime::ResourceLimiter;

/// The most handles that one process may have.
pub(crate) const HANDLES: u32 = procbox_abi::max::HANDLES;

/// Limits of each process of a sandbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of linear memories, of all together.
    pub(crate) memory: usize,
    /// Bytes of stack for WebAssembly code.
    pub(crate) stack: usize,
    /// Those of a whole tree.
    pub(crate) tree: TreeLimits,
    /// Fuel; `None` if it is not counted.
    pub(crate) fuel: Option<u64>,
}

impl Limits {
    /// The limiter that holds one process's store to them, and its memory to `own` if that is less.
    pub(crate) fn of_store(&self, account: &Arc<Account>, own: Option<usize>) -> MemoryLimit {
        MemoryLimit {
            most: own.map_or(self.memory, |own| own.min(self.memory)),
            memory: 0,
            account: account.clone(),
            taken: 0,
            elements: 0,
            last: Grown::default(),
            refused: false,
        }
    }
}

/// What holds a store to the memory of its process, its linear memories and its heap of
/// garbage-collected values together, to the elements of its tables, and to the memory of its tree.
pub(crate) struct MemoryLimit {
    most: usize,
    /// Bytes of linear memories and heap.
    memory: usize,
    account: Arc<Account>,
    /// Those, and what tables have.
    taken: usize,
    /// Elements of its tables.
    elements: usize,
    last: Grown,
    refused: bool,
}

/// What was taken last: it is given back if it cannot be had from the system.
#[derive(Default)]
struct Grown {
    taken: usize,
    memory: usize,
    elements: usize,
}

/// Memories that a program may have, and tables. A process of one that has several of either takes as many
/// places (see `pools`).
pub(crate) const SEVERAL: usize = 8;
/// Elements of all tables of a process together: functions that can be called by pointer.
pub(crate) const TABLE_ELEMENTS: usize = 100_000;
/// The sum for an element of a table.
const ELEMENT: usize = 16;

impl MemoryLimit {
    /// True if the guest was refused memory.
    pub(crate) fn has_refused(&self) -> bool {
        self.refused
    }

    fn take(&mut self, bytes: usize) -> bool {
        let taken = self.account.take(bytes);
        self.last = Grown { taken: if taken { bytes } else { 0 }, ..Grown::default() };
        self.taken += self.last.taken;
        self.refused |= !taken;
        taken
    }

    fn give_last(&mut self) {
        let last = std::mem::take(&mut self.last);
        self.taken -= last.taken;
        self.memory -= last.memory;
        self.elements -= last.elements;
        self.account.give(last.taken);
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        let more = desired.saturating_sub(current);
        let fits = self.memory.checked_add(more).is_some_and(|memory| memory <= self.most);
        if !fits {
            self.refused = true;
            return Ok(false);
        }
        let taken = self.take(more);
        if taken {
            self.last.memory = more;
            self.memory += more;
        }
        Ok(taken)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.give_last();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let fits = self.elements.checked_add(more).is_some_and(|all| all <= TABLE_ELEMENTS);
        if !fits || maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        let taken = self.take(more * ELEMENT);
        if taken {
            self.last.elements = more;
            self.elements += more;
        }
        Ok(taken)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.give_last();
        Ok(())
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        self.account.give(self.taken);
    }
}
