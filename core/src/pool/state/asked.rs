//! What single tasks ask for, against the bookkeeping alone.

use super::tests::{Numbers, actions, plain_rules};
use super::*;
use crate::pool::exchange::Death;
use crate::pool::options::Depth;
use crate::time::Clock;
use std::time::Duration;

type Pool = State<Numbers, usize>;

/// One task with what it asks for; its sink is its number.
fn submit(state: &mut Pool, asked: Asked) {
    let n = state.counters().submitted;
    state.submit(Numbers(vec![n]), n as usize, 0, Some(Arc::new(asked))).unwrap();
}

fn of_priority(priority: i32) -> Asked {
    Asked { priority, ..Asked::default() }
}

fn fresh() -> Asked {
    Asked { fresh: true, ..Asked::default() }
}

fn answer(state: &mut Pool, slot: usize, id: u64) {
    let chunk = state.answered(slot, Some(id)).expect("it has it");
    state.settled(slot, chunk, 1);
}

fn death(status: ExitStatus, unbegun: Vec<u64>) -> Death {
    Death { worker: "w".into(), status, unbegun, delivered: false, printed: None }
}

/// The tasks that are given out now, by slot; the worker's queue gives back all but its first when it is
/// recalled.
fn given(state: &mut Pool) -> Vec<(usize, u64)> {
    let mut given = Vec::new();
    while let Some(action) = state.next_action() {
        match action {
            Action::Give { slot, chunk } => given.push((slot, chunk)),
            Action::Recall(slot) => {
                let queued: Vec<u64> =
                    state.slots[slot].outstanding.iter().skip(1).map(|chunk| chunk.id).collect();
                state.recalled(slot, &queued);
            }
            Action::Start(_) => {}
            other => panic!("{other:?}"),
        }
    }
    given
}

#[test]
fn the_highest_priority_goes_first_and_equals_in_the_order_in_which_they_came() {
    let mut state = Pool::new(Rules { depth: Depth { any: 1, small: 1 }, ..plain_rules() }, 1);
    submit(&mut state, of_priority(0));
    assert_eq!(given(&mut state), [(0, 0)]);
    [0, -1, 5, 0, 5].into_iter().for_each(|priority| submit(&mut state, of_priority(priority)));
    for due in [3, 5, 1, 4, 2] {
        let last = state.oldest(0).unwrap().id;
        answer(&mut state, 0, last);
        assert_eq!(given(&mut state), [(0, due)]);
    }
}

#[test]
fn what_is_urgent_overtakes_what_workers_have_not_begun() {
    let mut state = Pool::new(Rules { depth: Depth { any: 8, small: 8 }, ..plain_rules() }, 2);
    (0..16).for_each(|_| submit(&mut state, of_priority(0)));
    assert_eq!(given(&mut state).len(), 16);
    submit(&mut state, of_priority(1));
    // One at hand beside the one that is being done; the urgent one is first.
    assert_eq!(given(&mut state), [(0, 16), (1, 2)]);
    answer(&mut state, 1, 1);
    assert_eq!(given(&mut state), [(1, 3)]);
    // Nothing of a lower priority is at hand that would be in the way.
    answer(&mut state, 0, 0);
    assert_eq!(given(&mut state), [(0, 4)]);
    submit(&mut state, of_priority(1));
    assert_eq!(given(&mut state), [(0, 17), (1, 3)]);
}

#[test]
fn where_a_worker_is_idle_nothing_is_taken_back() {
    let mut state = Pool::new(Rules { depth: Depth { any: 8, small: 8 }, ..plain_rules() }, 2);
    (0..3).for_each(|_| submit(&mut state, of_priority(0)));
    assert_eq!(given(&mut state), [(0, 0), (1, 1), (0, 2)]);
    answer(&mut state, 1, 1);
    submit(&mut state, of_priority(1));
    assert_eq!(actions(&mut state), [Action::Give { slot: 1, chunk: 3 }]);
}

#[test]
fn a_tasks_own_time_goes_before_that_of_its_pool() {
    let millis = Duration::from_millis;
    for (own, due) in
        [(Some(millis(10)), millis(10)), (Some(millis(5000)), millis(5000)), (None, millis(1000))]
    {
        let mut state = Pool::new(plain_rules(), 1);
        submit(&mut state, Asked { timeout: own, ..Asked::default() });
        assert_eq!(given(&mut state), [(0, 0)]);
        let now = crate::time::SystemClock.now();
        state.tick(now);
        assert_eq!(state.due(), Some(now + due));
    }
}

#[test]
fn a_tasks_own_retries_go_before_those_of_its_pool() {
    for (pool, own, attempts) in [(0, Some(2), 3), (2, Some(0), 1), (1, None, 2)] {
        let mut state = Pool::new(Rules { retries: pool, ..plain_rules() }, 1);
        submit(&mut state, Asked { retries: own, ..Asked::default() });
        for attempt in 1.. {
            assert_eq!(given(&mut state).len(), 1);
            state.ended(0, &death(ExitStatus::exited(3), vec![]));
            let last = state.pending() == 0;
            assert_eq!(last, attempt == attempts);
            if last {
                break;
            }
            actions(&mut state)
                .iter()
                .for_each(|action| assert!(!matches!(action, Action::Fail { .. })));
            let id = state.oldest(0).unwrap().id;
            state.recalled(0, &[id]);
        }
    }
}

