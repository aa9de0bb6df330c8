//! Who waits for a condition, and who is woken: the arithmetic on its ledger.
//!
//! # Who is woken
//!
//! A notification is for those who waited when it was given, not for those who come later. So those who
//! wait stand in two groups. On the ledger each group has the number of those who wait in it, and the
//! number of *calls*, notifications that are there to be taken by any of it. Who comes stands in a group
//! without calls, so that it takes none that was not meant for it. A notification is a call for the
//! group whose *turn* it is, until each of that group has one, and then for the other.
//!
//! If both groups have calls that were not taken yet, who comes is *late*: it stands aside, and goes on
//! at the next notification of all, whether that was for it or not.
//!
//! # Who dies
//!
//! A process's line has the numbers of its threads that wait, so they come off when it dies. Calls are
//! nobody's until they are taken. Where more are left than there are who wait, they go to the other
//! group, whoever came when: a notification is lost only with one who has taken it and, by that, woken.

use crate::ledger::{less, take_lost};
use crate::raw::Page;

/// Those who wait in each group.
const WAITING: [usize; 2] = [0, 1];
/// The calls of each group.
const CALLS: [usize; 2] = [2, 3];
/// The group whose turn it is.
const TURN: usize = 4;
/// Those who are late.
const LATE: usize = 5;
/// The number of notifications since which somebody was late.
const ROUND: usize = 6;

/// The lane of a process's threads that are late, and those of the groups.
const LATE_LANE: usize = 0;
const LANES: [usize; 2] = [1, 2];

/// The bell that those who are late listen to, beside the first group.
pub(super) const LATE_BELL: usize = 0;

/// The place of one who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In this group, whose bell has the same number.
    Group(usize),
    /// Aside, since this round.
    Late(u64),
}

/// As many as there are without a call get one, but not more than so many; how many that were.
fn call(page: &mut Page, group: usize, most: u64) -> u64 {
    let without = page.words[WAITING[group]].saturating_sub(page.words[CALLS[group]]);
    let called = without.min(most);
    if called > 0 {
        page.words[CALLS[group]] = page.words[CALLS[group]].saturating_add(called);
        wake(page, group, called);
    }
    called
}

/// All who are late go on.
fn call_late(page: &mut Page) {
    if page.words[LATE] > 0 {
        page.words[ROUND] = page.words[ROUND].wrapping_add(1);
        page.ring(LATE_BELL);
    }
}

/// So many of a group are to look.
fn wake(page: &mut Page, group: usize, n: u64) {
    // Those who are late listen to the same bell, and could be those who are woken.
    if group == LATE_BELL && page.words[LATE] > 0 {
        return page.ring(group);
    }
    let n = u32::try_from(n).unwrap_or(u32::MAX);
    page.ring[group] = page.ring[group].saturating_add(n);
}

/// Calls that nobody of the group is left to take go to the other.
fn pass_on(page: &mut Page, group: usize) {
    let waiting = page.words[WAITING[group]];
    let over = page.words[CALLS[group]].saturating_sub(waiting);
    if over > 0 {
        page.words[CALLS[group]] = waiting;
        if call(page, 1 - group, over) < over {
            call_late(page);
        }
    }
}

/// Takes off those who died.
fn repair(page: &mut Page) {
    let late = take_lost(page, LATE_LANE);
    less(&mut page.words[LATE], late);
    for group in [0, 1] {
        let lost = take_lost(page, LANES[group]);
        if lost > 0 {
            less(&mut page.words[WAITING[group]], lost);
            pass_on(page, group);
            wake(page, group, u64::MAX);
        }
    }
}

/// One more waits.
pub(super) fn come(page: &mut Page) -> Place {
    repair(page);
    let turn = (page.words[TURN] % 2) as usize;
    let Some(group) = [1 - turn, turn].into_iter().find(|group| page.words[CALLS[*group]] == 0)
    else {
        page.words[LATE] = page.words[LATE].saturating_add(1);
        page.mine[LATE_LANE] = page.mine[LATE_LANE].saturating_add(1);
        return Place::Late(page.words[ROUND]);
    };
    page.words[WAITING[group]] = page.words[WAITING[group]].saturating_add(1);
    page.mine[LANES[group]] = page.mine[LANES[group]].saturating_add(1);
    Place::Group(group)
}

/// One less waits.
fn go(page: &mut Page, place: Place) {
    match place {
        Place::Group(group) => {
            less(&mut page.words[WAITING[group]], 1);
            page.mine[LANES[group]] = page.mine[LANES[group]].saturating_sub(1);
        }
        Place::Late(_) => {
            less(&mut page.words[LATE], 1);
            page.mine[LATE_LANE] = page.mine[LATE_LANE].saturating_sub(1);
        }
    }
}

/// Takes a call, if there is one for this place, and goes.
pub(super) fn take(page: &mut Page, place: Place) -> bool {
    repair(page);
    let is_called = match place {
        Place::Group(group) => page.words[CALLS[group]] > 0,
        Place::Late(round) => page.words[ROUND] != round,
    };
    if is_called {
        if let Place::Group(group) = place {
            less(&mut page.words[CALLS[group]], 1);
        }
        go(page, place);
    }
    is_called
}

/// Goes without a call.
pub(super) fn give_up(page: &mut Page, place: Place) {
    repair(page);
    go(page, place);
    if let Place::Group(group) = place {
        pass_on(page, group);
        // It may be this one that was woken for what is there.
        if page.words[CALLS[group]] > 0 {
            wake(page, group, 1);
        }
    }
}

/// Notifies so many, and says how many there were.
pub(super) fn notify(page: &mut Page, most: u64) -> u64 {
    repair(page);
    let turn = (page.words[TURN] % 2) as usize;
    let mut called = call(page, turn, most);
    if called < most {
        page.words[TURN] = 1 - turn as u64;
        called += call(page, 1 - turn, most - called);
    }
    if most > 0 {
        call_late(page);
        called += page.words[LATE].min(most - called);
    }
    called
}

#[cfg(test)]
mod tests;
