//! Which thread moves a pool's tasks.
//!
//! One thread at a time *drives*: it takes what the workers have to say, gives them more, and
//! sleeps until there is news. Whoever waits for a result drives until it is there; a second waiter
//! sleeps until the first has made progress or has stopped driving. For tasks that nobody waits for
//! a thread drives (`background`), where there are threads.

#[cfg(not(target_family = "wasm"))]
use super::background::Background;
use super::engine::Engine;
use super::result::lock;
use crate::time::Deadline;
use crate::{Context, Error, Queue, Result, Wait, ready};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::ThreadId;
use std::time::Duration;

/// How long a thread that waits for another to drive may take to notice Ctrl-C.
const LOOK_FOR_INTERRUPT: Duration = Duration::from_millis(100);

/// Who drives, and news for those who do not.
#[derive(Default)]
struct Wheel {
    /// Counts progress, so that none is missed between looking and sleeping.
    turns: u64,
    /// How many wait while another drives.
    waiting: usize,
    /// Whether the driver sleeps until there is news from a worker.
    asleep: bool,
    /// The thread that drives.
    driver: Option<ThreadId>,
}

/// What the threads that would drive share.
pub(super) struct Helm {
    /// Held by the one that drives.
    driver: Mutex<()>,
    wheel: Mutex<Wheel>,
    turned: Condvar,
    /// Wakes a sleeping driver when there is something new to wait for.
    kick: Queue<()>,
    /// How many times the bell was rung.
    rings: AtomicU64,
    #[cfg(not(target_family = "wasm"))]
    pub(super) background: Background,
}

impl Helm {
    pub(super) fn new(ctx: &Context) -> Result<Helm> {
        Ok(Helm {
            driver: Mutex::new(()),
            wheel: Mutex::new(Wheel::default()),
            turned: Condvar::new(),
            kick: ctx.queue(1)?,
            rings: AtomicU64::new(0),
            #[cfg(not(target_family = "wasm"))]
            background: Background::default(),
        })
    }
}

impl Engine {
    /// Drives until the backlog is short, so that a `map` over many inputs needs little memory.
    pub(super) fn wait_for_room(&self) -> Result<()> {
        self.drive_until(&|| lock(&self.state).backlog.len() <= self.workers, Wait::Forever)
    }

    /// Sleeps until a worker has news or something is due, or not at all if it need not.
    fn sleep(&self, deadline: Deadline, need_not: &dyn Fn() -> bool) -> Result<()> {
        let mut those = vec![self.helm.kick.waitable()];
        let mut due = deadline;
        {
            let state = lock(&self.state);
            for slot in &state.slots {
                slot.waitables(&mut those);
                due = due.min(slot.deadline.into()).min(slot.start_after.into());
            }
            lock(&self.helm.wheel).asleep = true;
        }
        // Looked at after saying so: what happened before is seen here, and what happens now wakes.
        let woken =
            if need_not() { Ok(vec![]) } else { ready(&self.ctx, &those, due.wait(&*self.clock)) };
        lock(&self.helm.wheel).asleep = false;
        // It is there to wake, not to be read; empty is as good.
        let _ = self.helm.kick.try_get();
        match woken {
            Ok(_) | Err(Error::TimedOut) => Ok(()),
            Err(e) => Err(e),
        }
    }

    pub(super) fn wake_driver(&self) {
        if lock(&self.helm.wheel).asleep {
            // Full is as good: it will wake.
            let _ = self.helm.kick.try_put(&());
        }
    }

    /// Makes every waiter look again at what it waits for.
    pub(super) fn ring(&self) {
        self.helm.rings.fetch_add(1, Ordering::Release);
        // Full is as good: the driver will not sleep before it has looked. It is put whether or not
        // the driver sleeps, since it may have looked and be about to.
        let _ = self.helm.kick.try_put(&());
        self.turn();
    }

    pub(super) fn rings(&self) -> u64 {
        self.helm.rings.load(Ordering::Acquire)
    }

    pub(super) fn turn(&self) {
        let mut wheel = lock(&self.helm.wheel);
        wheel.turns += 1;
        if wheel.waiting > 0 {
            self.helm.turned.notify_all();
        }
    }

    /// Drives the pool, or waits for whoever does, until `done`.
    pub(super) fn drive_until(&self, done: &dyn Fn() -> bool, wait: Wait) -> Result<()> {
        self.drive(done, wait, false)
    }

