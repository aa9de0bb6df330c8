//! Messages: how a guest sends them, and reads what it received.
//!
//! A receive copies the message straight into the guest's buffer when it fits there and carries no
//! handles. Otherwise the process keeps it, the call says so (`NOTED`) and how large it is, and
//! `message_read` fetches it.

use super::code::{Code, Refusal, Waiting, answer, refuse, wait};
use super::memory::Memory;
use crate::object::{Object, Stored};
use crate::ops;
use crate::state::State;
use procbox_abi::{Received, Sizes, code, kind};
use procbox_core::raw::Handle;
use wasmtime::Caller;

/// A message as the guest describes it: its bytes and their number, its handles and their number.
type Described = (u32, u32, u32, u32);

/// The message that the guest describes, if it may go there.
fn read_from<'a>(
    memory: &Memory<'_>,
    state: &'a State,
    handle: i32,
    (at, len, handles, n): Described,
) -> Result<(ops::message::Outgoing<'a>, Stored), Refusal> {
    let to = ops::message::outgoing(&state.table, handle, len as usize)?;
    let handles = memory.handles(handles, n)?;
    let stored = ops::message::pack(state, memory.bytes(at, len)?, n as usize, handles)?;
    Ok((to, stored))
}

pub(super) fn try_put(
    mut caller: Caller<'_, State>,
    handle: i32,
    at: u32,
    len: u32,
    handles: u32,
    n: u32,
) -> Code {
    let (memory, state) = Memory::of(&mut caller);
    answer(
        read_from(&memory, state, handle, (at, len, handles, n))
            .and_then(|(to, stored)| Ok(to.try_put(state.account(), stored)?)),
    )
}

pub(super) fn put(
    mut caller: Caller<'_, State>,
    (handle, at, len, handles, n, timeout): (i32, u32, u32, u32, u32, i64),
) -> Waiting<'_> {
    Box::new(async move {
        let message = (at, len, handles, n);
        answer(put_described(&mut caller, handle, message, timeout).await)
    })
}

async fn put_described(
    caller: &mut Caller<'_, State>,
    handle: i32,
    message: Described,
    timeout: i64,
) -> Result<(), Refusal> {
    let (memory, state) = Memory::of(caller);
    let (to, stored) = read_from(&memory, state, handle, message)?;
    Ok(to.put(state.standing(), stored, wait(timeout)).await?)
}

/// Where the guest wants a message: its buffer and the size of that, and where to write the message's
/// own sizes.
type Place = (u32, u32, u32);

/// Hands a message to the guest: into its buffer, or for `message_read`.
fn deliver(
    caller: &mut Caller<'_, State>,
    stored: Stored,
    (at, cap, out): Place,
) -> Result<Code, Refusal> {
    let (mut memory, state) = Memory::of(caller);
    let told = memory.write(out, &sizes(&stored).to_bytes());
    if told.is_ok()
        && stored.objects.is_empty()
        && stored.body.len() <= cap as usize
        && memory.put(at as usize, &stored.body)
    {
        state.work.bytes(stored.body.len());
        return Ok(code::OK);
    }
    // Also when a pointer is bad: the message is not lost by that.
    ops::message::keep(state, stored);
    told.map(|()| code::NOTED)
}

/// The sizes of a message. Both are far below 2^32: a body has at most `Bounds::MAX_BYTES`.
pub(super) fn sizes(stored: &Stored) -> Sizes {
    Sizes { bytes: stored.body.len() as u32, handles: stored.objects.len() as u32 }
}

pub(super) fn try_get(
    mut caller: Caller<'_, State>,
    handle: i32,
    at: u32,
    cap: u32,
    out: u32,
) -> Code {
    match ops::message::try_get(caller.data(), handle) {
        Ok(stored) => answer(deliver(&mut caller, stored, (at, cap, out))),
        Err(e) => refuse(e),
    }
}

pub(super) fn get(
    mut caller: Caller<'_, State>,
    (handle, at, cap, out, timeout): (i32, u32, u32, u32, i64),
) -> Waiting<'_> {
    Box::new(async move {
        match ops::message::get(caller.data_mut(), handle, wait(timeout)).await {
            Ok(stored) => answer(deliver(&mut caller, stored, (at, cap, out))),
            Err(e) => refuse(e),
        }
    })
}

pub(super) fn read(mut caller: Caller<'_, State>, at: u32, handles: u32) -> Code {
    answer(read_kept(&mut caller, at, handles))
}

/// Fetches the kept message: its bytes, and per handle its number and kind.
fn read_kept(caller: &mut Caller<'_, State>, at: u32, handles: u32) -> Result<(), Refusal> {
    let (mut memory, state) = Memory::of(caller);
    let kept = ops::message::kept(state)?;
    let mut list = Vec::with_capacity(kept.objects.len());
    list.extend(kept.objects.iter().map(|object| Received { handle: 0, kind: kind_of(object) }));
    // Nothing is given before it is certain that it can be told.
    memory.check(handles, list.len() * Received::SIZE)?;
    memory.write(at, &kept.body)?;
    state.work.bytes(kept.body.len());
    state.work.handles(kept.objects.len());
    for (received, handle) in list.iter_mut().zip(ops::message::open_kept(state)?) {
        received.handle = handle;
    }
    let list: Vec<_> = list.into_iter().map(Received::to_bytes).collect();
    memory.write(handles, list.as_flattened())
}

/// The number by which the ABI tells a guest what a received handle is.
fn kind_of(object: &Object) -> u32 {
    match object {
        Object::Lock(_) => kind::LOCK,
        Object::Semaphore(_) => kind::SEMAPHORE,
        Object::Event(_) => kind::EVENT,
        Object::Queue(_) => kind::QUEUE,
        Object::Pipe(_) => kind::PIPE,
        Object::Ledger(_) => kind::LEDGER,
        Object::Region(_) => kind::REGION,
        Object::Foreign(foreign) => match foreign.handle() {
            Handle::Lock(_) => kind::LOCK,
            Handle::Semaphore(_) => kind::SEMAPHORE,
            Handle::Event(_) => kind::EVENT,
            Handle::Queue(_) => kind::QUEUE,
            Handle::Pipe(_) => kind::PIPE,
            Handle::Ledger(_) => kind::LEDGER,
            Handle::Region(_) => kind::REGION,
            _ => 0,
        },
        // They do not travel, so that nobody receives one.
        Object::Listener(_) | Object::Process(_) => 0,
    }
}
