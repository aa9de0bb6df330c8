//! Where an item of a joinable queue is: the arithmetic on its ledger.
//!
//! It is a `Queue`, and beside it a ledger. An item is in the queue, or on the way out of it, or taken
//! and not done: the ledger has the numbers of the latter two, and each process's line its own. Who takes
//! an item says so before it does, and says after it whether there was one. So there is no moment at
//! which an item is nowhere; and of a process that dies the others know how many it had.
//!
//! Who waits for an item sleeps at the ledger, not at the queue. So one that waits has nothing, and
//! nothing is lost with it.

use crate::ledger::{less, take_lost};
use crate::raw::Page;

/// Items that were taken and are not done.
pub(super) const UNDONE: usize = 0;
/// Processes, or threads of them, that are about to take one.
pub(super) const TAKING: usize = 1;
/// Items of those who died before they marked them done.
pub(super) const LOST: usize = 2;
/// How often anybody was about to take one.
pub(super) const TAKES: usize = 3;

/// The lanes of a process: its items, how many of it are about to take one, and to put one or to close
/// the queue.
pub(super) const ITEMS: usize = 0;
pub(super) const TAKES_ONE: usize = 1;
pub(super) const PUTS: usize = 2;

/// For those who wait for an item.
pub(super) const PUT: usize = 0;
/// For those who wait until all are done.
pub(super) const ALL_DONE: usize = 1;

/// What the dead had is lost.
pub(super) fn repair(page: &mut Page) {
    let [items, takes, puts] = [ITEMS, TAKES_ONE, PUTS].map(|lane| take_lost(page, lane));
    less(&mut page.words[UNDONE], items);
    less(&mut page.words[TAKING], takes);
    page.words[LOST] = page.words[LOST].saturating_add(items).saturating_add(takes);
    if items + takes + puts > 0 {
        page.ring(PUT);
        page.ring(ALL_DONE);
    }
}

/// One is about to take an item.
pub(super) fn begin_to_take(page: &mut Page) {
    repair(page);
    page.words[TAKING] = page.words[TAKING].saturating_add(1);
    page.words[TAKES] = page.words[TAKES].wrapping_add(1);
    page.mine[TAKES_ONE] = page.mine[TAKES_ONE].saturating_add(1);
}

/// It has taken one, or there was none.
pub(super) fn end_taking(page: &mut Page, has_one: bool, are_more: bool) {
    repair(page);
    less(&mut page.words[TAKING], 1);
    page.mine[TAKES_ONE] = page.mine[TAKES_ONE].saturating_sub(1);
    if has_one {
        page.words[UNDONE] = page.words[UNDONE].saturating_add(1);
        page.mine[ITEMS] = page.mine[ITEMS].saturating_add(1);
        // Others may have found the way to them barred by this one, if it was stopped.
        if are_more {
            page.ring(PUT);
        }
    }
    tell_if_done(page);
}

/// Those who join look whether that was all.
pub(super) fn tell_if_done(page: &mut Page) {
    if page.words[UNDONE] == 0 && page.words[TAKING] == 0 {
        page.ring(ALL_DONE);
    }
}
