//! The runtime of a simulation: one thread, virtual time, every choice and byte from a seed.
//!
//! Tasks run on the thread of the embedding program while it waits in a call, and on no other. At
//! each switch point the policy chooses who goes on, among the tasks that can and the embedding
//! program if what it waits for has come. A guest reaches one when it waits, and after a fixed
//! amount of fuel, the embedding program with each call that may wait. A nanosecond of virtual time
//! passes for each unit of fuel and a microsecond for each such call. When nobody can go on, time
//! jumps to the next timer.

mod clock;
mod faults;
mod policy;
mod source;
mod trace;

use super::bell::Bell;
use super::meter::Unit;
use super::scheduler::{Runnable, Scheduler};
use super::timers::Timers;
use crate::sync::lock;
use clock::VirtualClock;
use faults::Faults;
use policy::{Policy, RandomWalk};
use procbox_core::random::Random;
use procbox_core::time::{Clock, Deadline};
use procbox_core::{Error, Result};
use source::Source;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use trace::Trace;

/// The pid of the embedding program among those who can go on.
const EMBEDDER: u32 = 1;
/// After how much fuel a guest is interrupted: the seed says, between these.
const INTERVAL: std::ops::Range<u64> = 1_000..10_000;
/// The virtual time that a call of the embedding program takes, so that it sees time pass when it
/// tries in a loop.
const CALL: Duration = Duration::from_micros(1);

/// What goes on in a simulated sandbox.
pub(super) struct Sim {
    clock: Arc<VirtualClock>,
    random: Arc<Source>,
    timers: Timers,
    interval: u64,
    choices: Mutex<Choices>,
    faults: Faults,
}

struct Choices {
    /// The tasks that can go on, in the order in which they could.
    ready: Vec<Runnable>,
    policy: Box<dyn Policy>,
    trace: Trace,
}

/// Who goes on.
enum Next {
    Embedder,
    Task(Runnable),
    Nobody,
}

impl Sim {
    /// One in which the order is random, by the seed. A guest is interrupted after so much fuel, or
    /// after what the seed says; `kill` ends a process of this pid.
    pub(super) fn new(
        seed: u64,
        interval: Option<NonZeroU64>,
        kill: impl Fn(u32) + Send + Sync + 'static,
    ) -> Arc<Sim> {
        Sim::with_policy(seed, interval, kill, Box::new(RandomWalk::new(seed)))
    }

    /// One in which `policy` chooses; the seed is for the rest.
    fn with_policy(
        seed: u64,
        interval: Option<NonZeroU64>,
        kill: impl Fn(u32) + Send + Sync + 'static,
        policy: Box<dyn Policy>,
    ) -> Arc<Sim> {
        let random = Source::new(seed);
        // Drawn in any case: what comes of the seed beside it stays the same.
        let drawn = INTERVAL.start + random.below(INTERVAL.end - INTERVAL.start);
        let interval = interval.map_or(drawn, NonZeroU64::get);
        let choices = Choices { ready: Vec::new(), policy, trace: Trace::new(seed) };
        Arc::new(Sim {
            clock: Arc::new(VirtualClock::new()),
            random: Arc::new(random),
            timers: Timers::default(),
            interval,
            choices: Mutex::new(choices),
            faults: Faults::new(kill),
        })
    }

    /// Has the policy choose, if there is anybody, and notes whom it chose.
    fn next(&self, embedder_can: impl FnOnce() -> bool) -> Next {
        // First, for a timer may be what the embedding program waits for.
        self.timers.fire(|| self.clock.now());
        let embedder_can = embedder_can();
        let mut choices = lock(&self.choices);
        let embedder = embedder_can.then_some(EMBEDDER);
        let tasks = choices.ready.iter().map(|task| task.metadata().pid);
        let who: Vec<u32> = embedder.into_iter().chain(tasks).collect();
        if who.is_empty() {
            return Next::Nobody;
        }
        let chosen = choices.policy.choose(&who).min(who.len() - 1);
        choices.trace.note(who[chosen], self.clock.elapsed());
        match (embedder_can, chosen) {
            (true, 0) => Next::Embedder,
            _ => Next::Task(choices.ready.remove(chosen - usize::from(embedder_can))),
        }
    }

    /// Runs a task until its guest waits, ends, or has used up its interval.
    fn run(&self, task: Runnable) {
        // If it ends here, it does so now, and not when it is chosen next.
        self.faults.pass(task.metadata().pid);
        // A guest that waits is woken by others, and they do not run now: one that can go on right
        // away was interrupted.
        if task.run() {
            self.clock.advance(Duration::from_nanos(self.interval));
        }
    }
}

impl Scheduler for Sim {
    fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    fn random(&self) -> Arc<dyn Random> {
        self.random.clone()
    }

    fn unit(&self) -> Unit {
        Unit::Fuel(self.interval)
    }

    fn timers(&self) -> &Timers {
        &self.timers
    }

    fn schedule(&self, task: Runnable) {
        lock(&self.choices).ready.push(task);
    }

    fn run_until(&self, bell: &Bell, deadline: Deadline) -> Result<()> {
        loop {
            if deadline.is_past(&*self.clock) {
                return Err(Error::TimedOut);
            }
            match self.next(|| bell.has_rung()) {
                Next::Embedder => return Ok(()),
                Next::Task(task) => self.run(task),
                Next::Nobody => {
                    let timer = Deadline::from(self.timers.next());
                    match timer.min(deadline).instant() {
                        Some(at) => self.clock.jump(at),
                        None => return Err(Error::Deadlock),
                    }
                }
            }
        }
    }

    fn called(&self) {
        self.clock.advance(CALL);
        while let Next::Task(task) = self.next(|| true) {
            self.run(task);
        }
    }

    fn settle(&self) {
        while let Next::Task(task) = self.next(|| false) {
            self.run(task);
        }
    }

    fn kill_after(&self, pid: u32, times: u64) -> bool {
        self.faults.add(pid, times);
        true
    }

    fn trace_hash(&self) -> Option<u64> {
        Some(lock(&self.choices).trace.hash())
    }
}

#[cfg(test)]
mod tests;