    pub(super) fn drive(&self, done: &dyn Fn() -> bool, wait: Wait, yielding: bool) -> Result<()> {
        if done() {
            return Ok(());
        }
        let deadline = wait.deadline(&*self.clock);
        loop {
            let seen = lock(&self.helm.wheel).turns;
            match self.helm.driver.try_lock() {
                Ok(driver) => return self.hold(driver, done, deadline, yielding),
                // A callback panicked while it drove; the state was unlocked then.
                Err(TryLockError::Poisoned(poisoned)) => {
                    drop(poisoned);
                    self.helm.driver.clear_poison();
                }
                Err(TryLockError::WouldBlock) => {
                    if done() {
                        return Ok(());
                    }
                    if yielding {
                        return Err(Error::TimedOut);
                    }
                    if lock(&self.helm.wheel).driver == Some(std::thread::current().id()) {
                        let why = "a callback cannot wait for another task of its pool";
                        return Err(Error::Invalid(why.into()));
                    }
                    self.wait_for_turn(seen, deadline)?;
                    self.check_interrupt()?;
                }
            }
            if done() {
                return Ok(());
            }
        }
    }

    /// Drives; lets go of the wheel and says so also when a callback panics.
    fn hold(
        &self,
        driver: MutexGuard<'_, ()>,
        done: &dyn Fn() -> bool,
        deadline: Deadline,
        yielding: bool,
    ) -> Result<()> {
        struct LetGo<'a>(&'a Engine, Option<MutexGuard<'a, ()>>);
        impl Drop for LetGo<'_> {
            fn drop(&mut self) {
                lock(&self.0.helm.wheel).driver = None;
                self.1 = None;
                self.0.turn();
            }
        }
        let _let_go = LetGo(self, Some(driver));
        lock(&self.helm.wheel).driver = Some(std::thread::current().id());
        self.steer(done, deadline, yielding)
    }

    fn steer(&self, done: &dyn Fn() -> bool, deadline: Deadline, yielding: bool) -> Result<()> {
        loop {
            let progress = self.sweep();
            if done() {
                return Ok(());
            }
            if progress {
                self.turn();
            }
            let gives_way = || yielding && lock(&self.helm.wheel).waiting > 0;
            if deadline.is_past(&*self.clock) || gives_way() {
                return Err(Error::TimedOut);
            }
            if !progress {
                self.sleep(deadline, &|| done() || gives_way())?;
            }
        }
    }

    fn wait_for_turn(&self, seen: u64, deadline: Deadline) -> Result<()> {
        let mut wheel = lock(&self.helm.wheel);
        wheel.waiting += 1;
        drop(wheel);
        // The background thread hands over to whoever waits, once it is awake.
        self.wake_driver();
        wheel = lock(&self.helm.wheel);
        // A condition variable knows nothing of Ctrl-C: looked at now and then.
        let slice = Wait::AtMost(LOOK_FOR_INTERRUPT).deadline(&*self.clock);
        while wheel.turns == seen && !slice.is_past(&*self.clock) && !deadline.is_past(&*self.clock)
        {
            let left = deadline.min(slice).remaining(&*self.clock).unwrap_or_default();
            wheel = self
                .helm
                .turned
                .wait_timeout(wheel, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        wheel.waiting -= 1;
        if wheel.turns == seen && deadline.is_past(&*self.clock) {
            Err(Error::TimedOut)
        } else {
            Ok(())
        }
    }

    /// Whether Ctrl-C has come, while another thread drives.
    fn check_interrupt(&self) -> Result<()> {
        match ready(&self.ctx, &[self.helm.kick.waitable()], Wait::AtMost(Duration::from_nanos(1)))
        {
            Err(Error::Interrupted) => Err(Error::Interrupted),
            _ => Ok(()),
        }
    }

    /// Sees to it that tasks move although nobody waits for them yet.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn drive_in_background(self: &Arc<Engine>) {
        // Where time is virtual there is one thread: the pool moves while somebody waits.
        if !self.clock.is_virtual() {
            super::background::start(self);
        }
    }

    /// A sandboxed process has one thread: its pool moves while it waits for results.
    #[cfg(target_family = "wasm")]
    pub(super) fn drive_in_background(self: &Arc<Engine>) {}

    /// Ends the background thread, if there is one, so that nothing of the pool is left with it.
    pub(super) fn end_background(&self) {
        #[cfg(not(target_family = "wasm"))]
        self.helm.background.end();
    }
}
