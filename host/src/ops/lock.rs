//! Locks.

use super::error::Result;
use super::foreign;
use super::wait::within;
use crate::account::OBJECT;
use crate::lock::HostLock;
use crate::object::Object;
use crate::state::State;
use crate::waiting::number;
use procbox_core::Wait;
use procbox_core::observe::{self, Operation};
use procbox_core::raw::{Acquired, Handle};

/// A new lock.
pub(crate) fn new(state: &mut State) -> Result<i32> {
    if state.environment.maker().is_some() {
        return foreign::new(state, foreign::SMALL, |maker| Ok(Handle::Lock(maker.lock()?)));
    }
    let lock = HostLock::new(state.runtime().clone(), state.account().charge(OBJECT)?);
    observe::show(&lock);
    Ok(state.table.insert(Object::Lock(lock))?)
}

/// Takes a lock if it is free.
#[inline]
pub(crate) fn try_acquire(state: &State, handle: i32) -> Result<Acquired> {
    let Some(Object::Lock(lock)) = state.table.get(handle) else {
        return foreign::try_lock(state, handle);
    };
    let acquired = lock.try_acquire(state.holder());
    Ok(acquired.unwrap_or(Err(procbox_core::Error::TimedOut))?)
}

/// Takes a lock, waiting.
pub(crate) async fn acquire(state: &mut State, handle: i32, wait: Wait) -> Result<Acquired> {
    let me = state.holder();
    let Some(Object::Lock(lock)) = state.table.get(handle) else {
        return foreign::lock(state, handle, wait).await;
    };
    let on = (Operation::LockAcquire, number(&**lock));
    let servers = || vec![lock.server()];
    Ok(within(state.standing(), wait, on, servers, lock.acquire_as(me)).await?)
}

/// Gives a lock back.
#[inline]
pub(crate) fn release(state: &State, handle: i32) -> Result<()> {
    match state.table.get(handle) {
        Some(Object::Lock(lock)) => Ok(lock.release_as(state.holder())?),
        _ => foreign::unlock(state, handle),
    }
}
