//! Messages: queues, pipes, and how a guest reads what it received.
//!
//! A receive copies the message straight into the guest's buffer when it fits there and carries no
//! handles. Otherwise the process keeps it, the call says so (`NOTED`) and how large it is, and
//! `message_read` fetches it.

use super::{
    BAD_HANDLE, BAD_POINTER, CLOSED, Code, EMPTY, FULL, INVALID, MODULE, Memory, NOTED, OK,
    TIMED_OUT, code, flat, insert,
};
use crate::object::Object;
use crate::process::State;
use crate::queue::{HostQueue, Stored};
use crate::waiting::within;
use procbox_core::{Bounds, Error, RawQueue, Wait};
use std::sync::Arc;
use wasmtime::{Caller, Linker};

/// Which way a message goes; it decides which channel of a pipe is meant.
#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
}

fn queue_of(state: &State, handle: i32) -> Result<&Arc<HostQueue>, Code> {
    match state.table.get(handle) {
        Some(Object::Queue(queue)) => Ok(queue),
        _ => Err(BAD_HANDLE),
    }
}

/// The channel of a queue or of a pipe's end.
fn channel_of(state: &State, handle: i32, way: Way) -> Result<&Arc<HostQueue>, Code> {
    match state.table.get(handle) {
        Some(Object::Queue(queue)) => Ok(queue),
        Some(Object::Pipe(end)) => match way {
            Way::In => end.incoming().map_err(|_| CLOSED),
            Way::Out => end.outgoing().map_err(|_| CLOSED),
        },
        Some(Object::Listener(listener)) => match way {
            Way::In => Ok(listener.backlog()),
            Way::Out => Err(CLOSED),
        },
        _ => Err(BAD_HANDLE),
    }
}

/// A queue has its own words for a wait that ran out.
fn timed_out(state: &State, handle: i32, instead: Code) -> Code {
    if matches!(state.table.get(handle), Some(Object::Queue(_))) { instead } else { TIMED_OUT }
}

/// A message as the guest describes it: where its bytes are, and where its handles are listed.
type Outgoing = (u32, u32, u32, u32);

fn outgoing(
    caller: &mut Caller<'_, State>,
    handle: i32,
    (ptr, len, handles, n): Outgoing,
) -> Result<(Arc<HostQueue>, Stored), Code> {
    let (memory, state) = Memory::of(caller);
    let channel = channel_of(state, handle, Way::Out)?.clone();
    channel.check_size(len as usize).map_err(|e| code(&e))?;
    let body = memory.get(ptr as usize, len as usize).ok_or(BAD_POINTER)?.into();
    let objects = memory.objects(state, handles, n)?;
    Ok((channel, Stored { body, objects }))
}

fn try_put(caller: &mut Caller<'_, State>, handle: i32, message: Outgoing) -> Result<Code, Code> {
    let (channel, stored) = outgoing(caller, handle, message)?;
    match channel.try_put(&mut Some(stored)) {
        None => Err(timed_out(caller.data(), handle, FULL)),
        Some(Ok(())) => Ok(OK),
        Some(Err(e)) => Err(code(&e)),
    }
}

/// Where the guest wants a message: buffer, its size, and where to write the message's own size and
/// number of handles.
type Incoming = (u32, u32, u32);

/// Hands a message to the guest: into its buffer, or for `message_read`.
fn deliver(caller: &mut Caller<'_, State>, stored: Stored, (ptr, cap, out): Incoming) -> Code {
    let (mut memory, state) = Memory::of(caller);
    let sizes = [stored.body.len() as u32, stored.objects.len() as u32];
    let told = memory.put_u32s(out, &sizes);
    if told == OK
        && stored.objects.is_empty()
        && stored.body.len() <= cap as usize
        && memory.put(ptr as usize, &stored.body)
    {
        return OK;
    }
    // Also when a pointer is bad: the message is not lost by that.
    state.stash = (stored.body, stored.objects);
    if told == OK { NOTED } else { told }
}

fn try_get(caller: &mut Caller<'_, State>, handle: i32, to: Incoming) -> Result<Code, Code> {
    match channel_of(caller.data(), handle, Way::In)?.try_take() {
        None => Err(timed_out(caller.data(), handle, EMPTY)),
        Some(Ok(stored)) => Ok(deliver(caller, stored, to)),
        Some(Err(e)) => Err(code(&e)),
    }
}

