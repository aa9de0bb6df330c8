//! Workers that would hold a pool, against the bookkeeping alone: whatever they do, each is ended or the
//! pool is, and what the honest have is not lost.

use super::tests::{Numbers, actions, plain_rules, submit};
use super::*;
use crate::pool::exchange::Death;
use crate::pool::options::Depth;
use crate::pool::record::DESERTIONS;
use crate::pool::slot::LEAVING;
use crate::signal;
use crate::time::Clock;
use std::time::Duration;

type Pool = State<Numbers, usize>;

fn death(status: ExitStatus, unbegun: Vec<u64>) -> Death {
    Death { worker: "w".into(), status, unbegun, delivered: false, printed: None }
}

/// The chunks that are given out now, by slot; what else there is to do is done.
fn given(state: &mut Pool) -> Vec<(usize, u64)> {
    let give = |action| match action {
        Action::Give { slot, chunk } => Some((slot, chunk)),
        _ => None,
    };
    actions(state).into_iter().filter_map(give).collect()
}

/// The tasks of a chunk that a slot has.
fn tasks_of(state: &Pool, slot: usize, id: u64) -> Vec<u64> {
    let chunk = state.slots[slot].outstanding.iter().find(|chunk| chunk.id == id);
    chunk.map(|chunk| chunk.work.0.clone()).unwrap_or_default()
}

fn answer(state: &mut Pool, slot: usize, id: u64) {
    let chunk = state.answered(slot, Some(id)).expect("it has it");
    let count = chunk.work.len();
    state.settled(slot, chunk, count);
}

#[test]
fn a_worker_that_keeps_a_task_and_answers_others_is_killed() {
    let mut state = Pool::new(plain_rules(), 1);
    submit(&mut state, 1);
    submit(&mut state, 1);
    assert_eq!(given(&mut state), [(0, 0), (0, 1)]);
    assert!(state.answered(0, Some(1)).is_none());
    assert_eq!(actions(&mut state), [Action::Kill(0)]);
}

/// The first worker answers all that it gets, of the other each process ends with this status and has
/// not taken its tasks. How many of those there are until the pool is broken, and why it is.
fn beside_an_honest_one(status: ExitStatus, answers_first: bool) -> (u32, Error) {
    let rules = Rules { task_timeout: None, ..plain_rules() };
    let mut state = Pool::new(rules, 2);
    let mut now = crate::time::SystemClock.now();
    let mut at_hand = [Vec::new(), Vec::new()];
    for processes in 1..1000 {
        while at_hand[1].len() < 2 {
            (0..4).for_each(|_| submit(&mut state, 1));
            for (slot, id) in given(&mut state) {
                at_hand[slot].push(id);
            }
            at_hand[0].drain(..).for_each(|id| answer(&mut state, 0, id));
        }
        if answers_first {
            answer(&mut state, 1, at_hand[1].remove(0));
        }
        state.ended(1, &death(status, std::mem::take(&mut at_hand[1])));
        for action in actions(&mut state) {
            match action {
                Action::Fail { error, .. } => {
                    assert!(state.submit(Numbers(vec![0]), 0, 0, None).is_err());
                    return (processes, error);
                }
                Action::Give { slot, chunk } => at_hand[slot].push(chunk),
                _ => {}
            }
        }
        state.tick(now);
        now += Duration::from_secs(1);
        state.tick(now);
    }
    panic!("it is started for ever");
}

#[test]
fn workers_that_return_without_their_tasks_break_the_pool_though_others_answer() {
    for answers_first in [false, true] {
        let (processes, error) = beside_an_honest_one(ExitStatus::SUCCESS, answers_first);
        assert_eq!(processes, DESERTIONS + u32::from(answers_first));
        let why = "w returns again and again before its tasks are done";
        assert_eq!(error, Error::PoolBroken(why.into()));
    }
}

#[test]
fn workers_that_die_before_they_do_anything_break_the_pool_though_others_answer() {
    let (processes, error) = beside_an_honest_one(ExitStatus::exited(3), false);
    let why = "w exited with code 3 (attempt 32)";
    assert_eq!((processes, error), (32, Error::PoolBroken(why.into())));
    let (processes, _) = beside_an_honest_one(ExitStatus::signaled(signal::KILL), false);
    assert_eq!(processes, 200);
}

#[test]
fn workers_that_die_between_tasks_break_nothing() {
    let rules = Rules { task_timeout: None, ..plain_rules() };
    let mut state = Pool::new(rules, 1);
    for _ in 0..1000 {
        submit(&mut state, 1);
        submit(&mut state, 1);
        let ids = given(&mut state);
        answer(&mut state, 0, ids[0].1);
        let rest = ids[1..].iter().map(|(_, id)| *id).collect();
        state.ended(0, &death(ExitStatus::exited(101), rest));
    }
    assert_eq!((state.counters().failed, state.counters().replaced), (0, 1000));
}

#[test]
fn a_worker_that_answers_half_a_chunk_gets_no_more_and_has_to_end() {
    let rules = Rules { task_timeout: None, ..plain_rules() };
    let mut state = Pool::new(rules, 1);
    submit(&mut state, 3);
    submit(&mut state, 1);
    assert_eq!(given(&mut state), [(0, 0), (0, 1)]);
    let chunk = state.answered(0, Some(0)).unwrap();
    state.settled(0, chunk, 1);
    assert_eq!(actions(&mut state), [], "the rest is for another");
    let now = crate::time::SystemClock.now();
    state.tick(now);
    assert_eq!(state.due(), Some(now + LEAVING));
    // It was to end, and goes on.
    assert!(state.answered(0, Some(1)).is_none());
    assert_eq!(actions(&mut state), [Action::Kill(0)]);
}

