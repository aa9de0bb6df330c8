//! Locks.

use super::code::{Code, Waiting, answer, wait};
use crate::ops;
use crate::state::State;
use wasmtime::Caller;

pub(super) fn new(mut caller: Caller<'_, State>) -> Code {
    answer(ops::lock::new(caller.data_mut()))
}

pub(super) fn try_acquire(caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::lock::try_acquire(caller.data(), handle))
}

pub(super) fn acquire(mut caller: Caller<'_, State>, (handle, timeout): (i32, i64)) -> Waiting<'_> {
    Box::new(
        async move { answer(ops::lock::acquire(caller.data_mut(), handle, wait(timeout)).await) },
    )
}

pub(super) fn release(caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::lock::release(caller.data(), handle))
}
