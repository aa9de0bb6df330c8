//! What a tree of processes may do with files: how many it has open, how many it makes, and how much
//! it writes. Each is counted before it is done, and refused at the limit.
//!
//! A process's descriptors are files and directories, but for those of its stdio, which are none of
//! the host's and are known by number: what is printed has a limit of its own.

use super::files::both;
use crate::guest::core_module::Memory;
use crate::state::{NONE, State};
use wasmtime::{Caller, Linker};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{
    fd_close, fd_filestat_set_size, fd_pwrite, fd_renumber, fd_write, path_create_directory,
    path_link,
};

const MODULE: &str = "wasi_snapshot_preview1";

pub(super) const EDQUOT: i32 = 19;
pub(super) const EMFILE: i32 = 33;
const EINVAL: i32 = 28;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "fd_write",
        |mut caller: Caller<'_, State>, (fd, at, n, out): (i32, i32, i32, i32)| {
            Box::new(async move {
                let Some(len) = reserve(&mut caller, fd, at, n) else { return Ok(EDQUOT) };
                let (wasi, mut memory) = both(&mut caller);
                let answer = fd_write(wasi, &mut memory, fd, at, n, out).await?;
                settle(&mut caller, len, answer, (n, out));
                Ok(answer)
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_pwrite",
        |mut caller: Caller<'_, State>, (fd, at, n, to, out): (i32, i32, i32, i64, i32)| {
            Box::new(async move {
                let Some(len) = reserve(&mut caller, fd, at, n) else { return Ok(EDQUOT) };
                let (wasi, mut memory) = both(&mut caller);
                let answer = fd_pwrite(wasi, &mut memory, fd, at, n, to, out).await?;
                settle(&mut caller, len, answer, (n, out));
                Ok(answer)
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_filestat_set_size",
        |mut caller: Caller<'_, State>, (fd, size): (i32, i64)| {
            Box::new(async move {
                let is_too_long = size.cast_unsigned() > caller.data().process.tree.most_written();
                let (wasi, mut memory) = both(&mut caller);
                // No file can have that many bytes, so this only says whether it is a file to write to.
                let size = if is_too_long { -1 } else { size };
                let answer = fd_filestat_set_size(wasi, &mut memory, fd, size).await?;
                Ok(if is_too_long && answer == EINVAL { EDQUOT } else { answer })
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_close",
        |mut caller: Caller<'_, State>, (fd,): (i32,)| {
            Box::new(async move {
                let (wasi, mut memory) = both(&mut caller);
                let answer = fd_close(wasi, &mut memory, fd).await?;
                if answer == 0 {
                    closed(caller.data_mut(), fd);
                }
                Ok(answer)
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "fd_renumber",
        |mut caller: Caller<'_, State>, (from, to): (i32, i32)| {
            Box::new(async move {
                let (wasi, mut memory) = both(&mut caller);
                let answer = fd_renumber(wasi, &mut memory, from, to).await?;
                if answer == 0 && from != to {
                    let state = caller.data_mut();
                    closed(state, to);
                    state.stdio.iter_mut().filter(|own| **own == from).for_each(|own| *own = to);
                }
                Ok(answer)
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "path_create_directory",
        |mut caller: Caller<'_, State>, (dir, at, len): (i32, i32, i32)| {
            Box::new(async move {
                if !caller.data().process.tree.create() {
                    return Ok(EDQUOT);
                }
                let (wasi, mut memory) = both(&mut caller);
                path_create_directory(wasi, &mut memory, dir, at, len).await
            })
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "path_link",
        |mut caller: Caller<'_, State>,
         (from, flags, at, len, dir, to, to_len): (i32, i32, i32, i32, i32, i32, i32)| {
            Box::new(async move {
                if !caller.data().process.tree.create() {
                    return Ok(EDQUOT);
                }
                let (wasi, mut memory) = both(&mut caller);
                path_link(wasi, &mut memory, from, flags, at, len, dir, to, to_len).await
            })
        },
    )?;
    Ok(())
}

/// A descriptor is one no more.
fn closed(state: &mut State, fd: i32) {
    match state.stdio.iter().position(|own| *own == fd) {
        Some(at) => state.stdio[at] = NONE,
        None => state.member.close_file(),
    }
}

/// Counts what a write to a file may write: the first of its buffers that is not empty. `None` if
/// that is too much.
fn reserve(caller: &mut Caller<'_, State>, fd: i32, at: i32, n: i32) -> Option<u32> {
    let (memory, state) = Memory::of(caller);
    if state.stdio.contains(&fd) {
        return Some(0);
    }
    let (at, n) = (at.cast_unsigned() as usize, n.cast_unsigned() as usize);
    // What is not inside is refused by the call itself.
    let buffers = n.checked_mul(8).and_then(|len| memory.get(at, len)).unwrap_or_default();
    let (buffers, _) = buffers.as_chunks::<8>();
    let lengths = buffers.iter().map(|b| u32::from_le_bytes([b[4], b[5], b[6], b[7]]));
    let len = lengths.into_iter().find(|len| *len > 0).unwrap_or(0);
    state.process.tree.write(len.into()).then_some(len)
}

/// Takes back what was counted and not written; what was written costs fuel.
fn settle(caller: &mut Caller<'_, State>, counted: u32, answer: i32, (n, out): (i32, i32)) {
    let (memory, state) = Memory::of(caller);
    let told = memory.get(out.cast_unsigned() as usize, 4).filter(|_| answer == 0);
    let written = told.and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    state.work.buffers(n.cast_unsigned());
    state.work.bytes(written as usize);
    state.process.tree.unwrite(counted.saturating_sub(written).into());
}
