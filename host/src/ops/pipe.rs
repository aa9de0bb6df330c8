//! Pipes; what goes through them is in `message`.

use super::error::Result;
use super::foreign;
use crate::object::Object;
use crate::pipe::PipeEnd;
use crate::state::State;

/// A new pipe: the handles of its two ends.
pub(crate) fn new(state: &mut State, duplex: bool) -> Result<(i32, i32)> {
    if state.environment.maker().is_some() {
        return foreign::new_pipe(state, duplex);
    }
    let (first, second) = PipeEnd::pair(state.runtime(), state.account(), duplex)?;
    state.table.reserve(2)?;
    let first = state.table.place(Object::Pipe(first));
    let second = state.table.place(Object::Pipe(second));
    Ok((first, second))
}
