//! Listeners and connections, by name.

use super::code::{Code, Refusal, Waiting, answer, refuse, wait};
use super::memory::Memory;
use crate::ops;
use crate::state::State;
use wasmtime::Caller;

/// A name that the guest has in its memory.
fn name(caller: &mut Caller<'_, State>, at: u32, len: u32) -> Result<String, Refusal> {
    ops::connection::check_name(len as usize)?;
    Memory::of(caller).0.text(at, len)
}

pub(super) fn listen(mut caller: Caller<'_, State>, at: u32, len: u32) -> Code {
    answer(
        name(&mut caller, at, len)
            .and_then(|name| Ok(ops::connection::listen(caller.data_mut(), &name)?)),
    )
}

pub(super) fn try_connect(mut caller: Caller<'_, State>, at: u32, len: u32) -> Code {
    answer(
        name(&mut caller, at, len)
            .and_then(|name| Ok(ops::connection::try_connect(caller.data_mut(), &name)?)),
    )
}

pub(super) fn connect(
    mut caller: Caller<'_, State>,
    (at, len, timeout): (u32, u32, i64),
) -> Waiting<'_> {
    Box::new(async move {
        let name = match name(&mut caller, at, len) {
            Ok(name) => name,
            Err(refusal) => return refuse(refusal),
        };
        answer(ops::connection::connect(caller.data_mut(), &name, wait(timeout)).await)
    })
}
