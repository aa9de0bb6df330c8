//! Processes: starting and watching them, waiting for several things, and who one is.

use super::{
    BAD_HANDLE, BAD_POINTER, Code, DAEMON_START, INVALID, MODULE, Memory, NOT_GRANTED, OK,
    TIMED_OUT, code, flat, insert,
};
use crate::object::Object;
use crate::process::{self, HostProcess, State};
use crate::ready::{Source, until_ready};
use crate::waiting::within;
use procbox_core::{Entry, ExitStatus, Identity, Limit, ProcessSpec, RawProcess, Wait};
use std::sync::Arc;
use wasmtime::{Caller, Linker};

/// Where `procbox_start_t` has its times, in nanoseconds, behind six numbers: kind, worker (pointer
/// and length), name (likewise), flags.
const TIMEOUT: usize = 24;
const CPU_TIME: usize = 32;
const KIND_MAIN: u32 = 0;
const KIND_CALL: u32 = 1;
const KIND_SERVE: u32 = 2;
const FLAG_DAEMON: u32 = 1;
const FLAG_CPU_TIME: u32 = 2;

/// What `self_interrupt` is asked.
const INTERRUPT_IGNORE: i32 = 0;
const INTERRUPT_ANSWER: i32 = 1;
const INTERRUPT_CLEAR: i32 = 2;
const INTERRUPT_QUERY: i32 = 3;

/// The most that one can wait for at once.
const MOST_WAITED: u32 = 1 << 16;

fn process(state: &State, handle: i32) -> Result<&Arc<HostProcess>, Code> {
    match state.table.get(handle) {
        Some(Object::Process(process)) => Ok(process),
        _ => Err(BAD_HANDLE),
    }
}

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "process_start",
        |mut caller: Caller<'_, State>, spec: u32, ptr: u32, len: u32, handles: u32, n: u32| {
            flat(start(&mut caller, spec, (ptr, len), (handles, n)))
        },
    )?;
    linker.func_wrap(MODULE, "process_pid", |caller: Caller<'_, State>, handle: i32| {
        flat(process(caller.data(), handle).map(|p| p.identity.pid as i32))
    })?;
    linker.func_wrap(
        MODULE,
        "process_status",
        |mut caller: Caller<'_, State>, handle: i32, out: u32| match process(caller.data(), handle)
            .map(|p| p.status_now())
        {
            Ok(Some(status)) => tell(&mut caller, status, out),
            Ok(None) => TIMED_OUT,
            Err(code) => code,
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "process_join",
        |mut caller: Caller<'_, State>, (handle, out, timeout): (i32, u32, i64)| {
            Box::new(async move {
                let me = caller.data().process.clone();
                let process = match process(caller.data(), handle) {
                    Ok(process) => process.clone(),
                    Err(code) => return code,
                };
                match within(&me, Wait::from_nanos(timeout), process.joined()).await {
                    Ok(status) => tell(&mut caller, status, out),
                    Err(e) => code(&e),
                }
            })
        },
    )?;
    linker.func_wrap(MODULE, "process_terminate", |caller: Caller<'_, State>, handle: i32| {
        flat(process(caller.data(), handle).map(|p| {
            p.terminate();
            OK
        }))
    })?;
    linker.func_wrap(MODULE, "process_interrupt", |caller: Caller<'_, State>, handle: i32| {
        flat(process(caller.data(), handle).map(|p| {
            RawProcess::interrupt(&**p);
            OK
        }))
    })?;
    linker.func_wrap(MODULE, "process_kill", |caller: Caller<'_, State>, handle: i32| {
        flat(process(caller.data(), handle).map(|p| {
            p.kill();
            OK
        }))
    })?;
    linker.func_wrap_async(
        MODULE,
        "wait_any",
        |mut caller: Caller<'_, State>, (handles, n, ready, timeout): (u32, u32, u32, i64)| {
            Box::new(async move { wait_any(&mut caller, handles, n, ready, timeout).await })
        },
    )?;
    link_self(linker)
}

/// Writes a status: Python's number, and the limit that was broken (0 for none).
fn tell(caller: &mut Caller<'_, State>, status: ExitStatus, out: u32) -> Code {
    let limit = match status.limit() {
        None => 0,
        Some(Limit::Memory) => 1,
        Some(Limit::CpuTime) => 2,
        Some(Limit::Fuel) => 3,
        Some(Limit::WallClock) => 4,
        Some(_) => 5,
    };
    Memory::of(caller).0.put_u32s(out, &[status.exitcode() as u32, limit])
}

