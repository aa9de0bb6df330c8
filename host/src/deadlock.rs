//! Finding deadlocks: waits each of which only others of them could end.
//!
//! Nobody looks before a wait has lasted a while, and nothing is kept about a wait but its number, so
//! waits that end soon cost nothing. Some time after a wait has begun, or something happened that may
//! leave others waiting for ever, the timer looks at who waits:
//!
//! 1. who is in the same wait as at the look before is asked what it waits for, and what it has;
//! 2. of those who have answered, the ones are suspects whose wait can be ended by no other than
//!    suspects: the holder of the lock is one, or the process that is joined, or all the references
//!    that there are to a queue are among what suspects have. References in messages and those of the
//!    embedding program are never among that. From here on nobody but a suspect can reach these things;
//! 3. the suspects are asked again. One that was woken before, and has not run yet, ends its wait
//!    instead of answering. Those that answer, and still are each other's only hope, wait for ever:
//!    of these the circles are told, from which nothing leads on. Who merely waits for a circle sees
//!    what becomes of it.
//!
//! A wait that has a bound does not take part, nor does a process that is ended after a while. Where
//! one of the circle answers Ctrl-C, that may end it: those who watch are told, and the waits go on.

use crate::blocked::{Alarm, Answer, Outsider, Server, Waiter};
use crate::process::HostProcess;
use crate::registry::Registry;
use crate::runtime::{Runtime, Sleep};
use crate::sync::lock;
use crate::waiting::OWN_PID;
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
        let stuck = stuck(&answered);
        let suspects =
            || answered.iter().zip(&stuck).filter(|(_, stuck)| **stuck).map(|(it, _)| it);
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
        let circles = circles(&suspects);
        let circles = circles.into_iter().map(|circle| self.tell(&suspects, &circle, now, state));
        circles.flatten().collect()
    }

    /// Has the waits of a circle end, if they are to; the report.
    fn tell(
        &self,
        suspects: &[&(Asked, Box<Answer>)],
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
            let mut pids: Vec<u32> = members()
                .filter(|(other, theirs)| serves(other, theirs, answer))
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

/// The address of a thing that several may have.
fn address(thing: &Weak<dyn std::any::Any + Send + Sync>) -> usize {
    thing.as_ptr().cast::<()>().addr()
}

/// True if `other`, who has answered `theirs`, can end the wait of which `answer` tells.
fn serves(other: &Asked, theirs: &Answer, answer: &Answer) -> bool {
    answer.told.servers.iter().any(|server| match server {
        Server::One(key) => *key == other.who.key(),
        Server::Referrers { thing, .. } => theirs.told.held.contains(&address(thing)),
        Server::Unknown => true,
    })
}

/// Says of each whether only others like it can end its wait.
fn stuck(all: &[(Asked, Box<Answer>)]) -> Vec<bool> {
    let by_key: BTreeMap<u64, usize> =
        all.iter().enumerate().map(|(at, (asked, _))| (asked.who.key(), at)).collect();
    let mut references: BTreeMap<usize, usize> = BTreeMap::new();
    for (_, answer) in all {
        answer.told.held.iter().for_each(|thing| *references.entry(*thing).or_default() += 1);
    }
    // By whom or what each wait could be ended, the other way round.
    let mut waits_for_one: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut waits_for_thing: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut stuck = vec![true; all.len()];
    let mut free = Vec::new();
    for (at, (_, answer)) in all.iter().enumerate() {
        let mut is_free = answer.told.servers.is_empty();
        for server in &answer.told.servers {
            match server {
                Server::One(key) => match by_key.get(key) {
                    Some(one) => waits_for_one.entry(*one).or_default().push(at),
                    None => is_free = true,
                },
                Server::Referrers { thing, .. } => {
                    let known = references.get(&address(thing)).copied().unwrap_or(0);
                    is_free |= thing.strong_count() != known;
                    waits_for_thing.entry(address(thing)).or_default().push(at);
                }
                Server::Unknown => is_free = true,
            }
        }
        if is_free {
            stuck[at] = false;
            free.push(at);
        }
    }
    while let Some(at) = free.pop() {
        let things = all[at].1.told.held.iter().filter_map(|thing| waits_for_thing.remove(thing));
        let freed = things.chain(waits_for_one.remove(&at)).flatten();
        for other in freed {
            if std::mem::replace(&mut stuck[other], false) {
                free.push(other);
            }
        }
    }
    stuck
}

/// The circles among those who are stuck: sets of them from which nothing leads to another.
fn circles(stuck: &[&(Asked, Box<Answer>)]) -> Vec<Vec<usize>> {
    let by_key: BTreeMap<u64, usize> =
        stuck.iter().enumerate().map(|(at, (asked, _))| (asked.who.key(), at)).collect();
    // Things are nodes too, behind the waits: from a wait to a thing, and from a thing to who has it.
    let mut things: BTreeMap<usize, usize> = BTreeMap::new();
    let mut leads: Vec<Vec<usize>> = vec![Vec::new(); stuck.len()];
    for (at, (_, answer)) in stuck.iter().enumerate() {
        for server in &answer.told.servers {
            match server {
                Server::One(key) => leads[at].extend(by_key.get(key)),
                Server::Referrers { thing, .. } => {
                    let node = *things.entry(address(thing)).or_insert(leads.len());
                    if node == leads.len() {
                        leads.push(Vec::new());
                    }
                    leads[at].push(node);
                }
                Server::Unknown => {}
            }
        }
    }
    for (at, (_, answer)) in stuck.iter().enumerate() {
        for node in answer.told.held.iter().filter_map(|thing| things.get(thing)) {
            leads[*node].push(at);
        }
    }
    let component = components(&leads);
    let mut leads_on = vec![false; leads.len()];
    for (from, to) in
        leads.iter().enumerate().flat_map(|(from, to)| to.iter().map(move |to| (from, *to)))
    {
        leads_on[component[from]] |= component[from] != component[to];
    }
    let mut circles: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, own) in component[..stuck.len()].iter().enumerate() {
        if !leads_on[*own] {
            circles.entry(*own).or_default().push(at);
        }
    }
    let sleeps = |at: usize| {
        let told = &stuck[at].1.told;
        let bed = |server: &Server| matches!(server, Server::Referrers { is_bed: true, .. });
        told.answers || told.servers.iter().all(bed)
    };
    circles.into_values().filter(|circle| !matches!(circle[..], [one] if sleeps(one))).collect()
}

