//! Fuel: what a guest's own instructions take, and what the host's work for it does.
//!
//! wasmtime counts the instructions, about a unit each. Here every call of the host has a price, and
//! so have the bytes that it moves: else a loop of calls would be next to free. It is paid when the
//! call returns; what can take long (random bytes) pays in pieces.

use crate::state::State;
use crate::tree::Tree;
use std::cell::Cell;
use std::sync::Arc;
use wasmtime::{AsContextMut, CallHook, Store, Trap};

/// The price of a call of the host, whatever it does.
const CALL: u64 = 50;
/// That of one of WASI besides: most of them ask the system.
const WASI_CALL: u64 = 1_000;
/// That of starting a process.
const START: u64 = 10_000;
/// That of a handle that travels, or of a thing that is waited for.
const HANDLE: u64 = 20;
/// How many bytes go for a unit.
const BYTES: u64 = 8;

/// What the host has done for a guest in the call that is under way, in units of fuel.
#[derive(Default)]
pub(crate) struct Work(Cell<u64>);

impl Work {
    #[inline]
    fn add(&self, units: u64) {
        self.0.set(self.0.get().saturating_add(units));
    }

    /// It has done so much else.
    pub(crate) fn units(&self, n: u64) {
        self.add(n);
    }

    /// It has moved bytes.
    #[inline]
    pub(crate) fn bytes(&self, n: usize) {
        self.add(n as u64 / BYTES);
    }

    /// It has gone through a list of buffers, of eight bytes each.
    pub(crate) fn buffers(&self, n: u32) {
        self.add(n.into());
    }

    /// It has gone through handles, or through things that are waited for.
    #[inline]
    pub(crate) fn handles(&self, n: usize) {
        self.add(n as u64 * HANDLE);
    }

    /// It has started a process.
    pub(crate) fn start(&self) {
        self.add(START);
    }

    /// It was a call of WASI.
    pub(crate) fn wasi(&self) {
        self.add(WASI_CALL);
    }
}

/// Has a guest whose fuel is limited pay for the host's work.
pub(crate) fn charge_host_calls(store: &mut Store<State>) {
    store.call_hook(|mut store, transition| match transition {
        CallHook::ReturningFromHost => {
            let work = store.data().work.0.take();
            take(&mut store, work.saturating_add(CALL))
        }
        _ => Ok(()),
    });
}

/// Takes fuel for bytes that the host makes, if fuel is counted.
///
/// # Errors
/// The trap of a guest that is out of it.
pub(crate) fn pay_for_bytes(store: impl AsContextMut, n: usize) -> wasmtime::Result<()> {
    take(store, n as u64 / BYTES)
}

fn take(mut store: impl AsContextMut, units: u64) -> wasmtime::Result<()> {
    if units == 0 {
        return Ok(());
    }
    let mut store = store.as_context_mut();
    let Ok(left) = store.get_fuel() else { return Ok(()) };
    store.set_fuel(left.saturating_sub(units))?;
    if left < units { Err(Trap::OutOfFuel.into()) } else { Ok(()) }
}

/// The fuel that a process was given by its tree. What is left of it goes back when this is dropped.
///
/// What a process has used is known only if it returns or exits: where it traps, or is ended in the
/// middle, a loop's last units are in no place that can be read. Such a process has used all of it.
pub(crate) struct Given {
    tree: Arc<Tree>,
    units: Option<u64>,
    left: u64,
}

impl Given {
    /// So much, which the tree has handed out; `None` if fuel is not counted.
    pub(crate) fn new(tree: Arc<Tree>, units: Option<u64>) -> Given {
        Given { tree, units, left: units.unwrap_or(0) }
    }

    /// The process begins: how much it has.
    pub(crate) fn begin(&mut self) -> Option<u64> {
        self.left = 0;
        self.units
    }

    /// The process has returned or exited, and has so much left.
    pub(crate) fn settle(&mut self, left: u64) {
        if let Some(units) = self.units {
            self.left = left.min(units);
        }
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        if let Some(units) = self.units {
            self.tree.give_fuel(self.left, units - self.left);
        }
    }
}