fn start(
    caller: &mut Caller<'_, State>,
    spec: u32,
    (ptr, len): (u32, u32),
    (handles, n): (u32, u32),
) -> Result<Code, Code> {
    let (memory, state) = Memory::of(caller);
    let at = spec as usize;
    let fields: Vec<u32> =
        (0..6).map(|i| memory.u32(at + 4 * i).ok_or(BAD_POINTER)).collect::<Result<_, _>>()?;
    let timeout = memory.time(at + TIMEOUT)?;
    // Programs that do not say that they have it may be older than it.
    let limited = fields[5] & FLAG_CPU_TIME != 0;
    let cpu_time = if limited { memory.time(at + CPU_TIME)? } else { None };
    let worker = memory.text(fields[1], fields[2])?;
    let name = memory.text(fields[3], fields[4])?;
    let entry = match fields[0] {
        KIND_MAIN => Entry::Main(worker.split_terminator('\0').map(str::to_string).collect()),
        KIND_CALL => Entry::Call(worker),
        KIND_SERVE => Entry::Serve(worker),
        _ => return Err(INVALID),
    };
    if !state.context.grants.may_start() {
        return Err(NOT_GRANTED);
    }
    let me = &state.process.identity;
    if me.daemon {
        return Err(DAEMON_START);
    }
    let bytes = memory.get(ptr as usize, len as usize).ok_or(BAD_POINTER)?.to_vec();
    let objects = memory.objects(state, handles, n)?;
    let identity = Identity {
        name,
        pid: 0,
        daemon: fields[5] & FLAG_DAEMON != 0,
        authkey: me.authkey.clone(),
        parent: Some((me.pid, me.name.clone())),
    };
    let mut spec = ProcessSpec::new(entry, identity);
    spec.message.bytes = bytes;
    spec.message.handles = Object::into_handles(objects);
    spec.stdout = state.spec.stdout;
    (spec.timeout, spec.cpu_time) = (timeout, cpu_time);
    if !state.table.has_room(1) {
        return Err(super::EXHAUSTED);
    }
    // Its stdout goes where this process's goes.
    let output = state.process.output.clone();
    let child = process::start(&state.context, spec, output).map_err(|e| code(&e))?;
    state.children.retain(|c| c.status_now().is_none());
    state.children.push(child.clone());
    Ok(insert(state, Object::Process(child)))
}

/// Waits until one of `n` is ready; writes a byte for each and answers how many are.
async fn wait_any(
    caller: &mut Caller<'_, State>,
    handles: u32,
    n: u32,
    ready: u32,
    timeout: i64,
) -> Code {
    if n > MOST_WAITED {
        return INVALID;
    }
    let (mut memory, state) = Memory::of(caller);
    let mut sources = Vec::with_capacity(n as usize);
    for i in 0..n as usize {
        let Some(handle) = memory.u32(handles as usize + 4 * i) else { return BAD_POINTER };
        match state.table.get(handle as i32).and_then(Source::of_object) {
            Some(source) => sources.push(source),
            None => return BAD_HANDLE,
        }
    }
    let Some(flags) = memory.get_mut(ready as usize, n as usize) else { return BAD_POINTER };
    flags.fill(0);
    let me = state.process.clone();
    let found = match within(&me, Wait::from_nanos(timeout), until_ready(&sources)).await {
        Ok(found) => found,
        Err(e) => return code(&e),
    };
    let (mut memory, _) = Memory::of(caller);
    let Some(flags) = memory.get_mut(ready as usize, n as usize) else { return BAD_POINTER };
    found.iter().for_each(|&i| flags[i] = 1);
    found.len() as Code
}

fn link_self(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "self_arguments", |mut caller: Caller<'_, State>, out: u32| {
        // They are kept as a message from the start; here the guest learns its size.
        let (mut memory, state) = Memory::of(&mut caller);
        let sizes = [state.stash.0.len() as u32, state.stash.1.len() as u32];
        memory.put_u32s(out, &sizes)
    })?;
    linker.func_wrap(MODULE, "self_identity", |mut caller: Caller<'_, State>, out: u32| {
        let me = caller.data().process.identity.clone();
        let (parent, parent_name) = me.parent.unwrap_or_default();
        let numbers = [me.pid, parent, u32::from(me.daemon)];
        let lengths = [me.name.len() as u32, parent_name.len() as u32, me.authkey.len() as u32];
        let text = [me.name.as_bytes(), parent_name.as_bytes(), &me.authkey].concat();
        keep(&mut caller, [&numbers[..], &lengths[..]].concat(), text, out)
    })?;
    linker.func_wrap(MODULE, "self_workers", |mut caller: Caller<'_, State>, out: u32| {
        let mut text = String::new();
        for worker in caller.data().context.program.workers_by_identity() {
            text.push_str(&worker.identity);
            text.push('\t');
            text.push_str(worker.signature.as_deref().unwrap_or_default());
            text.push('\n');
        }
        keep(&mut caller, Vec::new(), text.into_bytes(), out)
    })?;
    linker.func_wrap(MODULE, "self_interrupt", |caller: Caller<'_, State>, what: i32| {
        let interrupt = &caller.data().process.interrupt;
        match what {
            INTERRUPT_IGNORE => interrupt.answer(false),
            INTERRUPT_ANSWER => interrupt.answer(true),
            INTERRUPT_CLEAR => interrupt.clear(),
            INTERRUPT_QUERY => return i32::from(interrupt.is_pending()),
            _ => return INVALID,
        }
        OK
    })?;
    linker.func_wrap(MODULE, "cpu_count", |caller: Caller<'_, State>| {
        caller.data().context.sandbox.parallelism as i32
    })?;
    Ok(())
}

/// Keeps numbers and text for `message_read` and says how large that is.
fn keep(caller: &mut Caller<'_, State>, numbers: Vec<u32>, text: Vec<u8>, out: u32) -> Code {
    let mut bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    bytes.extend_from_slice(&text);
    let (mut memory, state) = Memory::of(caller);
    let told = memory.put_u32s(out, &[bytes.len() as u32, 0]);
    state.stash = (bytes.as_slice().into(), Vec::new());
    told
}
