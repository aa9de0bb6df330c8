//! The wasmtime engine of a sandbox: how its pool of instances lies in memory, and what a guest may
//! import. How its programs are compiled is in `compile`.

use crate::compile::Settings;
use crate::guest::{self, core_module};
use crate::limits::{Limits, SEVERAL, TABLE_ELEMENTS};
use crate::state::State;
use crate::wasi;
use procbox_core::{Error, Result};
use std::num::NonZeroUsize;
use wasmtime::{
    Enabled, Engine, InstanceAllocationStrategy, Linker, PoolingAllocationConfig, component,
};

/// Address space per instance up to which 32-bit indices need no bounds check.
const RESERVATION: u64 = 4 << 30;
/// Up to this many memories may reserve that much each of the 47 bits there are.
const MOST_FULL_RESERVATIONS: usize = 20_000;
/// Address space for all of them, memories and garbage-collected heaps.
const ADDRESS_SPACE: u64 = MOST_FULL_RESERVATIONS as u64 * RESERVATION;
/// What host calls need of a process's stack, on top of what its WebAssembly code may have.
const HOST_STACK: usize = 512 << 10;
/// Core modules that a component is made of, instantiated: an interpreter with its libraries has dozens.
const MODULES: u32 = 128;
/// The tables that a process may have: those of a component's modules, and a few that join these.
const TABLES: u32 = 16;
/// Freed instances that keep their memory for the next ones.
const WARM_SLOTS: u32 = 256;
/// Bytes of a freed instance that are cleared in place rather than given back to the system: a
/// page fault costs more than clearing a page.
const KEEP_RESIDENT: usize = 4 << 20;
/// The same where all of them have to be cleared, written or not.
const KEEP_RESIDENT_BLIND: usize = 64 << 10;
/// The same of a freed stack.
const KEEP_RESIDENT_STACK: usize = 16 << 10;
/// The innermost calls that are said of a process that traps.
const FRAMES: usize = 16;
/// The granularity of reservations: a page of WebAssembly.
const PAGE: u64 = 64 << 10;

/// What a pool has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) processes: usize,
    /// How many of them may have a heap of garbage-collected values.
    pub(crate) heaps: usize,
    /// Whether each of them may have a second memory.
    pub(crate) has_seconds: bool,
}

/// How programs are compiled for so many processes at once; for a simulation nothing is left to the
/// machine.
pub(crate) fn settings(limits: &Limits, processes: usize, simulated: bool) -> Settings {
    let reservation = reservation(limits, processes);
    Settings { fuel: limits.fuel.is_some(), simulated, reservation }
}

/// An engine with a pool for so many processes.
///
/// # Errors
/// [`Error::Os`] if the address space cannot be reserved.
pub(crate) fn engine(limits: &Limits, size: Size, settings: Settings) -> Result<Engine> {
    let mut config = settings.config();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits, size, settings)))
        .max_wasm_stack(limits.stack)
        .async_stack_size(limits.stack.saturating_add(HOST_STACK))
        .wasm_backtrace_max_frames(NonZeroUsize::new(FRAMES));
    // Where RUST_BACKTRACE is set each error would have the stack of this program, which says nothing of the
    // guest's; and that a process exits is an error to wasmtime. The guest's calls are kept all the same.
    wasmtime::error::disable_backtrace();
    Engine::new(&config).map_err(|e| Error::os("sandbox", format!("{e:#}")))
}

/// Address space for the memory of each process.
fn reservation(limits: &Limits, processes: usize) -> u64 {
    if processes <= MOST_FULL_RESERVATIONS {
        return RESERVATION;
    }
    (limits.memory as u64).next_multiple_of(PAGE).min(RESERVATION)
}

/// Heaps for garbage-collected values, of which a process has at most one: as many as there is room for
/// beside the memories, and one for each up to half of [`MOST_FULL_RESERVATIONS`].
pub(crate) fn heaps(limits: &Limits, processes: usize) -> usize {
    let slots = ADDRESS_SPACE / reservation(limits, processes);
    usize::try_from(slots).unwrap_or(usize::MAX).saturating_sub(processes).min(processes)
}

/// Whether there is room for a second memory of each process, beside heaps.
pub(crate) fn has_seconds(limits: &Limits, processes: usize) -> bool {
    let slots = ADDRESS_SPACE / reservation(limits, processes);
    processes.saturating_mul(3) as u64 <= slots
}

/// The pool that instances and stacks come from.
fn pool(limits: &Limits, size: Size, settings: Settings) -> PoolingAllocationConfig {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (most, heaps) = (number(size.processes), number(size.heaps));
    // One that has more of them is alone in a pool that has fewer places.
    let (several, besides) = (number(SEVERAL), number(SEVERAL - 1));
    let seconds = if size.has_seconds { most } else { 0 };
    // Where the kernel says which pages were written (PAGEMAP_SCAN, Linux 6.7), only those are
    // cleared. Elsewhere all would be, the unused megabyte of stack too: less is kept.
    let scans = PoolingAllocationConfig::is_pagemap_scan_available();
    let keep = if scans { KEEP_RESIDENT } else { KEEP_RESIDENT_BLIND };
    // All that are kept together are no more than half of what one tree may have.
    let keep = keep.min(limits.tree.memory.unwrap_or(usize::MAX) / 2 / WARM_SLOTS as usize);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(most)
        .total_core_instances(most.saturating_mul(MODULES))
        .max_core_instances_per_component(MODULES)
        .max_tables_per_component(TABLES)
        .max_memories_per_component(several)
        // A heap is in a memory's place, so that no process keeps another from a memory by having one.
        .total_memories(most.saturating_add(heaps).saturating_add(besides).saturating_add(seconds))
        .total_gc_heaps(heaps)
        .total_tables(most.saturating_mul(TABLES))
        .max_memories_per_module(several)
        .max_tables_per_module(several)
        .total_stacks(most)
        .max_memory_size(limits.memory.min(settings.reservation as usize))
        .table_elements(TABLE_ELEMENTS)
        .max_unused_warm_slots(WARM_SLOTS)
        .linear_memory_keep_resident(keep)
        .table_keep_resident(keep)
        .pagemap_scan(Enabled::Auto)
        .async_stack_keep_resident(KEEP_RESIDENT_STACK);
    pool
}

/// All that a guest may import.
///
/// # Errors
/// [`Error::Os`], which does not happen unless two functions have one name.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    core_module::link(&mut linker)
        .and_then(|()| wasi::link(&mut linker))
        .map_err(|e| Error::os("link", format!("{e:#}")))?;
    Ok(linker)
}

/// All that a component may import.
///
/// # Errors
/// [`Error::Os`], which does not happen unless two interfaces have one name.
pub(crate) fn component_linker(engine: &Engine) -> Result<component::Linker<State>> {
    let mut linker = component::Linker::new(engine);
    guest::component::link(&mut linker)
        .and_then(|()| wasi::p2::link(&mut linker))
        .map_err(|e| Error::os("link", format!("{e:#}")))?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_heap_for_each_process_as_far_as_there_is_room() {
        let limits =
            |memory| Limits { memory, stack: 512 << 10, tree: Default::default(), fuel: None };
        for (memory, processes, due) in [
            (1 << 30, 1, 1),
            (1 << 30, 10_000, 10_000),
            (1 << 30, 15_000, 5_000),
            (1 << 30, 20_000, 0),
            (64 << 20, 100_000, 100_000),
            (1 << 30, 100_000, 0),
        ] {
            assert_eq!(heaps(&limits(memory), processes), due, "{processes} of {memory}");
        }
    }
}
