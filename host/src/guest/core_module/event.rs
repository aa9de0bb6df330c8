//! Events.

use super::code::{Code, Waiting, answer, wait as wait_of};
use crate::ops;
use crate::state::State;
use wasmtime::Caller;

pub(super) fn new(mut caller: Caller<'_, State>) -> Code {
    answer(ops::event::new(caller.data_mut()))
}

pub(super) fn set(caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::event::set(caller.data(), handle))
}

pub(super) fn clear(caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::event::clear(caller.data(), handle))
}

pub(super) fn is_set(caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::event::is_set(caller.data(), handle))
}

pub(super) fn wait(mut caller: Caller<'_, State>, (handle, timeout): (i32, i64)) -> Waiting<'_> {
    Box::new(
        async move { answer(ops::event::wait(caller.data_mut(), handle, wait_of(timeout)).await) },
    )
}
