//! The seam behind which time, randomness and scheduling sit.
//!
//! All that this crate knows of a clock, a timer, a random byte or an order in which processes run
//! it knows from a [`Runtime`]; what is in there is one of the tenants of `scheduler::Scheduler`:
//!
//! - `threads`: the system's clock and random bytes, as many threads as CPUs;
//! - `sim`: the calling thread alone, virtual time, every choice and byte from a seed.

mod bell;
mod interrupts;
mod lane;
mod meter;
mod ring;
mod scheduler;
mod share;
mod sim;
mod sleep;
mod threads;
mod timers;

pub(crate) use meter::{Budget, thread_time};
pub(crate) use share::{Seat, Share, WEIGHT};
pub(crate) use sleep::Sleep;

use crate::blocked::Alarm;
use crate::foreign::Known;
use bell::Bell;
use interrupts::Interrupts;
use procbox_core::random::Random;
use procbox_core::time::{Clock, Deadline};
use procbox_core::{Error, Limit, Result};
use scheduler::Scheduler;
use std::future::Future;
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use wasmtime::Store;

/// The runtime of one sandbox: what the rest of the crate knows of it.
///
/// Which sandbox something belongs to is told by its runtime's address.
pub(crate) struct Runtime {
    scheduler: Arc<dyn Scheduler>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// The zero of the clock that guests see.
    origin: Instant,
    is_virtual: bool,
    interrupts: Interrupts,
    /// Set off by waits that may last for ever.
    alarm: Alarm,
    /// Primitives of other backends.
    known: Known,
}

impl Runtime {
    /// Up to `parallelism` tasks at once, in real time. `preempt` must make every running guest
    /// yield soon; it is called every few milliseconds.
    pub(crate) fn threads(
        parallelism: usize,
        preempt: Box<dyn Fn() + Send + Sync>,
    ) -> Arc<Runtime> {
        Runtime::new(threads::Threads::new(parallelism, preempt))
    }

    /// One task at a time, on the thread that waits, in virtual time. The guests have to be compiled
    /// to count fuel: they are interrupted after so much of it, or after what the seed says. `kill`
    /// ends the process of a pid.
    pub(crate) fn sim(
        seed: u64,
        interval: Option<NonZeroU64>,
        kill: impl Fn(u32) + Send + Sync + 'static,
    ) -> Arc<Runtime> {
        Runtime::new(sim::Sim::new(seed, interval, kill))
    }

    fn new(scheduler: Arc<dyn Scheduler>) -> Arc<Runtime> {
        let clock = scheduler.clock();
        Arc::new(Runtime {
            random: scheduler.random(),
            origin: clock.now(),
            is_virtual: clock.is_virtual(),
            interrupts: Interrupts::default(),
            alarm: Alarm::default(),
            known: Known::default(),
            clock,
            scheduler,
        })
    }

    /// The clock that processes live by, and by which waits run out.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The alarm that waits without a bound set off.
    #[inline]
    pub(crate) fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    /// The primitives of other backends that are known here.
    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    /// True if time is virtual: nothing outside takes part.
    pub(crate) fn is_virtual(&self) -> bool {
        self.is_virtual
    }

    /// A task was made ready by somebody who runs none: a thread is woken for it now.
    pub(crate) fn prompt(&self) {
        self.scheduler.prompt();
    }

    /// The source of all random bytes.
    pub(crate) fn random(&self) -> &Arc<dyn Random> {
        &self.random
    }

    /// The guests' monotonic clock. All guests of a sandbox have the same, so that a moment means
    /// the same to each of them.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.origin)
    }

    /// Runs a process's future to its end, in the background.
    pub(crate) fn spawn(&self, seat: Arc<Seat>, future: impl Future<Output = ()> + Send + 'static) {
        let scheduler = Arc::downgrade(&self.scheduler);
        let schedule = move |task| {
            if let Some(scheduler) = scheduler.upgrade() {
                scheduler.schedule(task);
            }
        };
        let (runnable, task) =
            async_task::Builder::new().metadata(seat).spawn(|_| future, schedule);
        task.detach();
        runnable.schedule();
    }

    /// Blocks the calling thread until the future is done; meanwhile it runs tasks.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Deadlock`], what the future says, and [`Error::Interrupted`] if
    /// the thread is one that `answers` interrupts.
    pub(crate) fn block_on<T>(
        &self,
        future: impl Future<Output = Result<T>>,
        deadline: Deadline,
        answers: bool,
    ) -> Result<T> {
        let bell = Bell::new(&self.scheduler);
        // On the list before the first look, so that an interrupt is either seen or rings.
        let listed = answers.then(|| self.interrupts.list(&bell));
        let waker = Waker::from(bell.clone());
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if bell.answer() {
                if let Poll::Ready(result) = future.as_mut().poll(&mut cx) {
                    return result;
                }
                if listed.as_ref().is_some_and(|listed| listed.is_interrupted()) {
                    return Err(Error::Interrupted);
                }
            }
            self.scheduler.run_until(&bell, deadline)?;
        }
    }

    /// Sets or clears the interrupt for the threads that answer it.
    pub(crate) fn interrupt(&self, on: bool) {
        self.interrupts.set(on);
    }

    /// A future that is ready at `deadline`.
    pub(crate) fn sleep_until(self: &Arc<Runtime>, deadline: Deadline) -> Sleep {
        Sleep::new(self.clone(), deadline)
    }

    /// Whether another thread runs a task at this moment, so that it is of use to look again soon.
    pub(crate) fn others_run(&self) -> bool {
        self.scheduler.others_run()
    }

    /// A process is to end: it goes on, to do so, before others.
    pub(crate) fn hasten(&self, seat: &Seat) {
        self.scheduler.hasten(seat);
    }

    /// Makes every running guest yield, so that somebody can look at what has changed.
    pub(crate) fn preempt(&self) {
        self.scheduler.preempt();
    }

    /// The embedding program is about to try something that it may have to wait for.
    pub(crate) fn called(&self) {
        // Looked at here, for the fast path of every call goes through this.
        if self.is_virtual {
            self.scheduler.called();
        }
    }

    /// Every process is about to end: tasks that nobody would run any more are run now.
    pub(crate) fn settle(&self) {
        self.scheduler.settle();
    }

    /// Has a process end when it has gone on so many times; whether that is possible here.
    pub(crate) fn kill_after(&self, pid: u32, times: u64) -> bool {
        self.scheduler.kill_after(pid, times)
    }

    /// A number that stands for all choices made so far, where they are made from a seed.
    pub(crate) fn trace_hash(&self) -> Option<u64> {
        self.scheduler.trace_hash()
    }

    /// The CPU time that a task may use, measured around what it runs; `None` where `meter` has
    /// made fuel of it.
    pub(crate) fn budget(&self, cpu_time: Duration) -> Option<Budget> {
        self.scheduler.unit().budget(cpu_time)
    }

    /// Has a guest give its thread back from time to time, and gives it its fuel. The answer is the
    /// limit that it has broken when it is out of fuel.
    ///
    /// # Errors
    /// Those of wasmtime, if the engine was not configured for it.
    pub(crate) fn meter<T>(
        &self,
        store: &mut Store<T>,
        fuel: Option<u64>,
        cpu_time: Option<Duration>,
    ) -> wasmtime::Result<Limit> {
        self.scheduler.unit().meter(store, fuel, cpu_time)
    }
}
