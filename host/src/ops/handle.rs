//! Any handle.

use super::error::{Error, Result};
use crate::object::Object;
use crate::state::State;

/// Closes a handle.
pub(crate) fn close(state: &mut State, handle: i32) -> Result<()> {
    match state.table.remove(handle) {
        None => return Err(Error::BadHandle),
        // If it is held, it comes back when the process ends.
        Some(Object::Lock(lock)) if lock.is_held_by(state.holder()) => state.add_orphan(lock),
        Some(Object::Semaphore(semaphore)) => state.permits.closed(&semaphore),
        Some(_) => {}
    }
    // Others may have waited for what this process had done with it.
    state.runtime().alarm().stir();
    Ok(())
}
