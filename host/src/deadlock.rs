//! Finding deadlocks: waits each of which only others of them could end.
//!
//! Nobody looks before a wait has lasted a while, and nothing is kept about a wait but its number, so
//! waits that end soon cost nothing. Some time after a wait has begun, or something happened that may
//! leave others waiting for ever, the timer looks at who waits:
//!
//! 1. who is in the same wait as at the look before is asked what it waits for, and what it has;
//! 2. of those who have answered, the ones are suspects whose wait can be ended by no other than
//!    suspects: the holder of the lock is one, or the process that is joined, or all the references
//!    that there are to a queue are among what suspects have, or in messages that only suspects can
//!    receive (`transit`). References of the embedding program are never among that. From here on
//!    nobody but a suspect can reach these things;
//! 3. the suspects are asked again. One that was woken before, and has not run yet, ends its wait
//!    instead of answering. Those that answer, and still are each other's only hope, wait for ever:
//!    of these the circles are told, from which nothing leads on. Who merely waits for a circle sees
//!    what becomes of it.
//!
//! A wait that has a bound does not take part, nor does a process that is ended after a while. Where
//! one of the circle answers Ctrl-C, that may end it: those who watch are told, and the waits go on.

mod circles;
mod transit;

use crate::blocked::{Alarm, Answer, Outsider, Waiter};
use crate::process::HostProcess;
use crate::registry::Registry;
use crate::runtime::{Runtime, Sleep};
use crate::sync::lock;
use crate::waiting::OWN_PID;
use circles::{Found, circles, serves};
use procbox_core::Wait;
use procbox_core::observe::{self, Blocked, Deadlock, Deadlocks};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

/// Pause between looks while something changes.
const PAUSE: Duration = Duration::from_millis(100);
/// Pause before those who were asked are looked at.
const ANSWERING: Duration = Duration::from_millis(20);
/// Looks for answers, before the question is dropped: on a machine that is overloaded they are late.
const PATIENCE: u32 = 20;
/// Looks at the same waits, each after twice the pause, before there are none until something happens.
const LOOKS: u32 = 5;
/// A look's share of the time: it is as many times longer until the next.
const SELDOM: u32 = 50;

/// One who waits.
#[derive(Clone)]
enum Who {
    Process(Arc<HostProcess>),
    Outsider(Arc<Outsider>),
}

impl Who {
    fn key(&self) -> u64 {
        match self {
            Who::Process(process) => process.identity.pid.into(),
            Who::Outsider(outsider) => outsider.holder,
        }
    }

    fn waiter(&self) -> &Waiter {
        match self {
            Who::Process(process) => &process.waiter,
            Who::Outsider(outsider) => &outsider.waiter,
        }
    }

    fn wake(&self) {
        match self {
            Who::Process(process) => process.nudge(),
            Who::Outsider(outsider) => outsider.wake(),
        }
    }

    fn pid_and_name(&self) -> (u32, &str) {
        match self {
            Who::Process(process) => (process.identity.pid, &process.identity.name),
            Who::Outsider(_) => (OWN_PID, "MainProcess"),
        }
    }
}

/// One who is asked, in a wait.
#[derive(Clone)]
struct Asked {
    who: Who,
    turn: u64,
    began: Instant,
}

/// A question that is not answered by all yet.
struct Question {
    number: u64,
    waiting: Vec<Asked>,
    answered: Vec<(Asked, Box<Answer>)>,
    /// It is put to suspects.
    again: bool,
    looks: u32,
}

#[derive(Default)]
struct State {
    sleep: Option<Pin<Box<Sleep>>>,
    /// The waits at the last look, and since when they are known.
    seen: BTreeMap<u64, (u64, Instant)>,
    /// The last question.
    number: u64,
    question: Option<Question>,
    /// Looks since there was another wait.
    idle: u32,
    /// Waits of which those who watch were told.
    reported: BTreeMap<u64, u64>,
    stopped: bool,
}

