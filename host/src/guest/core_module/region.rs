//! Regions of shared bytes.

use super::code::{Code, Refusal, Waiting, answer, refuse, wait as wait_of};
use super::memory::Memory;
use crate::ops;
use crate::state::State;
use procbox_abi::atomic as what;
use procbox_core::raw::AtomicOp;
use wasmtime::Caller;

pub(super) fn new(mut caller: Caller<'_, State>, bytes: u32) -> Code {
    answer(ops::region::new(caller.data_mut(), bytes as usize))
}

pub(super) fn len(caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::region::len(caller.data(), handle))
}

pub(super) fn read(
    mut caller: Caller<'_, State>,
    handle: i32,
    at: u32,
    bytes: u32,
    len: u32,
) -> Code {
    let (mut memory, state) = Memory::of(&mut caller);
    if let Err(e) = ops::region::check(state, handle) {
        return refuse(e);
    }
    let copied = match memory.get_mut(bytes as usize, len as usize) {
        None => Err(Refusal::BAD_POINTER),
        Some(into) => {
            state.work.bytes(into.len());
            ops::region::read(state, handle, at as usize, into).map_err(Refusal::from)
        }
    };
    answer(copied)
}

pub(super) fn write(
    mut caller: Caller<'_, State>,
    handle: i32,
    at: u32,
    bytes: u32,
    len: u32,
) -> Code {
    let (memory, state) = Memory::of(&mut caller);
    if let Err(e) = ops::region::check(state, handle) {
        return refuse(e);
    }
    let copied = memory.bytes(bytes, len).and_then(|from| {
        state.work.bytes(from.len());
        ops::region::write(state, handle, at as usize, from).map_err(Refusal::from)
    });
    answer(copied)
}

pub(super) fn atomic(
    mut caller: Caller<'_, State>,
    handle: i32,
    at: u32,
    what: i32,
    operand: i64,
    expected: i64,
    out: u32,
) -> Code {
    answer(step(&mut caller, handle, at, (what, operand, expected), out))
}

fn step(
    caller: &mut Caller<'_, State>,
    handle: i32,
    at: u32,
    (what, operand, expected): (i32, i64, i64),
    out: u32,
) -> Result<(), Refusal> {
    let (mut memory, state) = Memory::of(caller);
    ops::region::check(state, handle)?;
    let (operand, current) = (operand as u64, expected as u64);
    let op = match what {
        what::LOAD => AtomicOp::Load,
        what::STORE => AtomicOp::Store(operand),
        what::ADD => AtomicOp::Add(operand),
        what::COMPARE_EXCHANGE => AtomicOp::CompareExchange { current, new: operand },
        _ => return Err(Refusal::INVALID),
    };
    // Nothing is done before it is certain that it can be told.
    memory.check(out, size_of::<u64>())?;
    let before = ops::region::atomic(state, handle, at as usize, op)?;
    memory.write(out, &before.to_le_bytes())
}

pub(super) fn wait(
    mut caller: Caller<'_, State>,
    (handle, at, is, timeout): (i32, u32, i64, i64),
) -> Waiting<'_> {
    Box::new(async move {
        let (state, at, is) = (caller.data_mut(), at as usize, is as u64);
        answer(ops::region::wait(state, handle, at, is, wait_of(timeout)).await)
    })
}

pub(super) fn notify(caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::region::notify(caller.data(), handle))
}
