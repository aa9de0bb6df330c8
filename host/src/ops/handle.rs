//! Any handle.

use super::error::{Error, Result};
use crate::object::Object;
use crate::state::State;

/// Closes a handle.
pub(crate) fn close(state: &mut State, handle: i32) -> Result<()> {
    match state.table.remove(handle) {
        None => return Err(Error::BadHandle),
        // It may be held; then it comes back when the process ends.
        Some(Object::Lock(lock)) => state.orphans.push(lock),
        Some(_) => {}
    }
    Ok(())
}
