//! Semaphores; what the process has taken of each is in `permits`.

use super::error::Result;
use super::foreign;
use super::wait::within;
use crate::account::OBJECT;
use crate::blocked::Server;
use crate::object::Object;
use crate::semaphore::HostSemaphore;
use crate::state::State;
use crate::waiting::number;
use procbox_core::Wait;
use procbox_core::observe::Operation;
use procbox_core::raw::{Handle, RawContext, RawSemaphore};

/// A new semaphore.
pub(crate) fn new(state: &mut State, permits: usize) -> Result<i32> {
    if state.environment.maker().is_some() {
        let made = |maker: &dyn RawContext| Ok(Handle::Semaphore(maker.semaphore(permits)?));
        return foreign::new(state, foreign::SMALL, made);
    }
    let charge = state.account().charge(OBJECT)?;
    let semaphore = HostSemaphore::new(state.runtime().clone(), permits, charge);
    Ok(state.table.insert(Object::Semaphore(semaphore))?)
}

/// Takes a permit if there is one.
#[inline]
pub(crate) fn try_acquire(state: &mut State, handle: i32) -> Result<()> {
    let Some(Object::Semaphore(semaphore)) = state.table.get(handle) else {
        return foreign::try_acquire(state, handle);
    };
    semaphore.try_take().unwrap_or(Err(procbox_core::Error::TimedOut))?;
    state.permits.took(semaphore);
    Ok(())
}

/// Takes a permit, waiting.
pub(crate) async fn acquire(state: &mut State, handle: i32, wait: Wait) -> Result<()> {
    let Some(Object::Semaphore(semaphore)) = state.table.get(handle) else {
        return foreign::acquire(state, handle, wait).await;
    };
    let on = (Operation::SemaphoreAcquire, number(&**semaphore));
    let servers = || vec![Server::referrers(semaphore)];
    within(state.standing(), wait, on, servers, semaphore.take()).await?;
    state.permits.took(semaphore);
    Ok(())
}

/// Gives a permit back.
#[inline]
pub(crate) fn release(state: &mut State, handle: i32) -> Result<()> {
    let Some(Object::Semaphore(semaphore)) = state.table.get(handle) else {
        return foreign::release(state, handle);
    };
    state.permits.gave(semaphore);
    Ok(semaphore.give(1)?)
}

/// Turns a permit of the process into one that does not come back.
pub(crate) fn forget(state: &mut State, handle: i32) -> Result<()> {
    match state.table.get(handle) {
        Some(Object::Semaphore(semaphore)) => {
            state.permits.gave(semaphore);
        }
        _ => foreign::forget(state, handle)?,
    }
    Ok(())
}

/// Permits that are free now.
pub(crate) fn available(state: &State, handle: i32) -> Result<usize> {
    match state.table.get(handle) {
        Some(Object::Semaphore(semaphore)) => Ok(semaphore.available()),
        _ => foreign::available(state, handle),
    }
}
