//! What a guest reads: from stdin, files and directories. It is counted once it was read: that makes
//! up what its tree has used, and costs fuel.

use super::files::both;
use crate::guest::core_module::Memory;
use crate::state::State;
use wasmtime::{Caller, Linker};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{fd_pread, fd_read, fd_readdir};

const MODULE: &str = "wasi_snapshot_preview1";

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "fd_read",
        |mut caller: Caller<'_, State>, (fd, at, n, out): (i32, i32, i32, i32)| {
            Box::new(async move {
                let (wasi, mut memory) = both(&mut caller);
                let answer = fd_read(wasi, &mut memory, fd, at, n, out).await?;
                caller.data().work.buffers(n.cast_unsigned());
                count(&mut caller, answer, out);
                Ok(answer)
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_pread",
        |mut caller: Caller<'_, State>, (fd, at, n, from, out): (i32, i32, i32, i64, i32)| {
            Box::new(async move {
                let (wasi, mut memory) = both(&mut caller);
                let answer = fd_pread(wasi, &mut memory, fd, at, n, from, out).await?;
                caller.data().work.buffers(n.cast_unsigned());
                count(&mut caller, answer, out);
                Ok(answer)
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_readdir",
        |mut caller: Caller<'_, State>, (fd, at, len, from, out): (i32, i32, i32, i64, i32)| {
            Box::new(async move {
                let (wasi, mut memory) = both(&mut caller);
                let answer = fd_readdir(wasi, &mut memory, fd, at, len, from, out).await?;
                count(&mut caller, answer, out);
                Ok(answer)
            })
        },
    )?;
    Ok(())
}

/// Counts what a call has read: it has written that to `out`, if it has.
fn count(caller: &mut Caller<'_, State>, answer: i32, out: i32) {
    let (memory, state) = Memory::of(caller);
    let told = memory.get(out.cast_unsigned() as usize, 4).filter(|_| answer == 0);
    let read = told.and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    state.work.bytes(read as usize);
    state.process.tree.read(read.into());
}
