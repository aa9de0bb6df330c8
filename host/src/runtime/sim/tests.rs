//! Simulations of tasks without guests.

use super::super::{Runtime, Seat, Share, WEIGHT};
use super::{Policy, Sim};
use crate::wait_list::WaitList;
use crate::waiting;
use procbox_core::time::Deadline;
use procbox_core::{Error, Result, Wait};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// Whoever could go on first.
struct InTurn;

impl Policy for InTurn {
    fn choose(&mut self, _: &[u32]) -> usize {
        0
    }
}

fn simulated(seed: u64) -> Arc<Runtime> {
    Runtime::sim(seed, None, |_| {})
}

fn in_turn() -> Arc<Runtime> {
    Runtime::new(Sim::with_policy(0, None, |_| {}, Box::new(InTurn)))
}

fn after(runtime: &Runtime, time: Duration) -> Deadline {
    Wait::AtMost(time).deadline(&**runtime.clock())
}

/// Sleeps on the calling thread.
fn sleep(runtime: &Arc<Runtime>, time: Duration) -> Result<()> {
    let slept = async {
        runtime.sleep_until(after(runtime, time)).await;
        Ok(())
    };
    runtime.block_on(slept, Deadline::from(None), false)
}

/// Who went on in which order, of tasks that give way a few times.
fn order(runtime: &Arc<Runtime>) -> Vec<u32> {
    let order = Arc::new(Mutex::new(Vec::new()));
    for pid in 2..6 {
        let (order, runtime2) = (order.clone(), runtime.clone());
        runtime.spawn(Seat::new(pid, Share::new(WEIGHT)), async move {
            for _ in 0..3 {
                runtime2.sleep_until(after(&runtime2, Duration::from_nanos(1))).await;
                order.lock().unwrap().push(pid);
            }
        });
    }
    sleep(runtime, HOUR).unwrap();
    let order = order.lock().unwrap();
    order.clone()
}

#[test]
fn the_same_seed_gives_the_same_order_and_trace() {
    for seed in 0..20 {
        let (one, other) = (simulated(seed), simulated(seed));
        assert_eq!(order(&one), order(&other));
        assert_eq!(one.trace_hash(), other.trace_hash());
    }
}

#[test]
fn seeds_give_different_orders() {
    let mut orders: Vec<Vec<u32>> = (0..20).map(|seed| order(&simulated(seed))).collect();
    orders.sort();
    orders.dedup();
    assert!(orders.len() > 15, "there are only {}", orders.len());
}

#[test]
fn another_policy_gives_another_order() {
    assert_eq!(order(&in_turn()), [2, 3, 4, 5, 2, 3, 4, 5, 2, 3, 4, 5]);
}

#[test]
fn time_jumps_to_the_next_timer() {
    let runtime = simulated(7);
    assert_eq!(sleep(&runtime, HOUR), Ok(()));
    assert_eq!(runtime.elapsed(), HOUR);
}

#[test]
fn a_deadline_is_a_timer_too() {
    let runtime = simulated(7);
    let never = std::future::pending::<Result<()>>();
    let ended = runtime.block_on(never, after(&runtime, HOUR), false);
    assert_eq!((ended, runtime.elapsed()), (Err(Error::TimedOut), HOUR));
}

#[test]
fn a_wait_that_nobody_can_end_is_a_deadlock() {
    let runtime = simulated(7);
    let never = std::future::pending::<Result<()>>();
    assert_eq!(runtime.block_on(never, Deadline::from(None), false), Err(Error::Deadlock));
}

#[test]
fn a_timer_at_the_end_of_time_is_reached() {
    let runtime = simulated(7);
    let eons = Duration::from_secs(u64::MAX >> 2);
    assert_eq!(sleep(&runtime, eons), Ok(()));
    let now = runtime.clock().now();
    runtime.called();
    assert!(runtime.clock().now() >= now);
}

#[test]
fn whoever_tries_in_a_loop_sees_time_pass_and_others_go_on() {
    let runtime = simulated(7);
    let done = Arc::new(AtomicBool::new(false));
    let (done2, runtime2) = (done.clone(), runtime.clone());
    runtime.spawn(Seat::new(2, Share::new(WEIGHT)), async move {
        runtime2.sleep_until(after(&runtime2, Duration::from_millis(1))).await;
        done2.store(true, Ordering::Relaxed);
    });
    while !done.load(Ordering::Relaxed) {
        runtime.called();
    }
    assert!(runtime.elapsed() >= Duration::from_millis(1));
}

#[test]
fn what_is_about_to_end_can_be_run_without_a_wait() {
    let runtime = simulated(7);
    let (list, done) = (Arc::new(WaitList::new()), Arc::new(AtomicBool::new(false)));
    let (list2, done2) = (list.clone(), done.clone());
    runtime.spawn(Seat::new(2, Share::new(WEIGHT)), async move {
        let ended = || done2.load(Ordering::Relaxed).then_some(());
        waiting::asleep_until(&list2, ended).await;
        done2.store(false, Ordering::Relaxed);
    });
    runtime.settle();
    done.store(true, Ordering::Relaxed);
    list.wake(1);
    runtime.settle();
    assert!(!done.load(Ordering::Relaxed));
}
