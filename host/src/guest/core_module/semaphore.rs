//! Semaphores.

use super::code::{Code, Refusal, Waiting, answer, refuse, wait};
use crate::ops;
use crate::state::State;
use wasmtime::Caller;

pub(super) fn new(mut caller: Caller<'_, State>, permits: i32) -> Code {
    match usize::try_from(permits) {
        Ok(permits) => answer(ops::semaphore::new(caller.data_mut(), permits)),
        Err(_) => refuse(Refusal::INVALID),
    }
}

pub(super) fn try_acquire(mut caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::semaphore::try_acquire(caller.data_mut(), handle))
}

pub(super) fn acquire(mut caller: Caller<'_, State>, (handle, timeout): (i32, i64)) -> Waiting<'_> {
    Box::new(async move {
        answer(ops::semaphore::acquire(caller.data_mut(), handle, wait(timeout)).await)
    })
}

pub(super) fn release(mut caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::semaphore::release(caller.data_mut(), handle))
}

pub(super) fn forget(mut caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::semaphore::forget(caller.data_mut(), handle))
}

pub(super) fn available(caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::semaphore::available(caller.data(), handle))
}
