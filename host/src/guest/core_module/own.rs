//! The process itself: its arguments, who it is, its program, and Ctrl-C.

use super::code::{Answer, Code, Refusal, answer, refuse};
use super::memory::Memory;
use super::message::sizes;
use crate::message::Body;
use crate::object::Stored;
use crate::ops;
use crate::state::State;
use crate::warm::Paused;
use procbox_abi::{Identity, Line, interrupt as request};
use procbox_core::raw::WorkerInfo;
use std::fmt::Write;
use std::sync::Arc;
use wasmtime::Caller;

pub(super) fn arguments(mut caller: Caller<'_, State>, out: u32) -> Code {
    // They are kept as a message from the start; here the guest learns its size.
    let (mut memory, state) = Memory::of(&mut caller);
    answer(memory.write(out, &sizes(&state.kept).to_bytes()))
}

pub(super) fn identity(mut caller: Caller<'_, State>, out: u32) -> Code {
    let me = ops::own::identity(caller.data());
    let (parent, parent_name) = me.parent.as_ref().map_or((0, ""), |(pid, name)| (*pid, name));
    let head = Identity {
        pid: me.pid,
        parent,
        daemon: u32::from(me.daemon),
        name_len: me.name.len() as u32,
        parent_name_len: parent_name.len() as u32,
        authkey_len: me.authkey.len() as u32,
    };
    let bytes =
        [&head.to_bytes()[..], me.name.as_bytes(), parent_name.as_bytes(), &me.authkey].concat();
    answer(keep(&mut caller, bytes.as_slice().into(), out))
}

pub(super) fn workers(mut caller: Caller<'_, State>, out: u32) -> Code {
    let listed = ops::own::workers(caller.data());
    let text = listed.text.get_or_init(|| text_of(&listed.workers)).clone();
    answer(keep(&mut caller, text.into(), out))
}

/// A line for each worker.
fn text_of(workers: &[WorkerInfo]) -> Arc<[u8]> {
    let mut text = String::new();
    for worker in workers {
        let line = Line { name: &worker.identity, signature: worker.signature.as_deref() };
        // Writing to a string does not fail.
        let _ = write!(text, "{line}");
    }
    text.into_bytes().into()
}

/// Keeps bytes for `message_read` and says how many there are.
fn keep(caller: &mut Caller<'_, State>, body: Body, out: u32) -> Result<(), Refusal> {
    let stored = Stored { body, objects: Vec::new() };
    let (mut memory, state) = Memory::of(caller);
    let told = memory.write(out, &sizes(&stored).to_bytes());
    ops::message::keep(state, stored);
    told
}

pub(super) fn interrupt(caller: Caller<'_, State>, what: i32) -> Code {
    let state = caller.data();
    match what {
        request::IGNORE => ops::own::answer_interrupts(state, false),
        request::ANSWER => ops::own::answer_interrupts(state, true),
        request::CLEAR => ops::own::clear_interrupt(state),
        request::QUERY => return ops::own::is_interrupted(state).code(),
        _ => return refuse(Refusal::INVALID),
    }
    ().code()
}

/// Does not return in the process that an image is made of; does nothing in any other.
pub(super) fn snapshot(caller: Caller<'_, State>) -> wasmtime::Result<Code> {
    if caller.data().is_first { Err(Paused.into()) } else { Ok(().code()) }
}

pub(super) fn cpu_count(caller: Caller<'_, State>) -> Code {
    ops::own::cpu_count(caller.data()).code()
}
