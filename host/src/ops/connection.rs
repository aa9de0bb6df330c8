//! Listeners and connections, by name. Who comes to a listener is received from it: see `message`.

use super::error::Result;
use super::wait::within;
use crate::blocked::Server;
use crate::object::Object;
use crate::state::State;
use procbox_core::observe::Operation;
use procbox_core::{Error, Wait};
use std::sync::Arc;

/// Says whether a name may be of this length, in bytes.
pub(crate) fn check_name(len: usize) -> Result<()> {
    if len == 0 || len > procbox_abi::max::ADDRESS as usize {
        return Err(Error::Invalid("the length of a listener's name".into()).into());
    }
    Ok(())
}

/// A listener by a name.
pub(crate) fn listen(state: &mut State, name: &str) -> Result<i32> {
    check_name(name.len())?;
    let listener = state.process.tree.names.listen(state.runtime(), state.account(), name)?;
    Ok(state.table.insert(Object::Listener(Arc::new(listener)))?)
}

/// A connection to a listener, if its backlog has room.
pub(crate) fn try_connect(state: &mut State, name: &str) -> Result<i32> {
    // Before anybody is told of a connection that would have no handle.
    state.table.check_room(1)?;
    let ours =
        state.process.tree.names.approach(state.runtime(), state.account(), name)?.try_connect()?;
    Ok(state.table.insert(Object::Pipe(ours))?)
}

/// A connection to a listener, waiting for room.
pub(crate) async fn connect(state: &mut State, name: &str, wait: Wait) -> Result<i32> {
    state.table.check_room(1)?;
    let approach = state.process.tree.names.approach(state.runtime(), state.account(), name)?;
    let servers = || vec![Server::Unknown];
    let on = (Operation::Connect, 0);
    let ours = within(state.standing(), wait, on, servers, approach.connect()).await?;
    Ok(state.table.insert(Object::Pipe(ours))?)
}
