//! Any handle.

use super::error::{Error, Result};
use crate::object::Object;
use crate::state::State;

/// Closes a handle.
pub(crate) fn close(state: &mut State, handle: i32) -> Result<()> {
    match state.table.remove(handle) {
        None => return Err(Error::BadHandle),
        // If it is held, it comes back when the process ends.
        Some(object) if object.is_held_by(state.holder()) => state.add_orphan(object),
        Some(Object::Semaphore(semaphore)) => state.permits.closed(&semaphore),
        Some(Object::Foreign(foreign)) => state.foreign_permits.closed(&foreign),
        Some(_) => {}
    }
    // Others may have waited for what this process had done with it.
    state.runtime().alarm().stir();
    Ok(())
}
