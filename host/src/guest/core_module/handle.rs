//! Any handle.

use super::code::{Code, answer};
use crate::ops;
use crate::state::State;
use wasmtime::Caller;

pub(super) fn close(mut caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::handle::close(caller.data_mut(), handle))
}
