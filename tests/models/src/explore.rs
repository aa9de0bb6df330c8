//! An explorer of orders: it runs actors in every order in which their steps can come, kills their
//! processes before every step, and looks at the world after each.
//!
//! An actor is a coroutine. What it does to the world it does in steps, between calls of [`step`]; what
//! it learns from the world it tells by [`saw`]. So where it is follows from what it saw, and a state is
//! known by the world's digest and the digests of what each actor saw. A state that was visited before
//! is not gone on from: the search is exhaustive, for sequentially consistent memory, up to the number
//! of kills in one run.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

/// Bytes of a coroutine's stack are eight times this.
const STACK: usize = 0x3000;

/// What the actors share.
pub trait World {
    /// A digest of all of it.
    fn digest(&self) -> u64;
    /// A process was killed: its actors take no further step.
    fn killed(&self, process: u32);
    /// Asserts what holds after every step.
    fn invariant(&self);
    /// Asserts what holds in the end, when no actor can go on.
    fn end(&self);
}

type Condition = Box<dyn Fn() -> bool>;

enum State {
    Ready,
    Waits(Condition),
    Gone,
}

struct Actor {
    process: u32,
    name: &'static str,
    killable: bool,
    /// It may wait for ever.
    serves: bool,
    state: State,
    saw: u64,
    at: &'static str,
}

/// What an actor does.
struct Body(Box<dyn FnOnce()>);

// SAFETY: a run has all of its coroutines in its own thread.
unsafe impl Send for Body {}

impl Body {
    fn run(self) {
        (self.0)();
    }
}

#[derive(Clone, Copy)]
enum Choice {
    Run(usize),
    Kill(u32),
}

/// What could come next somewhere, and which of it does in this run.
struct Fork {
    choices: Vec<Choice>,
    taken: usize,
}

#[derive(Default)]
struct Run {
    actors: Vec<Actor>,
    /// Those that were spawned and have no coroutine yet.
    fresh: Vec<(usize, Body)>,
    /// The steps so far: whose, and from where.
    trace: Vec<(u32, &'static str, &'static str)>,
}

thread_local! {
    static RUN: RefCell<Run> = RefCell::default();
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Mixes a value into a digest.
pub fn mix(digest: u64, value: u64) -> u64 {
    let mut z = (digest ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The number of the actor that runs, and its process; none while the world is set up or looked at.
pub fn current() -> Option<(usize, u32)> {
    CURRENT.get().map(|actor| (actor, RUN.with_borrow(|run| run.actors[actor].process)))
}

/// The end of a step: others may go on, and the process may be killed.
pub fn step(at: &'static str) {
    pause(at, State::Ready);
}

/// The end of a step; the next one is made when the condition holds.
pub fn wait_until(at: &'static str, condition: impl Fn() -> bool + 'static) {
    pause(at, State::Waits(Box::new(condition)));
}

fn pause(at: &'static str, state: State) {
    let Some(me) = CURRENT.get().filter(|_| !std::thread::panicking()) else { return };
    RUN.with_borrow_mut(|run| {
        run.actors[me].state = state;
        run.actors[me].at = at;
    });
    #[allow(deprecated, reason = "the scope is not at hand where a step ends")]
    generator::yield_with(());
}

/// The actor that runs learns something.
pub fn saw(value: u64) {
    if let Some(me) = CURRENT.get() {
        RUN.with_borrow_mut(|run| run.actors[me].saw = mix(run.actors[me].saw, value));
    }
}

/// One more actor of a process.
pub fn spawn(process: u32, name: &'static str, killable: bool, body: impl FnOnce() + 'static) {
    add(process, name, killable, false, Body(Box::new(body)));
}

/// One that may wait for ever.
pub fn serve(process: u32, name: &'static str, killable: bool, body: impl FnOnce() + 'static) {
    add(process, name, killable, true, Body(Box::new(body)));
}

fn add(process: u32, name: &'static str, killable: bool, serves: bool, body: Body) {
    RUN.with_borrow_mut(|run| {
        let (state, at) = (State::Ready, "its begin");
        run.actors.push(Actor { process, name, killable, serves, state, saw: 0, at });
        run.fresh.push((run.actors.len() - 1, body));
    });
}

/// The bounds of a search.
pub struct Explorer {
    /// The most processes that are killed in one run.
    pub kills: u32,
    /// The most states; more of them are a failure.
    pub most_states: usize,
}

/// What a search came to.
#[derive(Debug)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Runs, most of which were cut off in a state that another had been in.
    pub runs: usize,
    /// Runs that came to their end.
    pub ends: usize,
}

/// Prints the way to a failure.
struct Trace;

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            CURRENT.set(None);
            eprintln!("the way to it, the step that failed being the last:");
            RUN.with_borrow(|run| {
                for (process, name, at) in &run.trace {
                    eprintln!("  {process} {name}: goes on from {at}");
                }
            });
        }
    }
}

