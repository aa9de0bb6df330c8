//! Queues; what goes through them is in `message`.

use super::error::Result;
use super::foreign;
use crate::object::Object;
use crate::queue;
use crate::state::State;
use procbox_core::raw::{Bounds, Handle, RawQueue};

/// A queue, of this sandbox or of another backend.
fn find(state: &State, handle: i32) -> Result<&dyn RawQueue> {
    match state.table.get(handle) {
        Some(Object::Queue(queue)) => Ok(&**queue),
        _ => foreign::queue(&state.table, handle),
    }
}

/// A new queue.
pub(crate) fn new(state: &mut State, bounds: Bounds) -> Result<i32> {
    if bounds.messages == Some(0) || bounds.bytes == 0 {
        return Err(procbox_core::Error::Invalid("a queue needs room".into()).into());
    }
    if state.environment.maker().is_some() {
        return foreign::new(state, foreign::RING, |maker| Ok(Handle::Queue(maker.queue(bounds)?)));
    }
    let queue = queue::new(state.runtime().clone(), state.account().clone(), bounds)?;
    Ok(state.table.insert(Object::Queue(queue))?)
}

/// Messages in a queue now.
pub(crate) fn len(state: &State, handle: i32) -> Result<usize> {
    Ok(find(state, handle)?.len())
}

/// Bounds of a queue.
pub(crate) fn bounds(state: &State, handle: i32) -> Result<Bounds> {
    Ok(find(state, handle)?.bounds())
}

/// Closes a queue for all.
pub(crate) fn close(state: &State, handle: i32) -> Result<()> {
    find(state, handle)?.close();
    Ok(())
}
