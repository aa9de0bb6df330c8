//! `proc_exit`: how a WASI guest ends with a code.
//!
//! Written here because wasmtime-wasi refuses codes of 126 and above, which a native process may
//! exit with.

use crate::state::State;
use wasmtime::Linker;
use wasmtime_wasi::I32Exit;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "wasi_snapshot_preview1",
        "proc_exit",
        |code: i32| -> wasmtime::Result<()> { Err(I32Exit(code).into()) },
    )?;
    Ok(())
}
