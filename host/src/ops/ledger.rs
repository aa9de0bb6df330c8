//! Ledgers; the process's own lines are in `lines`.

use super::error::{Error, Result};
use super::wait::within;
use crate::account::OBJECT;
use crate::blocked::Server;
use crate::ledger::{HostLedger, Written};
use crate::object::Object;
use crate::state::State;
use crate::table::Table;
use crate::waiting::number;
use procbox_core::Wait;
use procbox_core::observe::Operation;
use procbox_core::raw::Page;
use std::sync::Arc;

fn find(table: &Table, handle: i32) -> Result<&Arc<HostLedger>> {
    match table.get(handle) {
        Some(Object::Ledger(ledger)) => Ok(ledger),
        _ => Err(Error::BadHandle),
    }
}

/// A new ledger.
pub(crate) fn new(state: &mut State) -> Result<i32> {
    let ledger = HostLedger::new(state.runtime().clone(), state.account().charge(OBJECT)?);
    Ok(state.table.insert(Object::Ledger(ledger))?)
}

/// Says whether there is such a ledger: before all else that may be wrong.
pub(crate) fn check(state: &State, handle: i32) -> Result<()> {
    find(&state.table, handle).map(|_| ())
}

/// The page, with the process's own line on it.
pub(crate) fn read(state: &State, handle: i32) -> Result<(Written, u64)> {
    let ledger = find(&state.table, handle)?;
    Ok((ledger.read(), state.lines.get(ledger)))
}

/// Puts a page and the process's line in force, if there was no change since this version.
pub(crate) fn write(
    state: &mut State,
    handle: i32,
    version: u64,
    page: &Page,
    line: u64,
) -> Result<bool> {
    let ledger = find(&state.table, handle)?;
    let account = &state.process.tree.account;
    Ok(state.lines.set(account, ledger, line, || ledger.write(version, page))?)
}

/// Waits until a bell has been rung more often than that, or less, as it wraps around.
pub(crate) async fn wait(
    state: &mut State,
    handle: i32,
    bell: usize,
    seen: u32,
    wait: Wait,
) -> Result<()> {
    let ledger = find(&state.table, handle)?;
    let on = (Operation::LedgerWait, number(&**ledger));
    let servers = || vec![Server::referrers(ledger)];
    Ok(within(state.standing(), wait, on, servers, ledger.rung_since(bell, seen)).await?)
}