/// Who looks for the deadlocks of a sandbox.
pub(crate) struct Detector {
    runtime: Weak<Runtime>,
    registry: Arc<Registry>,
    policy: Deadlocks,
    this: Weak<Detector>,
    state: Mutex<State>,
}

impl Detector {
    /// One that looks from now on, unless nobody wants to know.
    pub(crate) fn begin(
        runtime: &Arc<Runtime>,
        registry: &Arc<Registry>,
        policy: Deadlocks,
    ) -> Arc<Detector> {
        let detector = Arc::new_cyclic(|this| Detector {
            runtime: Arc::downgrade(runtime),
            registry: registry.clone(),
            policy,
            this: this.clone(),
            state: Mutex::default(),
        });
        if policy != Deadlocks::Ignore {
            let looks = Arc::downgrade(&detector);
            runtime.alarm().connect(move || {
                if let Some(detector) = looks.upgrade() {
                    detector.look_after(PAUSE, &mut lock(&detector.state));
                }
            });
        }
        detector
    }

    /// Looks no more.
    pub(crate) fn stop(&self) {
        let mut state = lock(&self.state);
        state.stopped = true;
        let left = (state.sleep.take(), state.question.take());
        drop(state);
        drop(left);
    }

    /// Sets the timer.
    fn look_after(&self, pause: Duration, state: &mut State) {
        let Some(runtime) = self.runtime.upgrade().filter(|_| !state.stopped) else { return };
        let deadline = Wait::AtMost(pause).deadline(&**runtime.clock());
        let mut sleep = Box::pin(runtime.sleep_until(deadline));
        let looks = Waker::from(Arc::new(Looks(self.this.clone())));
        if sleep.as_mut().poll(&mut Context::from_waker(&looks)).is_ready() {
            // A pause that is over at once: by the next wait.
            runtime.alarm().set(false);
        }
        state.sleep = Some(sleep);
    }

    fn look(&self) {
        let Some(runtime) = self.runtime.upgrade() else { return };
        let (clock, alarm) = (runtime.clock(), runtime.alarm());
        let now = clock.now();
        let mut state = lock(&self.state);
        if state.stopped {
            return;
        }
        // Before it is seen who waits: who begins later sets it off.
        alarm.set(false);
        let found = match state.question.take() {
            Some(question) => self.hear(question, &mut state),
            None => {
                self.ask_those_who_stay(alarm, now, &mut state);
                Vec::new()
            }
        };
        let took = clock.now().saturating_duration_since(now) * SELDOM;
        let pause = match &state.question {
            Some(_) => Some(ANSWERING),
            None if state.idle < LOOKS && !state.seen.is_empty() => Some(PAUSE * (1 << state.idle)),
            None => None,
        };
        if let Some(pause) = pause {
            alarm.set(true);
            self.look_after(pause.max(took), &mut state);
        }
        drop(state);
        // Unlocked: who watches may wait.
        found.iter().for_each(observe::emit_deadlock);
    }

    /// Asks those who are in the same wait as at the last look.
    fn ask_those_who_stay(&self, alarm: &Alarm, now: Instant, state: &mut State) {
        let outsiders = alarm.outsiders().into_iter().map(Who::Outsider);
        let processes = self.registry.waiting().into_iter().map(Who::Process);
        let waiting =
            processes.chain(outsiders).filter_map(|who| Some((who.waiter().turn()?, who)));
        let mut seen = BTreeMap::new();
        let mut asked = Vec::new();
        let mut is_news = false;
        for (turn, who) in waiting {
            let before = state.seen.get(&who.key()).filter(|(before, _)| *before == turn);
            let began = before.map_or(now, |(_, began)| *began);
            seen.insert(who.key(), (turn, began));
            match before {
                Some(_) => asked.push(Asked { who, turn, began }),
                None => is_news = true,
            }
        }
        // What ended may have been somebody's last hope.
        is_news |= seen.len() != state.seen.len();
        state.idle = if is_news { 0 } else { state.idle + 1 };
        state.seen = seen;
        state.reported.retain(|key, turn| state.seen.get(key).is_some_and(|(now, _)| now == turn));
        self.ask(asked, false, state);
    }

