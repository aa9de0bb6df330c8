//! Locks.

use super::error::{Error, Result};
use super::wait::within;
use crate::account::OBJECT;
use crate::lock::HostLock;
use crate::object::Object;
use crate::state::State;
use crate::table::Table;
use crate::waiting::number;
use procbox_core::Wait;
use procbox_core::observe::{self, Operation};
use procbox_core::raw::Acquired;

#[inline]
fn find(table: &Table, handle: i32) -> Result<&HostLock> {
    match table.get(handle) {
        Some(Object::Lock(lock)) => Ok(lock),
        _ => Err(Error::BadHandle),
    }
}

/// A new lock.
pub(crate) fn new(state: &mut State) -> Result<i32> {
    let lock = HostLock::new(state.runtime().clone(), state.account().charge(OBJECT)?);
    observe::show(&lock);
    Ok(state.table.insert(Object::Lock(lock))?)
}

/// Takes a lock if it is free.
#[inline]
pub(crate) fn try_acquire(state: &State, handle: i32) -> Result<Acquired> {
    let lock = find(&state.table, handle)?;
    let acquired = lock.try_acquire(state.holder());
    Ok(acquired.unwrap_or(Err(procbox_core::Error::TimedOut))?)
}

/// Takes a lock, waiting.
pub(crate) async fn acquire(state: &mut State, handle: i32, wait: Wait) -> Result<Acquired> {
    let me = state.holder();
    let lock = find(&state.table, handle)?;
    let on = (Operation::LockAcquire, number(lock));
    let servers = || vec![lock.server()];
    Ok(within(state.standing(), wait, on, servers, lock.acquire_as(me)).await?)
}

/// Gives a lock back.
#[inline]
pub(crate) fn release(state: &State, handle: i32) -> Result<()> {
    Ok(find(&state.table, handle)?.release_as(state.holder())?)
}
