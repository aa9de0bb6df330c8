//! Regions of shared bytes.

use super::error::{Error, Result};
use super::foreign;
use super::wait::within;
use crate::account::OBJECT;
use crate::blocked::Server;
use crate::object::Object;
use crate::region::HostRegion;
use crate::state::State;
use crate::table::Table;
use crate::waiting::number;
use procbox_core::Wait;
use procbox_core::observe::Operation;
use procbox_core::raw::{AtomicOp, Handle, MAX_REGION, RawRegion};
use std::sync::Arc;

/// A region, of this sandbox or of another backend.
fn find(table: &Table, handle: i32) -> Result<&dyn RawRegion> {
    match table.get(handle) {
        Some(Object::Region(region)) => Ok(&**region),
        _ => Ok(&**foreign::region(table, handle)?.1),
    }
}

/// A new region, whose bytes its tree pays for.
pub(crate) fn new(state: &mut State, bytes: usize) -> Result<i32> {
    if bytes == 0 || bytes > MAX_REGION {
        let why = format!("a region has 1 to {MAX_REGION} bytes");
        return Err(Error::Failed(procbox_core::Error::Invalid(why)));
    }
    state.work.bytes(bytes);
    if state.environment.maker().is_some() {
        let size = foreign::SMALL.saturating_add(bytes);
        return foreign::new(state, size, |maker| Ok(Handle::Region(maker.region(bytes)?)));
    }
    let charge = state.account().charge(OBJECT.saturating_add(bytes))?;
    let region = HostRegion::new(state.runtime().clone(), bytes, charge)?;
    Ok(state.table.insert(Object::Region(Arc::new(region)))?)
}

/// Says whether there is such a region: before all else that may be wrong.
pub(crate) fn check(state: &State, handle: i32) -> Result<()> {
    find(&state.table, handle).map(|_| ())
}

/// The number of its bytes.
pub(crate) fn len(state: &State, handle: i32) -> Result<usize> {
    Ok(find(&state.table, handle)?.len())
}

/// Copies bytes out.
pub(crate) fn read(state: &State, handle: i32, at: usize, into: &mut [u8]) -> Result<()> {
    Ok(find(&state.table, handle)?.read(at, into)?)
}

/// Copies bytes in.
pub(crate) fn write(state: &State, handle: i32, at: usize, bytes: &[u8]) -> Result<()> {
    Ok(find(&state.table, handle)?.write(at, bytes)?)
}

/// Does something to a word; what it was before.
pub(crate) fn atomic(state: &State, handle: i32, at: usize, what: AtomicOp) -> Result<u64> {
    Ok(find(&state.table, handle)?.atomic(at, what)?)
}

/// Waits until a word is another than this.
pub(crate) async fn wait(
    state: &mut State,
    handle: i32,
    at: usize,
    is: u64,
    wait: Wait,
) -> Result<()> {
    let Some(Object::Region(region)) = state.table.get(handle) else {
        return foreign::wait_word(state, handle, (at, is), wait).await;
    };
    let on = (Operation::RegionWait, number(&**region));
    let servers = || vec![Server::Unknown];
    Ok(within(state.standing(), wait, on, servers, region.is_another(at, is)).await?)
}

/// All who wait look again.
pub(crate) fn notify(state: &State, handle: i32) -> Result<()> {
    find(&state.table, handle)?.notify();
    Ok(())
}