#[test]
fn a_task_with_a_process_of_its_own_takes_the_place_of_an_idle_worker() {
    let mut state = Pool::new(plain_rules(), 2);
    submit(&mut state, of_priority(0));
    assert_eq!(given(&mut state), [(0, 0)]);
    submit(&mut state, fresh());
    submit(&mut state, Asked::default());
    assert_eq!(actions(&mut state), [Action::Retire(1)]);
    state.ended(1, &death(ExitStatus::SUCCESS, vec![]));
    // Started with it; the task behind it goes to the worker that is the pool's.
    let both = [Action::Give { slot: 1, chunk: 1 }, Action::Give { slot: 0, chunk: 2 }];
    assert_eq!(actions(&mut state), both);
    answer(&mut state, 1, 1);
    assert_eq!(actions(&mut state), [], "it does no other");
    state.ended(1, &death(ExitStatus::SUCCESS, vec![]));
    assert_eq!(actions(&mut state), [Action::Start(1)]);
    assert_eq!((state.counters().replaced, state.counters().failed), (0, 0));
}

#[test]
fn a_task_with_a_process_of_its_own_waits_for_a_place_and_nothing_gets_before_it() {
    let mut state = Pool::new(plain_rules(), 1);
    submit(&mut state, Asked::default());
    assert_eq!(given(&mut state), [(0, 0)]);
    submit(&mut state, fresh());
    submit(&mut state, Asked::default());
    assert_eq!(actions(&mut state), []);
    answer(&mut state, 0, 0);
    assert_eq!(actions(&mut state), [Action::Retire(0)]);
    state.ended(0, &death(ExitStatus::SUCCESS, vec![]));
    assert_eq!(actions(&mut state), [Action::Give { slot: 0, chunk: 1 }]);
    // It ends before it has begun its task, which is the task's end too.
    state.ended(0, &death(ExitStatus::exited(1), vec![1]));
    let all = actions(&mut state);
    let [Action::Fail { sink: 1, .. }, Action::Start(0), Action::Give { slot: 0, chunk: 2 }] =
        all[..]
    else {
        panic!("{all:?}")
    };
}

#[test]
fn who_is_told_to_end_and_is_slow_is_not_to_blame() {
    let mut state = Pool::new(plain_rules(), 1);
    assert_eq!(actions(&mut state), [Action::Start(0)]);
    // More often than starts may fail, each time at its initializer still.
    for round in 0..10u64 {
        submit(&mut state, fresh());
        assert_eq!(actions(&mut state), [Action::Retire(0)]);
        let now = crate::time::SystemClock.now();
        state.tick(now);
        state.tick(state.due().unwrap());
        assert_eq!(actions(&mut state), [Action::Kill(0)]);
        let status = state.verdict(0, ExitStatus::signaled(crate::signal::KILL));
        assert_eq!(status.limit(), Some(crate::Limit::WallClock));
        state.ended(0, &death(status, vec![]));
        assert_eq!(actions(&mut state), [Action::Give { slot: 0, chunk: round }]);
        answer(&mut state, 0, round);
        state.ended(0, &death(ExitStatus::SUCCESS, vec![]));
        assert_eq!(actions(&mut state), [Action::Start(0)]);
    }
    let counters = state.counters();
    assert_eq!((counters.done, counters.failed, counters.replaced), (10, 0, 0));
}

#[test]
fn one_that_has_answered_makes_room_rather_than_one_that_may_be_starting() {
    let mut state = Pool::new(plain_rules(), 3);
    (0..3).for_each(|_| submit(&mut state, Asked::default()));
    assert_eq!(given(&mut state), [(0, 0), (1, 1), (2, 2)]);
    // The first two are replaced, the third has answered.
    for slot in [0, 1] {
        state.ended(slot, &death(ExitStatus::exited(3), vec![]));
    }
    answer(&mut state, 2, 2);
    let starts = actions(&mut state);
    assert!(starts.contains(&Action::Start(0)) && starts.contains(&Action::Start(1)));
    submit(&mut state, fresh());
    assert_eq!(actions(&mut state), [Action::Retire(2)]);
}

#[test]
fn a_process_that_cannot_be_fails_the_task_that_asked_for_it_and_no_pool() {
    let mut state = Pool::new(plain_rules(), 1);
    submit(&mut state, Asked { memory: Some(1), ..Asked::default() });
    submit(&mut state, Asked::default());
    assert_eq!(actions(&mut state), [Action::Give { slot: 0, chunk: 0 }]);
    state.refused(0, 0, Refusal::NotStarted(Error::NotGranted("start processes")));
    let all = actions(&mut state);
    let [Action::Fail { sink: 0, .. }, Action::Start(0), Action::Give { slot: 0, chunk: 1 }] =
        all[..]
    else {
        panic!("{all:?}")
    };
}