/// The strongly connected component that each node is of (Tarjan's algorithm, without recursion: guests
/// say how deep it goes).
fn components(leads: &[Vec<usize>]) -> Vec<usize> {
    const NEW: usize = usize::MAX;
    let mut index = vec![NEW; leads.len()];
    let mut low = vec![0; leads.len()];
    let mut component = vec![NEW; leads.len()];
    let (mut next, mut count) = (0, 0);
    let mut open = Vec::new();
    for root in 0..leads.len() {
        if index[root] != NEW {
            continue;
        }
        let mut path = vec![(root, 0)];
        while let Some((at, tried)) = path.last_mut() {
            let at = *at;
            if *tried == 0 && index[at] == NEW {
                (index[at], low[at]) = (next, next);
                next += 1;
                open.push(at);
            }
            if let Some(to) = leads[at].get(*tried) {
                *tried += 1;
                if index[*to] == NEW {
                    path.push((*to, 0));
                } else if component[*to] == NEW {
                    low[at] = low[at].min(index[*to]);
                }
                continue;
            }
            path.pop();
            if let Some((above, _)) = path.last() {
                low[*above] = low[*above].min(low[at]);
            }
            if low[at] == index[at] {
                while let Some(member) = open.pop() {
                    component[member] = count;
                    if member == at {
                        break;
                    }
                }
                count += 1;
            }
        }
    }
    component
}

#[cfg(test)]
mod tests;