    fn ask(&self, waiting: Vec<Asked>, again: bool, state: &mut State) {
        if waiting.is_empty() {
            return;
        }
        state.number += 1;
        let number = state.number;
        for asked in &waiting {
            asked.who.waiter().ask(number);
            asked.who.wake();
        }
        let answered = Vec::with_capacity(waiting.len());
        state.question = Some(Question { number, waiting, answered, again, looks: 0 });
    }

    /// Takes the answers; once there are all, what they come to.
    fn hear(&self, mut question: Question, state: &mut State) -> Vec<Deadlock> {
        question.looks += 1;
        for asked in std::mem::take(&mut question.waiting) {
            match asked.who.waiter().answer(question.number, asked.turn) {
                Some(answer) => question.answered.push((asked, answer)),
                None if asked.who.waiter().turn() == Some(asked.turn) => {
                    question.waiting.push(asked)
                }
                // Its wait has ended.
                None => {}
            }
        }
        if !question.waiting.is_empty() && question.looks < PATIENCE {
            state.question = Some(question);
            return Vec::new();
        }
        // Who has not answered is not known to wait.
        let answered = question.answered;
        let found = Found::among(&answered);
        let suspects =
            || answered.iter().zip(&found.stuck).filter(|(_, stuck)| **stuck).map(|(it, _)| it);
        if !question.again {
            let known = |asked: &Asked| state.reported.get(&asked.who.key()) == Some(&asked.turn);
            let suspects: Vec<Asked> = suspects().map(|(asked, _)| asked.clone()).collect();
            if !suspects.iter().all(known) {
                self.ask(suspects, true, state);
            }
            return Vec::new();
        }
        let suspects: Vec<_> = suspects().collect();
        let now = self.runtime.upgrade().map(|runtime| runtime.clock().now());
        let circles = circles(&suspects, &found);
        let tell =
            |circle: Vec<usize>| self.tell((suspects.as_slice(), &found), &circle, now, state);
        let circles = circles.into_iter().map(tell);
        circles.flatten().collect()
    }

    /// Has the waits of a circle end, if they are to; the report.
    fn tell(
        &self,
        (suspects, found): (&[&(Asked, Box<Answer>)], &Found),
        circle: &[usize],
        now: Option<Instant>,
        state: &mut State,
    ) -> Option<Deadlock> {
        let members = || circle.iter().map(|at| suspects[*at]);
        let mut is_news = false;
        for (asked, _) in members() {
            is_news |= state.reported.insert(asked.who.key(), asked.turn) != Some(asked.turn);
        }
        if !is_news {
            return None;
        }
        let pids_of = |answer: &Answer| {
            let things = found.serving(answer);
            let mut pids: Vec<u32> = members()
                .filter(|(other, theirs)| serves(other, theirs, answer, &things))
                .map(|(other, _)| other.who.pid_and_name().0)
                .collect();
            pids.sort_unstable();
            pids.dedup();
            pids
        };
        let waits = members().map(|(asked, answer)| {
            let (pid, name) = asked.who.pid_and_name();
            let since =
                now.map_or(Duration::ZERO, |now| now.saturating_duration_since(asked.began));
            Blocked::new(pid, name, answer.on, pids_of(answer), since)
        });
        let deadlock = Deadlock::new(waits.collect());
        // Who answers Ctrl-C waits for that too.
        let answers = members().any(|(_, answer)| answer.told.answers);
        if self.policy == Deadlocks::Fail && !answers {
            members().for_each(|(asked, _)| asked.who.waiter().condemn(asked.turn));
            members().for_each(|(asked, _)| asked.who.wake());
        }
        Some(deadlock)
    }
}

/// Looks, when the timer wakes it.
struct Looks(Weak<Detector>);

impl Wake for Looks {
    fn wake(self: Arc<Looks>) {
        if let Some(detector) = self.0.upgrade() {
            detector.look();
        }
    }
}
