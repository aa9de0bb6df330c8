//! Outside threads that wait, and tasks that become ready.

use super::bell::Bell;
use super::scheduler::Scheduler;
use super::share::{Seat, Share, WEIGHT};
use super::threads::Threads;
use crate::sync::thread;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use procbox_core::Wait;
use procbox_core::time::SystemClock;
use std::sync::Arc;
use std::task::Waker;

/// A runtime, and how often each of its tasks has run.
struct World {
    threads: Arc<dyn Scheduler>,
    share: Arc<Share>,
}

impl World {
    fn new(parallelism: usize) -> World {
        thread::forget_all();
        let threads = Threads::new(parallelism, Box::new(|| {}));
        World { threads, share: Share::new(WEIGHT) }
    }

    /// Makes a task ready that counts how often it runs, and then does something.
    fn make_ready(&self, pid: u32, then: impl FnOnce() + 'static) -> Arc<AtomicUsize> {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let future = async move {
            assert_eq!(counted.fetch_add(1, Ordering::Relaxed), 0, "it runs twice");
            then();
        };
        let threads = Arc::downgrade(&self.threads);
        let schedule = move |task| {
            if let Some(threads) = threads.upgrade() {
                threads.schedule(task);
            }
        };
        let seat = Seat::new(pid, self.share.clone());
        // SAFETY: loom has all of its threads in one.
        let (runnable, task) = unsafe {
            async_task::Builder::new().metadata(seat).spawn_unchecked(|_| future, schedule)
        };
        task.detach();
        runnable.schedule();
        runs
    }

    /// Waits as `Runtime::block_on` does it, until `done`; the waker rings its bell.
    fn block_on(&self, done: impl Fn(&Waker) -> bool) {
        self.block_on_with(&Bell::new(&self.threads), done);
    }

    fn block_on_with(&self, bell: &Arc<Bell>, done: impl Fn(&Waker) -> bool) {
        let waker = Waker::from(bell.clone());
        let deadline = Wait::Forever.deadline(&SystemClock);
        loop {
            if bell.answer() && done(&waker) {
                return;
            }
            self.threads.run_until(bell, deadline).expect("no wait runs out");
        }
    }
}

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(model);
}

/// Whoever made it ready helps nobody: the pacer sees it, whether it ticks or rests, and wakes a runner.
#[test]
fn a_task_is_run_though_no_thread_waits() {
    check(3, || {
        let world = World::new(1);
        let me = thread::current();
        let runs = world.make_ready(1, move || me.unpark());
        thread::park();
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        let me = thread::current();
        let runs = world.make_ready(2, move || me.unpark());
        thread::park();
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    });
}

/// Its task is run by itself or by a runner, which rings.
#[test]
fn one_who_waits_for_a_task_is_woken_by_its_end() {
    check(4, || {
        let world = World::new(2);
        let ended = Arc::new(AtomicBool::new(false));
        let waker: Arc<loom::sync::Mutex<Option<Waker>>> = Arc::default();
        let (ends, wakes) = (ended.clone(), waker.clone());
        let runs = world.make_ready(1, move || {
            ends.store(true, Ordering::Release);
            wakes.lock().unwrap().take().into_iter().for_each(Waker::wake);
        });
        world.block_on(|it| {
            *waker.lock().unwrap() = Some(it.clone());
            ended.load(Ordering::Acquire)
        });
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    });
}

/// A thread outside of the runtime rings, while the bell's owner looks, helps or sleeps. Who is rung for
/// sees what was done before it.
#[test]
fn a_bell_that_rings_is_answered() {
    check(4, || {
        let world = World::new(1);
        let ended = Arc::new(AtomicBool::new(false));
        let bell = Bell::new(&world.threads);
        let ringer = loom::thread::spawn({
            let (ends, waker) = (ended.clone(), Waker::from(bell.clone()));
            move || {
                ends.store(true, Ordering::Relaxed);
                waker.wake();
            }
        });
        world.block_on_with(&bell, |_| ended.load(Ordering::Relaxed));
        ringer.join().unwrap();
    });
}

/// Another thread makes two tasks ready, and waits for nothing; each runs once.
#[test]
fn tasks_that_another_thread_makes_ready_run_once_and_ring() {
    check(2, || {
        let world = Arc::new(World::new(2));
        let left = Arc::new(AtomicUsize::new(2));
        let waker: Arc<loom::sync::Mutex<Option<Waker>>> = Arc::default();
        let other = loom::thread::spawn({
            let (world, left, waker) = (world.clone(), left.clone(), waker.clone());
            move || {
                for pid in 1..3 {
                    let (left, waker) = (left.clone(), waker.clone());
                    world.make_ready(pid, move || {
                        if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                            waker.lock().unwrap().take().into_iter().for_each(Waker::wake);
                        }
                    });
                }
            }
        });
        world.block_on(|it| {
            *waker.lock().unwrap() = Some(it.clone());
            left.load(Ordering::Acquire) == 0
        });
        other.join().unwrap();
    });
}
