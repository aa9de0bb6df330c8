//! `WaitList` of the sandbox, with waits as in `waiting::until`.
//!
//! Seen to fail when a fence is left out, in `wake` or in `listen`; when a wake that is not used is not
//! handed on, or one that comes during the try of a watcher; when those are told who were told before; and
//! when one who is told is taken off the count before that.

use crate::atomic::{AtomicUsize, Ordering};
use crate::wait_list::{WaitList, Watcher};
use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use std::future::poll_fn;
use std::task::Poll;

/// Permits in an atomic word, as the sandbox's semaphore has them.
struct World {
    permits: AtomicUsize,
    released: WaitList,
}

impl World {
    fn new() -> Arc<World> {
        Arc::new(World { permits: AtomicUsize::new(0), released: WaitList::new() })
    }

    fn try_take(&self) -> bool {
        let take = |n: usize| n.checked_sub(1);
        self.permits.fetch_update(Ordering::Acquire, Ordering::Relaxed, take).is_ok()
    }

    fn give(&self) {
        self.permits.fetch_add(1, Ordering::Release);
        self.released.wake(1);
    }

    async fn take(&self) {
        loop {
            let sleeper = self.released.listen();
            if self.try_take() {
                return;
            }
            sleeper.await;
        }
    }

    fn released(&self) -> &WaitList {
        &self.released
    }

    /// Tries, and ends the watch.
    fn try_watched(&self, last: &mut Option<Watching>) -> bool {
        last.iter_mut().for_each(Watcher::about_to_try);
        let found = self.try_take();
        last.take().into_iter().for_each(Watcher::tried);
        found
    }
}

type Watching = Watcher<World, fn(&World) -> &WaitList>;

/// Takes a permit as a future of the embedding program does.
fn watch_and_take(world: &std::sync::Arc<World>) {
    let mut last: Option<Watching> = None;
    block_on(poll_fn(|cx| {
        if world.try_watched(&mut last) {
            return Poll::Ready(());
        }
        let mut watch = Watcher::new(world.clone(), World::released as _, cx.waker());
        watch.about_to_try();
        if world.try_take() {
            watch.tried();
            return Poll::Ready(());
        }
        last = Some(watch);
        Poll::Pending
    }));
}

fn bounded(test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(test);
}

#[test]
fn a_permit_reaches_who_sleeps() {
    bounded(|| {
        let world = World::new();
        let taker = thread::spawn({
            let world = world.clone();
            move || block_on(world.take())
        });
        world.give();
        taker.join().unwrap();
    });
}

#[test]
fn two_permits_reach_two_sleepers() {
    bounded(|| {
        let world = World::new();
        let takers = [world.clone(), world.clone()]
            .map(|world| thread::spawn(move || block_on(world.take())));
        world.give();
        world.give();
        takers.into_iter().for_each(|taker| taker.join().unwrap());
    });
}

#[test]
fn two_permits_reach_two_watchers() {
    bounded(|| {
        let released = WaitList::new();
        let world = std::sync::Arc::new(World { permits: AtomicUsize::new(0), released });
        let takers = [world.clone(), world.clone()]
            .map(|world| thread::spawn(move || watch_and_take(&world)));
        world.give();
        world.give();
        takers.into_iter().for_each(|taker| taker.join().unwrap());
    });
}

/// A process that was woken and is killed before it acts hands the wake on.
#[test]
fn a_sleeper_that_is_killed_takes_no_wake_with_it() {
    bounded(|| {
        let world = World::new();
        let killed = thread::spawn({
            let world = world.clone();
            move || drop(world.released.listen())
        });
        let taker = thread::spawn({
            let world = world.clone();
            move || block_on(world.take())
        });
        world.give();
        killed.join().unwrap();
        taker.join().unwrap();
    });
}
