//! Processes: starting and watching them, and waiting for several things.

use super::code::{Code, Refusal, Waiting, answer, refuse, wait};
use super::memory::Memory;
use crate::ops;
use crate::state::State;
use procbox_abi as abi;
use procbox_core::raw::Entry;
use procbox_core::{Bytes, ExitStatus, Limit, Wait};
use std::time::Duration;
use wasmtime::Caller;

pub(super) fn start(
    mut caller: Caller<'_, State>,
    start: u32,
    at: u32,
    len: u32,
    handles: u32,
    n: u32,
) -> Code {
    answer(start_described(&mut caller, start, (at, len), (handles, n)))
}

fn start_described(
    caller: &mut Caller<'_, State>,
    start: u32,
    (at, len): (u32, u32),
    (handles, n): (u32, u32),
) -> Result<Code, Refusal> {
    let (memory, state) = Memory::of(caller);
    // Before anything is copied.
    ops::process::check_start(state)?;
    state.work.start();
    let start = read_start(&memory, state, start)?;
    let handles = memory.handles(handles, n)?;
    let arguments = ops::message::pack(state, memory.bytes(at, len)?, n as usize, handles)?;
    Ok(ops::process::start(state, start, arguments)?)
}

/// The structure that says what to start.
fn read_start(memory: &Memory<'_>, state: &State, at: u32) -> Result<ops::process::Start, Refusal> {
    let mut bytes = [0; abi::Start::SIZE];
    bytes[..abi::Start::SHORT].copy_from_slice(memory.array::<{ abi::Start::SHORT }>(at)?);
    // Programs that do not say that they have the rest may be older than it.
    if abi::Start::from_bytes(&bytes).flags & abi::flag::CPU_TIME != 0 {
        bytes = *memory.array(at)?;
    }
    let start = abi::Start::from_bytes(&bytes);
    ops::process::check_texts(start.name_len as usize, start.worker_len as usize)?;
    state.work.bytes(start.name_len as usize + start.worker_len as usize);
    let worker = memory.bytes(start.worker, start.worker_len)?;
    ops::process::check_words(worker.iter().filter(|byte| **byte == 0).count())?;
    let worker = memory.text(start.worker, start.worker_len)?;
    let name = memory.text(start.name, start.name_len)?;
    let entry = match start.kind {
        abi::start::MAIN => Entry::Main(worker.split_terminator('\0').map(Bytes::from).collect()),
        abi::start::CALL => Entry::Call(worker),
        abi::start::SERVE => Entry::Serve(worker),
        _ => return Err(Refusal::INVALID),
    };
    let daemon = start.flags & abi::flag::DAEMON != 0;
    let (timeout, cpu_time) = (limit(start.timeout), limit(start.cpu_time));
    Ok(ops::process::Start { entry, name, daemon, timeout, cpu_time })
}

/// A limit of time in nanoseconds; 0 and below are none.
fn limit(nanos: i64) -> Option<Duration> {
    match Wait::from_nanos(nanos) {
        Wait::AtMost(limit) => Some(limit),
        Wait::Forever | Wait::Never => None,
    }
}

pub(super) fn pid(caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::process::pid(caller.data(), handle))
}

pub(super) fn status(mut caller: Caller<'_, State>, handle: i32, out: u32) -> Code {
    match ops::process::status(caller.data(), handle) {
        Ok(status) => answer(write_status(&mut caller, status, out)),
        Err(e) => refuse(e),
    }
}

pub(super) fn join(
    mut caller: Caller<'_, State>,
    (handle, out, timeout): (i32, u32, i64),
) -> Waiting<'_> {
    Box::new(async move {
        match ops::process::join(caller.data_mut(), handle, wait(timeout)).await {
            Ok(status) => answer(write_status(&mut caller, status, out)),
            Err(e) => refuse(e),
        }
    })
}

/// Writes how a process ended: Python's number, and the limit that it broke.
fn write_status(
    caller: &mut Caller<'_, State>,
    status: ExitStatus,
    out: u32,
) -> Result<(), Refusal> {
    let limit = match status.limit() {
        None => abi::limit::NONE,
        Some(Limit::Memory) => abi::limit::MEMORY,
        Some(Limit::CpuTime) => abi::limit::CPU_TIME,
        Some(Limit::Fuel) => abi::limit::FUEL,
        Some(Limit::WallClock) => abi::limit::WALL_CLOCK,
        Some(_) => abi::limit::OTHER,
    };
    let status = abi::Status { exitcode: status.exitcode(), limit };
    Memory::of(caller).0.write(out, &status.to_bytes())
}

pub(super) fn terminate(caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::process::terminate(caller.data(), handle))
}

pub(super) fn kill(caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::process::kill(caller.data(), handle))
}

pub(super) fn interrupt(caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::process::interrupt(caller.data(), handle))
}

pub(super) fn wait_any(
    mut caller: Caller<'_, State>,
    (handles, n, ready, timeout): (u32, u32, u32, i64),
) -> Waiting<'_> {
    Box::new(
        async move { answer(wait_for_listed(&mut caller, (handles, n), ready, timeout).await) },
    )
}

/// Waits until one of `n` is ready; writes a byte for each and answers how many are.
async fn wait_for_listed(
    caller: &mut Caller<'_, State>,
    (handles, n): (u32, u32),
    ready: u32,
    timeout: i64,
) -> Result<usize, Refusal> {
    if n > abi::max::WAITED {
        return Err(Refusal::INVALID);
    }
    let (mut memory, state) = Memory::of(caller);
    state.work.handles(n as usize);
    let mut sources = Vec::with_capacity(n as usize);
    for handle in memory.handles(handles, n)? {
        sources.push(ops::process::source(&state.table, handle)?);
    }
    write_flags(&mut memory, ready, n, &[])?;
    let found = ops::process::wait_any(state, &sources, wait(timeout)).await?;
    let (mut memory, _) = Memory::of(caller);
    write_flags(&mut memory, ready, n, &found)?;
    Ok(found.len())
}

/// Writes a byte for each of `n`: 1 for those that are ready.
fn write_flags(memory: &mut Memory<'_>, at: u32, n: u32, ready: &[usize]) -> Result<(), Refusal> {
    let flags = memory.get_mut(at as usize, n as usize).ok_or(Refusal::BAD_POINTER)?;
    flags.fill(0);
    ready.iter().for_each(|&i| flags[i] = 1);
    Ok(())
}
