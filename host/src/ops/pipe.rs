//! Pipes; what goes through them is in `message`.

use super::error::Result;
use crate::object::Object;
use crate::pipe::PipeEnd;
use crate::state::State;

/// A new pipe: the handles of its two ends.
pub(crate) fn new(state: &mut State, duplex: bool) -> Result<(i32, i32)> {
    state.table.check_room(2)?;
    let (first, second) = PipeEnd::pair(state.runtime(), state.account(), duplex)?;
    let first = state.table.insert(Object::Pipe(first))?;
    let second = state.table.insert(Object::Pipe(second))?;
    Ok((first, second))
}
