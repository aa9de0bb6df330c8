//! When the parties at a barrier go on, and what breaks it: the arithmetic on its ledger.
//!
//! On its ledger: how many parties there are, how many are inside, and what state it is in:
//!
//! - *filling*: parties come in and sleep. The last one makes it
//! - *acting* if it has something to do before all others go on, and then
//! - *draining*: those who sleep leave. The last one makes it *filling* again; who comes meanwhile waits
//!   outside.
//! - *broken*, from filling or acting, when a party gives up or dies, or somebody says so: those who
//!   sleep leave with an error, and so does who comes.
//! - *resetting*: those who sleep leave with an error, the last of them makes it *filling* again.
//!
//! A process's line has how many of its threads are inside. If it dies with one while it is filling or
//! acting, the barrier is broken; while it is draining that is just one less to leave.

use crate::ledger::{Step, less, take_lost};
use crate::raw::Page;

pub(super) const PARTIES: usize = 0;
pub(super) const STATE: usize = 1;
pub(super) const INSIDE: usize = 2;

pub(super) const FILLING: u64 = 0;
pub(super) const ACTING: u64 = 1;
pub(super) const DRAINING: u64 = 2;
pub(super) const BROKEN: u64 = 3;
pub(super) const RESETTING: u64 = 4;

/// The lane of a process's threads that are inside.
pub(super) const IN: usize = 0;
/// For those who sleep inside.
pub(super) const TURN: usize = 0;
/// For those who wait outside.
pub(super) const EMPTY: usize = 1;

/// What one is who has come in.
pub(super) enum Entered {
    /// The last, or not.
    At {
        index: u64,
        is_last: bool,
    },
    Broken,
}

pub(super) fn become_state(page: &mut Page, state: u64) {
    page.words[STATE] = state;
    page.ring(TURN);
    page.ring(EMPTY);
}

/// When all have left it is empty.
pub(super) fn see_to_the_end(page: &mut Page) {
    if page.words[INSIDE] == 0 && matches!(page.words[STATE], DRAINING | RESETTING) {
        become_state(page, FILLING);
    }
}

/// Those who died are not inside any more.
pub(super) fn repair(page: &mut Page) {
    let lost = take_lost(page, IN);
    if lost > 0 {
        less(&mut page.words[INSIDE], lost);
        if matches!(page.words[STATE], FILLING | ACTING) {
            become_state(page, BROKEN);
        }
    }
    see_to_the_end(page);
}

fn enter(page: &mut Page, acts: bool) -> Entered {
    let index = page.words[INSIDE];
    page.words[INSIDE] = index.saturating_add(1);
    page.mine[IN] = page.mine[IN].saturating_add(1);
    let is_last = page.words[INSIDE] >= page.words[PARTIES];
    if is_last {
        become_state(page, if acts { ACTING } else { DRAINING });
    }
    Entered::At { index, is_last }
}

/// Comes in, if it is time to, and unless only the last is to.
pub(super) fn come_in(page: &mut Page, only_last: bool, acts: bool) -> Step<Entered> {
    repair(page);
    match page.words[STATE] {
        BROKEN => Step::Done(Entered::Broken),
        FILLING if !only_last || page.words[INSIDE] + 1 >= page.words[PARTIES] => {
            Step::Done(enter(page, acts))
        }
        _ => Step::Sleep(EMPTY),
    }
}

pub(super) fn leave(page: &mut Page) {
    less(&mut page.words[INSIDE], 1);
    page.mine[IN] = page.mine[IN].saturating_sub(1);
    see_to_the_end(page);
}

/// Leaves, if it is time to, and says whether all had come.
pub(super) fn leave_in_turn(page: &mut Page) -> Step<bool> {
    repair(page);
    match page.words[STATE] {
        FILLING | ACTING => Step::Sleep(TURN),
        state => {
            leave(page);
            Step::Done(state == DRAINING)
        }
    }
}

/// Leaves before it is time to, which breaks the barrier; or in turn, if it is: whether all had come.
pub(super) fn give_up(page: &mut Page) -> Option<bool> {
    if let Step::Done(all_came) = leave_in_turn(page) {
        return Some(all_came);
    }
    become_state(page, BROKEN);
    leave(page);
    None
}