#[test]
fn a_worker_that_is_out_of_time_gets_no_more() {
    let mut state = Pool::new(plain_rules(), 1);
    submit(&mut state, 1);
    assert_eq!(given(&mut state), [(0, 0)]);
    let now = crate::time::SystemClock.now();
    state.tick(now);
    state.tick(now + Duration::from_secs(1));
    submit(&mut state, 1);
    assert_eq!(actions(&mut state), [Action::Kill(0)]);
}

#[test]
fn what_a_worker_has_not_begun_goes_back_in_the_order_in_which_it_was_given() {
    let rules = Rules { depth: Depth { any: 3, small: 3 }, ..plain_rules() };
    let mut state = Pool::new(rules, 1);
    (0..4).for_each(|_| submit(&mut state, 1));
    assert_eq!(given(&mut state), [(0, 0), (0, 1), (0, 2)]);
    answer(&mut state, 0, 0);
    assert_eq!(given(&mut state), [(0, 3)]);
    // It has them in its hands, and puts them back as it likes.
    state.ended(0, &death(ExitStatus::exited(1), vec![3, 1, 7, 1, 2]));
    let again: Vec<_> = given(&mut state);
    let tasks: Vec<_> = again.iter().flat_map(|(slot, id)| tasks_of(&state, *slot, *id)).collect();
    assert_eq!(tasks, [1, 2, 3]);
}

#[test]
fn a_worker_that_closes_its_queue_is_killed_though_it_is_at_a_task() {
    let mut state = Pool::new(plain_rules(), 1);
    submit(&mut state, 1);
    submit(&mut state, 1);
    assert_eq!(given(&mut state), [(0, 0), (0, 1)]);
    state.refused(0, 1, Refusal::Closed);
    assert_eq!(actions(&mut state), [Action::Kill(0)]);
}

#[test]
fn a_broken_pool_ends_all_its_workers() {
    let mut state = Pool::new(plain_rules(), 2);
    (0..2).for_each(|_| submit(&mut state, 1));
    assert_eq!(given(&mut state), [(0, 0), (1, 1)]);
    state.ended(1, &death(ExitStatus::exited(1), vec![1]));
    actions(&mut state);
    state.started(1, Err(Error::NotGranted("start processes")));
    let kills = actions(&mut state).into_iter().filter(|action| *action == Action::Kill(0));
    assert_eq!(kills.count(), 1);
}

#[test]
fn a_worker_that_is_killed_for_a_cancelled_task_is_replaced_at_once_and_nothing_is_held_against_it()
{
    let mut state = Pool::new(Rules { retries: 3, ..plain_rules() }, 1);
    for _ in 0..1000 {
        let sink = state.counters().submitted as usize;
        state.submit(Numbers(vec![sink as u64]), sink, 0, None).unwrap();
        assert_eq!(given(&mut state).len(), 1);
        assert!(state.cancel_begun(0, |other| *other == sink));
        let all = actions(&mut state);
        let [Action::Kill(0), Action::Fail { error: Error::Cancelled, .. }] = &all[..] else {
            panic!("{all:?}")
        };
        state.ended(0, &death(ExitStatus::signaled(signal::KILL), Vec::new()));
    }
    let counters = state.counters();
    assert_eq!((counters.failed, counters.retried, counters.replaced), (1000, 0, 1000));
}

#[test]
fn only_a_worker_whose_tasks_are_short_has_many_at_hand() {
    let depth = Depth { any: 2, small: 6 };
    let mut state = Pool::new(Rules { depth, task_timeout: None, ..plain_rules() }, 1);
    (0..80).for_each(|_| submit(&mut state, 1));
    let mut at_hand: Vec<u64> = given(&mut state).into_iter().map(|(_, id)| id).collect();
    let mut look = |state: &mut Pool, answers: usize| {
        at_hand.drain(..answers).for_each(|id| answer(state, 0, id));
        state.swept(0, answers);
        at_hand.extend(given(state).into_iter().map(|(_, id)| id));
        at_hand.len()
    };
    assert_eq!((look(&mut state, 1), look(&mut state, 2)), (2, 2));
    state.swept(0, 4);
    assert_eq!((look(&mut state, 1), look(&mut state, 4)), (6, 6));
    for _ in 1..32 {
        assert_eq!(look(&mut state, 1), 6);
    }
    // What it has, it keeps; it gets no more before it has done most of that.
    assert_eq!((look(&mut state, 1), look(&mut state, 1)), (5, 4));
}

#[test]
fn the_time_of_a_task_that_was_just_given_is_known_after_one_look_at_the_clock() {
    let mut state = Pool::new(plain_rules(), 1);
    submit(&mut state, 1);
    let now = crate::time::SystemClock.now();
    // As after a pause: started and given its task between a look at the clock and a sleep.
    state.tick(now);
    assert_eq!(given(&mut state), [(0, 0)]);
    assert!(state.awaits_clock() && state.due().is_none());
    state.tick(now);
    assert!(!state.awaits_clock());
    assert_eq!(state.due(), Some(now + Duration::from_secs(1)));
}
