//! `random_get`: random bytes for a WASI guest.
//!
//! Written here because wasmtime-wasi takes them from a generator that cannot fail, and the
//! runtime's source can: then the guest is told. Many of them are made in pieces, between which the
//! guest gives its thread back, and cost fuel as if the guest had made them.

use crate::fuel::pay_for_bytes;
use crate::guest::core_module::Memory;
use crate::state::State;
use std::future::poll_fn;
use std::task::Poll;
use wasmtime::{Caller, Linker};

/// The most bytes in one call, as in wasmtime-wasi.
pub(super) const MOST: u32 = 64 << 20;
/// The most at once: a fraction of a millisecond.
pub(super) const PIECE: usize = 64 << 10;

const SUCCESS: i32 = 0;
const EFAULT: i32 = 21;
const EINVAL: i32 = 28;
const EIO: i32 = 29;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        "wasi_snapshot_preview1",
        "random_get",
        |mut caller: Caller<'_, State>, (at, len): (u32, u32)| {
            Box::new(async move { random_get(&mut caller, at as usize, len).await })
        },
    )?;
    Ok(())
}

async fn random_get(caller: &mut Caller<'_, State>, at: usize, len: u32) -> wasmtime::Result<i32> {
    if len > MOST {
        return Ok(EINVAL);
    }
    let (memory, state) = Memory::of(caller);
    state.work.wasi();
    if memory.get(at, len as usize).is_none() {
        return Ok(EFAULT);
    }
    let end = at + len as usize;
    for from in (at..end).step_by(PIECE) {
        if from > at {
            give_way().await;
        }
        let many = PIECE.min(end - from);
        pay_for_bytes(&mut *caller, many)?;
        let (mut memory, state) = Memory::of(caller);
        let Some(bytes) = memory.get_mut(from, many) else { return Ok(EFAULT) };
        if state.process.runtime.random().fill(bytes).is_err() {
            return Ok(EIO);
        }
    }
    Ok(SUCCESS)
}

/// Has others go on, and whoever wants to end this process.
pub(super) async fn give_way() {
    let mut given = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
