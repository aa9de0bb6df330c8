//! Pipes; what goes through them is in `message`.

use super::code::{Code, Refusal, answer};
use super::memory::Memory;
use crate::ops;
use crate::state::State;
use wasmtime::Caller;

/// Bytes of the two handles that are written.
const ENDS: usize = 2 * size_of::<i32>();

pub(super) fn new(mut caller: Caller<'_, State>, duplex: i32, out: u32) -> Code {
    answer(make(&mut caller, duplex != 0, out))
}

fn make(caller: &mut Caller<'_, State>, duplex: bool, out: u32) -> Result<(), Refusal> {
    let (mut memory, state) = Memory::of(caller);
    // Before there is a pipe that nobody would know of.
    memory.check(out, ENDS)?;
    let (first, second) = ops::pipe::new(state, duplex)?;
    memory.write(out, [first.to_le_bytes(), second.to_le_bytes()].as_flattened())
}
