//! Those who hold a lock, those who wait for it, and one who is killed.

use crate::sync::patience::Patience;
use crate::sync::robust::RobustLock;
use crate::sync::thread;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use procbox_core::{Error, Wait};
use procbox_models::victim::{is_dead, killed_before_each_step, point, run};

/// What is behind the lock: true while a change is half done.
struct World {
    lock: RobustLock,
    half_done: UnsafeCell<bool>,
}

// SAFETY: the value is reached under the lock alone, which loom checks.
unsafe impl Sync for World {}
// SAFETY: as above.
unsafe impl Send for World {}

impl World {
    fn new() -> Arc<World> {
        thread::forget_all();
        Arc::new(World { lock: RobustLock::default(), half_done: UnsafeCell::new(false) })
    }

    /// Changes the value in two steps. What a dead holder left half done is told of.
    fn change(&self, owner_died: bool) {
        let half_done = self.half_done.with_mut(|it| {
            // SAFETY: under the lock.
            unsafe { std::mem::replace(&mut *it, true) }
        });
        assert!(!half_done || owner_died, "nobody was told of a death");
        point();
        if !is_dead() {
            // SAFETY: under the lock.
            self.half_done.with_mut(|it| unsafe { *it = false });
        }
    }

    fn hold(&self) {
        let held = self.lock.hold(&Patience, |owner_died| {
            self.change(owner_died);
            Ok(())
        });
        held.expect("a lock that is waited for");
    }

    /// The same by the calls of locks that are held for longer.
    fn acquire(&self) {
        // SAFETY: the world outlives its threads, which are joined.
        let owner_died = unsafe { self.lock.acquire(Wait::AtMost(std::time::Duration::MAX)) };
        self.change(owner_died.expect("a lock that is waited for"));
        self.lock.release().expect("it is held");
    }

    /// What comes after a death: the kernel's part, and that of whoever recovers the dead.
    fn died(&self) {
        thread::ended();
        self.lock.wake_all();
    }
}

fn spawn(world: &Arc<World>, body: impl FnOnce(&World) + 'static) -> loom::thread::JoinHandle<()> {
    let world = world.clone();
    loom::thread::spawn(move || body(&world))
}

#[test]
fn a_killed_holder_gives_the_lock_back_and_is_told_of() {
    killed_before_each_step(3, |steps| {
        let world = World::new();
        let victim = spawn(&world, move |world| {
            if run(steps, || world.hold()) {
                world.died();
            }
        });
        world.hold();
        victim.join().unwrap();
        world.hold();
    });
}

#[test]
fn a_killed_holder_of_a_users_lock_gives_it_back() {
    killed_before_each_step(3, |steps| {
        let world = World::new();
        let victim = spawn(&world, move |world| {
            if run(steps, || world.acquire()) {
                world.died();
            }
        });
        world.acquire();
        victim.join().unwrap();
        world.acquire();
    });
}

/// The one is killed at any time: while it holds, waits, was woken, or wakes. Whoever waits gets the lock,
/// also if one who has not slept takes it between the wake and the death.
#[test]
fn one_of_three_who_is_killed_keeps_nobody_asleep() {
    killed_before_each_step(2, |steps| {
        let world = World::new();
        let victim = spawn(&world, move |world| {
            if run(steps, || world.hold()) {
                world.died();
            }
        });
        let other = spawn(&world, World::hold);
        world.hold();
        world.hold();
        victim.join().unwrap();
        other.join().unwrap();
    });
}

/// What fails after a death leaves the repair to the next.
#[test]
fn a_repair_that_fails_is_left_to_the_next_holder() {
    killed_before_each_step(2, |steps| {
        let world = World::new();
        let victim = spawn(&world, move |world| {
            if run(steps, || world.hold()) {
                world.died();
            }
        });
        let failed: Result<(), Error> = world.lock.hold(&Patience, |owner_died| {
            if owner_died {
                return Err(Error::TimedOut);
            }
            world.change(false);
            Ok(())
        });
        assert!(failed.is_ok() || failed == Err(Error::TimedOut));
        victim.join().unwrap();
        world.hold();
    });
}

/// Two locks are held at once, the one taken first is given back first.
#[test]
fn one_who_is_killed_with_two_locks_gives_both_back() {
    killed_before_each_step(2, |steps| {
        let (world, second) = (World::new(), Arc::new(RobustLock::default()));
        let victim = spawn(&world, {
            let second = second.clone();
            move |world| {
                let both = || {
                    // SAFETY: the locks outlive the thread, which is joined.
                    let taken =
                        unsafe { world.lock.acquire(Wait::AtMost(std::time::Duration::MAX)) };
                    taken.expect("a lock that is waited for");
                    // SAFETY: as above.
                    unsafe { second.acquire(Wait::Never) }.expect("nobody else wants it");
                    world.lock.release().expect("it is held");
                    second.release().expect("it is held");
                };
                if run(steps, both) {
                    world.died();
                }
            }
        });
        world.hold();
        victim.join().unwrap();
        assert!(second.is_free());
    });
}
