//! `Signal` of the native backend, between threads for processes and with a futex made of a mutex.
//!
//! Seen to fail when a fence is left out, where a change is told or where one announces itself, by its own
//! word or by the shared one; when the word is read after the flag is raised, or is not changed; and when
//! those on the shared word are not told. Who watches for another: when the own word of a
//! signal does not change for those who watch, or only behind the shared one.

use crate::atomic::{AtomicU32, Ordering};
use crate::signal::Signal;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// What the kernel does: the look at the word and going to sleep are one step against a wake.
struct Futex {
    bucket: Mutex<()>,
    woken: Condvar,
}

impl Futex {
    fn wait(&self, (word, expected): (&AtomicU32, u32)) {
        let bucket = self.bucket.lock().unwrap();
        if word.load(Ordering::SeqCst) == expected {
            drop(self.woken.wait(bucket).unwrap());
        }
    }

    fn wake_all(&self, _: &AtomicU32) {
        drop(self.bucket.lock().unwrap());
        self.woken.notify_all();
    }
}

/// A state that counts, its signal, and the kernel.
struct World {
    messages: AtomicU32,
    signal: Signal,
    /// The word that all signals share.
    shared: AtomicU32,
    futex: Futex,
}

impl World {
    fn new() -> Arc<World> {
        Arc::new(World {
            messages: AtomicU32::new(0),
            signal: Signal::default(),
            shared: AtomicU32::new(0),
            futex: Futex { bucket: Mutex::new(()), woken: Condvar::new() },
        })
    }

    fn put(&self) {
        self.messages.fetch_add(1, Ordering::Release);
        self.signal.changed(&self.shared, |word| self.futex.wake_all(word));
    }

    /// Takes a message if there is one.
    fn try_get(&self) -> bool {
        let take = |n: u32| n.checked_sub(1);
        self.messages.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    /// As `Ring::get` does it: look, announce, look, sleep.
    fn get(&self) {
        while !self.try_get() {
            let announced = self.signal.announce();
            if self.try_get() {
                return;
            }
            self.futex.wait(announced);
        }
    }
}

impl World {
    /// As `ready` does it for more queues than the kernel takes words.
    fn get_shared(&self) {
        while !self.try_get() {
            let shared = (&self.shared, self.shared.load(Ordering::SeqCst));
            self.signal.announce_shared();
            if self.try_get() {
                return;
            }
            self.futex.wait(shared);
        }
    }
}

/// One who watches for others, and the one for whom it does: as `arena::watches`, with a futex in place of
/// the waker.
struct Watched {
    world: Arc<World>,
    /// The value that the signal had, while somebody waits.
    group: Mutex<Option<u32>>,
    /// Bumped to wake the one who waits, who sleeps apart: no other wake is his.
    woken: AtomicU32,
    bed: Futex,
    over: AtomicU32,
}

impl Watched {
    fn new() -> Arc<Watched> {
        Arc::new(Watched {
            world: World::new(),
            group: Mutex::new(None),
            woken: AtomicU32::new(0),
            bed: Futex { bucket: Mutex::new(()), woken: Condvar::new() },
            over: AtomicU32::new(0),
        })
    }

    /// As the thread of the reactor: reads the shared word, looks which signals have changed, sleeps.
    fn watch(&self) {
        loop {
            let shared = (&self.world.shared, self.world.shared.load(Ordering::SeqCst));
            if self.over.load(Ordering::SeqCst) != 0 {
                return;
            }
            let mut group = self.group.lock().unwrap();
            let is_due = group.is_some_and(|seen| self.world.signal.value() != seen);
            if is_due {
                *group = None;
            }
            drop(group);
            if is_due {
                self.woken.fetch_add(1, Ordering::SeqCst);
                self.bed.wake_all(&self.woken);
            }
            self.world.futex.wait(shared);
        }
    }

    /// As a future: tries, watches, tries, waits to be woken.
    fn get(&self) {
        while !self.world.try_get() {
            let woken = (&self.woken, self.woken.load(Ordering::SeqCst));
            let mut group = self.group.lock().unwrap();
            let value = self.world.signal.announce_watched();
            group.get_or_insert(value);
            drop(group);
            if self.world.try_get() {
                return;
            }
            self.bed.wait(woken);
        }
    }

    fn end(&self) {
        self.over.store(1, Ordering::SeqCst);
        self.world.shared.fetch_add(1, Ordering::SeqCst);
        self.world.futex.wake_all(&self.world.shared);
    }
}

#[test]
fn a_message_reaches_who_is_watched_for() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let watched = Watched::new();
        let watcher = thread::spawn({
            let watched = watched.clone();
            move || watched.watch()
        });
        let putter = thread::spawn({
            let world = watched.world.clone();
            move || world.put()
        });
        watched.get();
        watched.end();
        putter.join().unwrap();
        watcher.join().unwrap();
    });
}

/// The flag is raised again by another, who sleeps on the shared word, before it is looked who was told.
#[test]
fn who_raises_the_flag_again_hides_nothing_from_who_watches() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let watched = Watched::new();
        let watcher = thread::spawn({
            let watched = watched.clone();
            move || watched.watch()
        });
        let other = thread::spawn({
            let world = watched.world.clone();
            move || {
                world.put();
                world.signal.announce_shared();
            }
        });
        watched.get();
        watched.end();
        other.join().unwrap();
        watcher.join().unwrap();
    });
}

#[test]
fn a_message_reaches_who_sleeps_on_the_shared_word() {
    loom::model(|| {
        let world = World::new();
        let getter = thread::spawn({
            let world = world.clone();
            move || world.get_shared()
        });
        world.put();
        getter.join().unwrap();
    });
}

#[test]
fn who_sleeps_on_the_shared_word_and_who_does_not_take_no_wake_from_each_other() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let world = World::new();
        let shared = thread::spawn({
            let world = world.clone();
            move || world.get_shared()
        });
        let own = thread::spawn({
            let world = world.clone();
            move || world.get()
        });
        world.put();
        world.put();
        shared.join().unwrap();
        own.join().unwrap();
    });
}

#[test]
fn a_message_reaches_who_sleeps() {
    loom::model(|| {
        let world = World::new();
        let getter = thread::spawn({
            let world = world.clone();
            move || world.get()
        });
        world.put();
        getter.join().unwrap();
    });
}

#[test]
fn two_messages_reach_two_sleepers() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let world = World::new();
        let getters =
            [world.clone(), world.clone()].map(|world| thread::spawn(move || world.get()));
        world.put();
        world.put();
        getters.into_iter().for_each(|getter| getter.join().unwrap());
    });
}

#[test]
fn messages_of_two_putters_reach_one_sleeper() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let world = World::new();
        let putters =
            [world.clone(), world.clone()].map(|world| thread::spawn(move || world.put()));
        world.get();
        world.get();
        putters.into_iter().for_each(|putter| putter.join().unwrap());
    });
}

/// One that announces itself and is then killed takes no wake from another: all are woken.
#[test]
fn a_sleeper_that_never_comes_back_keeps_nobody_asleep() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let world = World::new();
        let killed = thread::spawn({
            let world = world.clone();
            move || {
                let _ = world.signal.announce();
            }
        });
        let getter = thread::spawn({
            let world = world.clone();
            move || world.get()
        });
        world.put();
        killed.join().unwrap();
        getter.join().unwrap();
    });
}