fn spent(error: &Error, state: &State, handle: i32, instead: Code) -> Code {
    if *error == Error::TimedOut { timed_out(state, handle, instead) } else { code(error) }
}

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    link_new(linker)?;
    linker.func_wrap(
        MODULE,
        "message_try_put",
        |mut caller: Caller<'_, State>, handle: i32, ptr: u32, len: u32, handles: u32, n: u32| {
            flat(try_put(&mut caller, handle, (ptr, len, handles, n)))
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "message_put",
        |mut caller: Caller<'_, State>,
         (handle, ptr, len, handles, n, timeout): (i32, u32, u32, u32, u32, i64)| {
            Box::new(async move {
                let me = caller.data().process.clone();
                let (channel, stored) = match outgoing(&mut caller, handle, (ptr, len, handles, n))
                {
                    Ok(found) => found,
                    Err(code) => return code,
                };
                let put = channel.put_stored(stored);
                match within(&me, Wait::from_nanos(timeout), put).await {
                    Ok(()) => OK,
                    Err(e) => spent(&e, caller.data(), handle, FULL),
                }
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "message_try_get",
        |mut caller: Caller<'_, State>, handle: i32, ptr: u32, cap: u32, out: u32| {
            flat(try_get(&mut caller, handle, (ptr, cap, out)))
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "message_get",
        |mut caller: Caller<'_, State>,
         (handle, ptr, cap, out, timeout): (i32, u32, u32, u32, i64)| {
            Box::new(async move {
                let me = caller.data().process.clone();
                let channel = match channel_of(caller.data(), handle, Way::In) {
                    Ok(channel) => channel.clone(),
                    Err(code) => return code,
                };
                match within(&me, Wait::from_nanos(timeout), channel.take()).await {
                    Ok(stored) => deliver(&mut caller, stored, (ptr, cap, out)),
                    Err(e) => spent(&e, caller.data(), handle, EMPTY),
                }
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "message_read",
        |mut caller: Caller<'_, State>, ptr: u32, handles: u32| read(&mut caller, ptr, handles),
    )?;
    Ok(())
}

/// Fetches the kept message: its bytes, and per handle its number and kind.
fn read(caller: &mut Caller<'_, State>, ptr: u32, handles: u32) -> Code {
    let (mut memory, state) = Memory::of(caller);
    let (bytes, objects) = &state.stash;
    if !state.table.has_room(objects.len()) {
        return super::EXHAUSTED;
    }
    let list = objects.len() * 8;
    if memory.get(handles as usize, list).is_none() || !memory.put(ptr as usize, bytes) {
        return BAD_POINTER;
    }
    let objects = std::mem::take(&mut state.stash.1);
    state.stash.0 = [].as_slice().into();
    for (i, object) in objects.into_iter().enumerate() {
        let kind = object.kind();
        let handle = insert(state, object);
        let told = memory.put_u32s(handles + 8 * i as u32, &[handle as u32, kind]);
        if handle < 0 || told != OK {
            return handle.min(told); // Both were made sure of above.
        }
    }
    OK
}

fn link_new(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "queue_new",
        |mut caller: Caller<'_, State>, messages: i64, bytes: i64| {
            let state = caller.data_mut();
            // Negative: no bound of its own.
            let messages = usize::try_from(messages).ok();
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(Bounds::MAX_BYTES);
            if messages == Some(0) || bytes == 0 {
                return INVALID;
            }
            let queue = state.context.new_queue(Bounds { messages, bytes });
            insert(state, Object::Queue(queue))
        },
    )?;
    linker.func_wrap(MODULE, "queue_len", |caller: Caller<'_, State>, handle: i32| {
        let most = i32::MAX as usize;
        flat(queue_of(caller.data(), handle).map(|queue| queue.len().min(most) as i32))
    })?;
    linker.func_wrap(
        MODULE,
        "queue_bounds",
        |mut caller: Caller<'_, State>, handle: i32, out: u32| {
            let bounds = match queue_of(caller.data(), handle) {
                Ok(queue) => queue.bounds(),
                Err(code) => return code,
            };
            let messages = bounds.messages.map_or(-1, |n| i64::try_from(n).unwrap_or(-1));
            let (mut memory, _) = Memory::of(&mut caller);
            let told = memory.put(out as usize, &messages.to_le_bytes())
                && memory.put(out as usize + 8, &(bounds.bytes as i64).to_le_bytes());
            if told { OK } else { BAD_POINTER }
        },
    )?;
    linker.func_wrap(MODULE, "queue_close", |caller: Caller<'_, State>, handle: i32| {
        flat(queue_of(caller.data(), handle).map(|queue| {
            queue.close_now();
            OK
        }))
    })?;
    linker.func_wrap(
        MODULE,
        "pipe_new",
        |mut caller: Caller<'_, State>, duplex: i32, out: u32| {
            let (mut memory, state) = Memory::of(&mut caller);
            if memory.get(out as usize, 8).is_none() {
                return BAD_POINTER;
            }
            if !state.table.has_room(2) {
                return super::EXHAUSTED;
            }
            let (first, second) = state.context.new_pipe(duplex != 0);
            let first = insert(state, Object::Pipe(first));
            let second = insert(state, Object::Pipe(second));
            memory.put_u32s(out, &[first as u32, second as u32])
        },
    )?;
    Ok(())
}
