//! Queues; what goes through them is in `message`.

use super::code::{Code, Refusal, answer};
use super::memory::Memory;
use crate::ops;
use crate::state::State;
use procbox_abi::QueueBounds;
use procbox_core::raw::Bounds;
use wasmtime::Caller;

pub(super) fn new(mut caller: Caller<'_, State>, messages: i64, bytes: i64) -> Code {
    // Negative: no bound of its own.
    let messages = usize::try_from(messages).ok();
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(Bounds::MAX_BYTES);
    answer(ops::queue::new(caller.data_mut(), Bounds::new(messages, bytes)))
}

pub(super) fn len(caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::queue::len(caller.data(), handle))
}

pub(super) fn bounds(mut caller: Caller<'_, State>, handle: i32, out: u32) -> Code {
    answer(write_bounds(&mut caller, handle, out))
}

fn write_bounds(caller: &mut Caller<'_, State>, handle: i32, out: u32) -> Result<(), Refusal> {
    let (mut memory, state) = Memory::of(caller);
    let bounds = ops::queue::bounds(state, handle)?;
    // A bound that is too large to be said is none.
    let messages = bounds.messages.and_then(|n| i64::try_from(n).ok()).unwrap_or(-1);
    let bytes = i64::try_from(bounds.bytes).unwrap_or(i64::MAX);
    memory.write(out, &QueueBounds { messages, bytes }.to_bytes())
}

pub(super) fn close(caller: Caller<'_, State>, handle: i32) -> Code {
    answer(ops::queue::close(caller.data(), handle))
}
