//! Events.

use super::error::Result;
use super::foreign;
use super::wait::within;
use crate::account::OBJECT;
use crate::blocked::Server;
use crate::event::HostEvent;
use crate::object::Object;
use crate::state::State;
use crate::table::Table;
use crate::waiting::number;
use procbox_core::Wait;
use procbox_core::observe::Operation;
use procbox_core::raw::{Handle, RawEvent};

/// An event, of this sandbox or of another backend.
fn find(table: &Table, handle: i32) -> Result<&dyn RawEvent> {
    match table.get(handle) {
        Some(Object::Event(event)) => Ok(&**event),
        _ => Ok(&**foreign::event(table, handle)?.1),
    }
}

/// A new event.
pub(crate) fn new(state: &mut State) -> Result<i32> {
    if state.environment.maker().is_some() {
        return foreign::new(state, foreign::SMALL, |maker| Ok(Handle::Event(maker.event()?)));
    }
    let event = HostEvent::new(state.runtime().clone(), state.account().charge(OBJECT)?);
    Ok(state.table.insert(Object::Event(event))?)
}

/// Sets an event.
pub(crate) fn set(state: &State, handle: i32) -> Result<()> {
    find(&state.table, handle)?.set();
    Ok(())
}

/// Clears an event.
pub(crate) fn clear(state: &State, handle: i32) -> Result<()> {
    find(&state.table, handle)?.clear();
    Ok(())
}

/// True if an event is set.
pub(crate) fn is_set(state: &State, handle: i32) -> Result<bool> {
    Ok(find(&state.table, handle)?.is_set())
}

/// Waits until an event is set.
pub(crate) async fn wait(state: &mut State, handle: i32, wait: Wait) -> Result<()> {
    let Some(Object::Event(event)) = state.table.get(handle) else {
        return foreign::wait_set(state, handle, wait).await;
    };
    let on = (Operation::EventWait, number(&**event));
    let servers = || vec![Server::bed(event)];
    Ok(within(state.standing(), wait, on, servers, event.wait_set()).await?)
}
