//! Semaphores; what the process has taken of each is in `permits`.

use super::error::{Error, Result};
use super::wait::within;
use crate::account::OBJECT;
use crate::blocked::Server;
use crate::object::Object;
use crate::semaphore::HostSemaphore;
use crate::state::State;
use crate::table::Table;
use crate::waiting::number;
use procbox_core::Wait;
use procbox_core::observe::Operation;
use procbox_core::raw::RawSemaphore;
use std::sync::Arc;

#[inline]
fn find(table: &Table, handle: i32) -> Result<&Arc<HostSemaphore>> {
    match table.get(handle) {
        Some(Object::Semaphore(semaphore)) => Ok(semaphore),
        _ => Err(Error::BadHandle),
    }
}

/// A new semaphore.
pub(crate) fn new(state: &mut State, permits: usize) -> Result<i32> {
    let charge = state.account().charge(OBJECT)?;
    let semaphore = HostSemaphore::new(state.runtime().clone(), permits, charge);
    Ok(state.table.insert(Object::Semaphore(semaphore))?)
}

/// Takes a permit if there is one.
#[inline]
pub(crate) fn try_acquire(state: &mut State, handle: i32) -> Result<()> {
    let semaphore = find(&state.table, handle)?;
    semaphore.try_take().unwrap_or(Err(procbox_core::Error::TimedOut))?;
    state.permits.took(semaphore);
    Ok(())
}

/// Takes a permit, waiting.
pub(crate) async fn acquire(state: &mut State, handle: i32, wait: Wait) -> Result<()> {
    let semaphore = find(&state.table, handle)?;
    let on = (Operation::SemaphoreAcquire, number(&**semaphore));
    let servers = || vec![Server::referrers(semaphore)];
    within(state.standing(), wait, on, servers, semaphore.take()).await?;
    state.permits.took(semaphore);
    Ok(())
}

/// Gives a permit back.
#[inline]
pub(crate) fn release(state: &mut State, handle: i32) -> Result<()> {
    let semaphore = find(&state.table, handle)?;
    state.permits.gave(semaphore);
    Ok(semaphore.give(1)?)
}

/// Turns a permit of the process into one that does not come back.
pub(crate) fn forget(state: &mut State, handle: i32) -> Result<()> {
    state.permits.gave(find(&state.table, handle)?);
    Ok(())
}

/// Permits that are free now.
pub(crate) fn available(state: &State, handle: i32) -> Result<usize> {
    Ok(find(&state.table, handle)?.available())
}
