//! `random_get`: random bytes for a WASI guest.
//!
//! Written here because wasmtime-wasi takes them from a generator that cannot fail, and the
//! runtime's source can: then the guest is told.

use crate::guest::core_module::Memory;
use crate::state::State;
use wasmtime::{Caller, Linker};

/// The most bytes in one call, as in wasmtime-wasi: the guest's thread is not given back meanwhile.
const MOST: u32 = 64 << 20;

const SUCCESS: i32 = 0;
const EFAULT: i32 = 21;
const EINVAL: i32 = 28;
const EIO: i32 = 29;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap("wasi_snapshot_preview1", "random_get", random_get)?;
    Ok(())
}

fn random_get(mut caller: Caller<'_, State>, at: u32, len: u32) -> i32 {
    if len > MOST {
        return EINVAL;
    }
    let (mut memory, state) = Memory::of(&mut caller);
    let Some(bytes) = memory.get_mut(at as usize, len as usize) else { return EFAULT };
    match state.process.runtime.random().fill(bytes) {
        Ok(()) => SUCCESS,
        Err(_) => EIO,
    }
}