impl Explorer {
    /// Goes through all runs of the worlds that `begin` makes, with the actors that it spawns.
    pub fn check<W: World>(&self, begin: impl Fn() -> W) -> Explored {
        let mut visited = HashSet::new();
        let mut path: Vec<Fork> = Vec::new();
        let mut explored = Explored { states: 0, runs: 0, ends: 0 };
        loop {
            explored.runs += 1;
            if self.run(&begin, &mut path, &mut visited) {
                explored.ends += 1;
            }
            assert!(visited.len() <= self.most_states, "more than {} states", self.most_states);
            while path.pop_if(|fork| fork.taken + 1 == fork.choices.len()).is_some() {}
            let Some(fork) = path.last_mut() else { break };
            fork.taken += 1;
        }
        explored.states = visited.len();
        assert!(explored.ends > 0, "no run came to its end");
        explored
    }

    /// One run along a path, which is gone on with; whether it came to the end.
    fn run<W: World>(
        &self,
        begin: &impl Fn() -> W,
        path: &mut Vec<Fork>,
        visited: &mut HashSet<u64>,
    ) -> bool {
        RUN.set(Run::default());
        let trace = Trace;
        let world = begin();
        let mut bodies: Vec<Option<generator::Generator<'static, (), ()>>> = Vec::new();
        let (mut depth, mut kills, mut last) = (0, 0, None);
        let came_to_its_end = loop {
            for (number, body) in RUN.with_borrow_mut(|run| std::mem::take(&mut run.fresh)) {
                bodies.resize_with(number + 1, || None);
                bodies[number] = Some(generator::Gn::new_opt(STACK, move || body.run()));
            }
            // What was looked at in a run before is not looked at again.
            if depth == path.len() {
                world.invariant();
                if !visited.insert(state(world.digest(), kills)) {
                    break false;
                }
                let choices = choices(last, kills < self.kills);
                if !choices.iter().any(|choice| matches!(choice, Choice::Run(_))) {
                    let stuck = stuck();
                    assert!(stuck.is_empty(), "these wait for ever: {stuck:?}");
                }
                if choices.is_empty() {
                    world.end();
                    break true;
                }
                path.push(Fork { choices, taken: 0 });
            }
            let choice = path[depth].choices[path[depth].taken];
            depth += 1;
            match choice {
                Choice::Run(number) => {
                    last = Some(number);
                    RUN.with_borrow_mut(|run| {
                        let actor = &mut run.actors[number];
                        actor.saw = mix(actor.saw, 1);
                        run.trace.push((actor.process, actor.name, actor.at));
                    });
                    CURRENT.set(Some(number));
                    let body = bodies[number].as_mut().expect("it has a body");
                    body.resume();
                    CURRENT.set(None);
                    if body.is_done() {
                        gone(number);
                    }
                }
                Choice::Kill(process) => {
                    kills += 1;
                    RUN.with_borrow_mut(|run| run.trace.push((process, "is", "a kill")));
                    end(process);
                    world.killed(process);
                }
            }
        };
        drop(bodies);
        drop(trace);
        came_to_its_end
    }
}

fn gone(number: usize) {
    RUN.with_borrow_mut(|run| run.actors[number].state = State::Gone);
}

/// The actors of a process take no further step.
pub fn end(process: u32) {
    RUN.with_borrow_mut(|run| {
        let its = run.actors.iter_mut().filter(|actor| actor.process == process);
        its.for_each(|actor| actor.state = State::Gone);
    });
}

/// What can come next, with the actor that ran last first.
fn choices(last: Option<usize>, may_kill: bool) -> Vec<Choice> {
    RUN.with_borrow(|run| {
        let goes_on = |number: &usize| match &run.actors[*number].state {
            State::Ready => true,
            State::Waits(condition) => condition(),
            State::Gone => false,
        };
        let others = (0..run.actors.len()).filter(|number| Some(*number) != last);
        let mut choices: Vec<Choice> =
            last.into_iter().chain(others).filter(goes_on).map(Choice::Run).collect();
        if may_kill {
            let alive = |actor: &&Actor| actor.killable && !matches!(actor.state, State::Gone);
            let mut victims: Vec<u32> =
                run.actors.iter().filter(alive).map(|actor| actor.process).collect();
            victims.sort_unstable();
            victims.dedup();
            choices.extend(victims.into_iter().map(Choice::Kill));
        }
        choices
    })
}

/// Those that wait, and should not for ever.
fn stuck() -> Vec<(u32, &'static str, &'static str)> {
    RUN.with_borrow(|run| {
        let stuck = run.actors.iter().filter(|a| !a.serves && !matches!(a.state, State::Gone));
        stuck.map(|actor| (actor.process, actor.name, actor.at)).collect()
    })
}

fn state(world: u64, kills: u32) -> u64 {
    RUN.with_borrow(|run| {
        run.actors.iter().fold(mix(world, kills.into()), |digest, actor| match actor.state {
            State::Gone => mix(digest, 0),
            _ => mix(digest, mix(actor.saw, actor.process.into())),
        })
    })
}
