//! The bookkeeping by itself, with simulated workers that answer, lie, die, and are refused.

use super::*;
use crate::pool::options::Depth;
use crate::signal;
use proptest::prelude::*;
use std::collections::BTreeMap;

const TWO: Depth = Depth { any: 2, small: 2 };

/// Tasks by their pool-wide numbers.
#[derive(Clone, Debug)]
pub(super) struct Numbers(pub(super) Vec<u64>);

impl Work for Numbers {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn bytes(&self) -> usize {
        400 * self.0.len()
    }
    fn drop_first(&mut self, n: usize) {
        self.0.drain(..n);
    }
    fn split(&self) -> Vec<Numbers> {
        self.0.iter().map(|n| Numbers(vec![*n])).collect()
    }
}

/// One step of a simulation.
#[derive(Clone, Debug)]
enum Step {
    /// So many tasks, and what they ask for.
    Submit(usize, Option<Asked>),
    /// The worker takes the next chunk from its queue.
    Begin(usize),
    /// The worker answers the chunk that it is at, all of it or only so many tasks.
    Answer(usize, usize),
    Lie(usize),
    /// The worker dies: of a signal, a crash, or by returning.
    Die(usize, i32),
    Pass(u64),
    /// So many of the next gives are refused, for this reason.
    Refuse(u8, usize),
    /// So many of the next starts fail, for good or for now.
    FailStarts(bool, usize),
    /// The tasks of one submission are cancelled.
    Cancel(usize),
    Close,
    Terminate,
}

fn asked() -> impl Strategy<Value = Option<Asked>> {
    let some = (-1i32..3, any::<bool>(), prop::option::of(0u32..3), prop::bool::weighted(0.3));
    prop::option::weighted(
        0.3,
        some.prop_map(|(priority, timed, retries, fresh)| Asked {
            priority,
            timeout: timed.then_some(Duration::from_millis(100)),
            retries,
            fresh,
            memory: None,
        }),
    )
}

fn step() -> impl Strategy<Value = Step> {
    let slot = 0usize..4;
    prop_oneof![
        6 => (1usize..6, asked()).prop_map(|(n, asked)| Step::Submit(n, asked)),
        8 => slot.clone().prop_map(Step::Begin),
        8 => (slot.clone(), 0usize..7).prop_map(|(slot, ends)| Step::Answer(slot, ends)),
        1 => slot.clone().prop_map(Step::Lie),
        4 => (slot, prop_oneof![Just(-9), Just(-11), Just(0), Just(3)])
            .prop_map(|(slot, code)| Step::Die(slot, code)),
        3 => (0u64..3000).prop_map(Step::Pass),
        1 => (0u8..3, 1usize..4).prop_map(|(why, times)| Step::Refuse(why, times)),
        1 => (prop::bool::weighted(0.1), 1usize..3).prop_map(|(ever, n)| Step::FailStarts(ever, n)),
        2 => (0usize..20).prop_map(Step::Cancel),
        1 => Just(Step::Close),
        1 => Just(Step::Terminate),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    (any::<bool>(), 1usize..4, 1u64..9, 0u32..3, any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(plain, depth, chunks, retries, idempotent, timed, initializes)| Rules {
            plain,
            depth: if plain { Depth::ONE } else { Depth { any: depth, small: 2 * depth } },
            max_chunks: if plain { u64::MAX } else { chunks },
            retries,
            idempotent,
            task_timeout: timed.then_some(Duration::from_secs(1)),
            initializes,
        })
}

#[derive(Default)]
struct Worker {
    queue: VecDeque<u64>,
    at: Option<u64>,
    killed: bool,
    /// It was told that there is nothing more.
    retired: bool,
    /// It is there for one chunk.
    own: bool,
    begun: u64,
}

impl Worker {
    /// The chunks that it does.
    fn most(&self, rules: &Rules) -> u64 {
        if self.own { 1 } else { rules.max_chunks }
    }

    /// `true` if it ends by itself.
    fn is_spent(&self, rules: &Rules) -> bool {
        let nothing_more = self.retired || self.begun >= self.most(rules);
        self.at.is_none() && self.queue.is_empty() && nothing_more
    }
}

/// The world around the state.
struct World {
    state: State<Numbers, usize>,
    rules: Rules,
    workers: Vec<Option<Worker>>,
    /// The number of times that each task of each submission has ended.
    ends: BTreeMap<(usize, usize), u32>,
    submissions: usize,
    now: Instant,
    refusals: Vec<u8>,
    failing_starts: Vec<bool>,
}

impl World {
    fn new(rules: Rules, workers: usize) -> World {
        let mut world = World {
            state: State::new(rules.clone(), workers),
            rules,
            workers: std::iter::repeat_with(|| None).take(workers).collect(),
            ends: BTreeMap::new(),
            submissions: 0,
            now: crate::time::Clock::now(&crate::time::SystemClock),
            refusals: Vec::new(),
            failing_starts: Vec::new(),
        };
        world.perform();
        world
    }

    fn end(&mut self, sink: usize, base: usize, count: usize) {
        for index in base..base + count {
            *self.ends.get_mut(&(sink, index)).expect("only what was submitted ends") += 1;
        }
    }

    fn start(&mut self, slot: usize) -> Result<()> {
        assert!(self.workers[slot].is_none(), "a slot has one process");
        match self.failing_starts.pop() {
            Some(true) => Err(Error::NotGranted("start processes")),
            Some(false) => Err(Error::Exhausted("processes".into())),
            None => {
                self.workers[slot] = Some(Worker::default());
                Ok(())
            }
        }
    }

    fn perform(&mut self) {
        loop {
            while let Some(action) = self.state.next_action() {
                self.act(action);
            }
            match self.state.next_steal() {
                Some(steal) => self.act(steal),
                None => return,
            }
        }
    }

    fn act(&mut self, action: Action<usize>) {
        match action {
            Action::Start(slot) => {
                let started = self.start(slot);
                self.state.started(slot, started);
            }
            Action::Give { slot, chunk: id } => {
                let chunk = self.state.given(slot, id).expect("it was just given");
                let numbers: Vec<u64> = (chunk.first..).take(chunk.work.len()).collect();
                assert_eq!(chunk.work.0, numbers, "a task keeps its number");
                let is_own = self.rules.needs_own(chunk);
                assert_eq!(
                    is_own && !self.rules.plain,
                    self.workers[slot].is_none() && !self.rules.plain
                );
                if is_own {
                    if let Err(why) = self.start(slot) {
                        return self.state.refused(slot, id, Refusal::NotStarted(why));
                    }
                    self.workers[slot].as_mut().expect("it was started").own = true;
                }
                match self.refusals.pop() {
                    Some(0) => return self.state.refused(slot, id, Refusal::NoRoom),
                    Some(1) => {
                        let why = Refusal::Unfit(Error::ForeignHandle);
                        return self.state.refused(slot, id, why);
                    }
                    _ => {}
                }
                if self.rules.plain
                    && let Err(why) = self.start(slot)
                {
                    return self.state.refused(slot, id, Refusal::NotStarted(why));
                }
                let worker = self.workers[slot].as_mut().expect("somebody is there");
                worker.queue.push_back(id);
                assert!(worker.queue.len() <= self.rules.depth.small);
                if self.rules.plain {
                    worker.at = worker.queue.pop_front();
                }
            }
            Action::TakeBack(slot) => {
                let id = self.workers[slot].as_mut().and_then(|worker| worker.queue.pop_front());
                self.state.taken_back(slot, id);
            }
            Action::Recall(slot) => self.recall(slot),
            Action::Retire(slot) => {
                let worker = self.workers[slot].as_mut().expect("somebody is there");
                assert!(worker.queue.is_empty() && worker.at.is_none());
                worker.retired = true;
            }
            Action::Kill(slot) => {
                if let Some(worker) = &mut self.workers[slot] {
                    worker.killed = true;
                }
            }
            Action::Fail { sink, base, count, .. } => self.end(sink, base, count),
            Action::Retry { .. } => {}
        }
    }

    fn answer(&mut self, slot: usize, id: u64, ends: usize) {
        let Some(chunk) = self.state.answered(slot, Some(id)) else { return };
        let ended = ends.min(chunk.work.len());
        self.end(chunk.sink, chunk.base, ended);
        self.state.settled(slot, chunk, ended);
    }

    fn die(&mut self, slot: usize, code: i32) {
        let Some(worker) = self.workers[slot].take() else { return };
        let status = match code {
            _ if worker.killed => ExitStatus::signaled(signal::KILL),
            code if code < 0 => ExitStatus::signaled(-code),
            code => ExitStatus::exited(code),
        };
        let status = self.state.verdict(slot, status);
        let delivered = self.rules.plain && status.success();
        if delivered && let Some(chunk) = self.state.oldest(slot) {
            let (sink, base) = (chunk.sink, chunk.base);
            self.end(sink, base, 1);
        }
        let unbegun = worker.queue.into_iter().collect();
        let death = Death { worker: "w".into(), status, unbegun, delivered, printed: None };
        self.state.ended(slot, &death);
    }

    fn recall(&mut self, slot: usize) {
        let most = self.state.recallable(slot);
        let queue = self.workers[slot].as_mut().map(|worker| &mut worker.queue);
        let ids: Vec<u64> = queue.map_or(Vec::new(), |q| q.drain(..most.min(q.len())).collect());
        self.state.recalled(slot, &ids);
    }

    /// As the driver does it.
    fn cancel(&mut self, sink: usize) -> bool {
        let is = |other: &usize| *other == sink;
        for slot in self.state.slots_of(is) {
            self.recall(slot);
        }
        let mut any = self.state.cancel_waiting(is);
        for slot in self.state.slots_of(is) {
            any |= self.state.cancel_begun(slot, is);
        }
        assert!(self.state.slots_of(is).is_empty());
        any
    }

    fn take(&mut self, step: Step) {
        self.state.look_again();
        let slots = self.workers.len();
        match step {
            // A plain program takes one task at a time.
            Step::Submit(n, asked) => {
                let alone = self.rules.plain || asked.as_ref().is_some_and(Asked::alone);
                let n = if alone { 1 } else { n };
                let asked = asked.map(Arc::new);
                let first = self.state.counters().submitted;
                let work = Numbers((first..first + n as u64).collect());
                if self.state.submit(work, self.submissions, 7, asked).is_ok() {
                    for index in 7..7 + n {
                        self.ends.insert((self.submissions, index), 0);
                    }
                    self.submissions += 1;
                }
            }
            Step::Begin(slot) => {
                if let Some(worker) = &mut self.workers[slot % slots]
                    && worker.at.is_none()
                    && worker.begun < worker.most(&self.rules)
                {
                    worker.at = worker.queue.pop_front();
                    worker.begun += u64::from(worker.at.is_some());
                }
            }
            Step::Answer(slot, ends) => {
                let slot = slot % slots;
                let at = self.workers[slot].as_mut().filter(|_| !self.rules.plain);
                if let Some(id) = at.and_then(|worker| worker.at.take()) {
                    self.answer(slot, id, ends);
                }
            }
            Step::Lie(slot) => {
                let slot = slot % slots;
                if self.workers[slot].is_some() && !self.rules.plain {
                    assert!(self.state.answered(slot, Some(u64::MAX)).is_none());
                }
            }
            Step::Die(slot, code) => self.die(slot % slots, code),
            Step::Pass(millis) => {
                self.now += Duration::from_millis(millis);
                self.state.tick(self.now);
            }
            Step::Refuse(why, times) => self.refusals.extend(std::iter::repeat_n(why, times)),
            Step::FailStarts(ever, times) => {
                self.failing_starts.extend(std::iter::repeat_n(ever, times));
            }
            Step::Cancel(n) => {
                let before = self.state.pending();
                let cancelled = self.cancel(n % self.submissions.max(1));
                assert_eq!(self.state.pending() < before, cancelled);
            }
            Step::Close => self.state.close(),
            Step::Terminate => self.state.terminate(),
        }
        self.perform();
    }

    /// From here on all goes well: every worker works until there is nothing left.
    fn finish(&mut self) {
        self.refusals.clear();
        self.failing_starts.clear();
        for _ in 0..10_000 {
            if self.state.pending() == 0 {
                return;
            }
            for slot in 0..self.workers.len() {
                let is_to_end =
                    |w: &Worker| w.killed || self.rules.plain || w.is_spent(&self.rules);
                if self.workers[slot].as_ref().is_some_and(is_to_end) {
                    self.die(slot, 0);
                    self.perform();
                }
                self.take(Step::Begin(slot));
                self.take(Step::Answer(slot, usize::MAX));
            }
            self.take(Step::Pass(200));
        }
        panic!("{} tasks never end", self.state.pending());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_task_ends_exactly_once(
        rules in rules(),
        workers in 1usize..4,
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut world = World::new(rules, workers);
        for step in steps {
            world.take(step);
        }
        world.finish();
        for (task, times) in &world.ends {
            prop_assert_eq!(*times, 1, "task {:?}", task);
        }
        let counters = world.state.counters();
        prop_assert_eq!(counters.done + counters.failed, counters.submitted);
        prop_assert_eq!(counters.submitted, world.ends.len() as u64);
    }
}

pub(super) fn plain_rules() -> Rules {
    Rules {
        plain: false,
        depth: TWO,
        max_chunks: u64::MAX,
        retries: 0,
        idempotent: false,
        task_timeout: Some(Duration::from_secs(1)),
        initializes: false,
    }
}

pub(super) fn submit(state: &mut State<Numbers, usize>, n: u64) {
    let first = state.counters().submitted;
    state.submit(Numbers((first..first + n).collect()), 0, first as usize, None).unwrap();
}

pub(super) fn actions(state: &mut State<Numbers, usize>) -> Vec<Action<usize>> {
    std::iter::from_fn(|| state.next_action()).collect()
}

#[test]
fn a_worker_that_is_at_a_task_for_too_long_is_killed_once() {
    let mut state: State<Numbers, usize> = State::new(plain_rules(), 1);
    submit(&mut state, 1);
    assert_eq!(actions(&mut state), [Action::Start(0), Action::Give { slot: 0, chunk: 0 }]);
    let begun = crate::time::Clock::now(&crate::time::SystemClock);
    state.tick(begun);
    assert_eq!(state.due(), Some(begun + Duration::from_secs(1)));
    state.tick(begun + Duration::from_millis(999));
    assert_eq!(actions(&mut state), []);
    state.tick(begun + Duration::from_secs(1));
    assert_eq!(actions(&mut state), [Action::Kill(0)]);
    state.tick(begun + Duration::from_secs(9));
    assert_eq!(actions(&mut state), []);
    let killed = ExitStatus::signaled(signal::KILL);
    assert_eq!(state.verdict(0, killed).limit(), Some(crate::Limit::WallClock));
}

#[test]
fn an_idle_worker_gets_what_a_busy_one_has_not_begun() {
    let mut state: State<Numbers, usize> = State::new(plain_rules(), 2);
    for _ in 0..4 {
        submit(&mut state, 1);
    }
    assert_eq!(actions(&mut state).len(), 6);
    for (slot, id) in [(0, 0), (0, 2)] {
        let chunk = state.answered(slot, Some(id)).unwrap();
        state.settled(slot, chunk, 1);
    }
    assert_eq!(state.next_steal(), Some(Action::TakeBack(1)));
    state.taken_back(1, Some(3));
    assert_eq!(actions(&mut state), [Action::Give { slot: 0, chunk: 3 }]);
    assert_eq!(state.next_steal(), None);
}

#[test]
fn a_pool_whose_workers_cannot_be_started_gives_up_and_says_why() {
    let mut state: State<Numbers, usize> = State::new(plain_rules(), 1);
    let mut now = crate::time::Clock::now(&crate::time::SystemClock);
    for _ in 0..START_TRIES {
        assert_eq!(state.next_action(), Some(Action::Start(0)));
        state.started(0, Err(Error::Exhausted("processes".into())));
        state.tick(now);
        now += Duration::from_secs(10);
        state.tick(now);
    }
    let refused = state.submit(Numbers(vec![0]), 0, 0, None);
    assert_eq!(refused, Err(Error::PoolBroken("no processes left".into())));
}

#[test]
fn a_worker_that_has_done_its_share_and_does_not_end_is_killed() {
    let rules = Rules { max_chunks: 1, task_timeout: None, ..plain_rules() };
    let mut state: State<Numbers, usize> = State::new(rules, 1);
    submit(&mut state, 1);
    actions(&mut state);
    let now = crate::time::Clock::now(&crate::time::SystemClock);
    state.tick(now);
    assert_eq!(state.due(), None, "a task has all the time there is");
    let chunk = state.answered(0, Some(0)).unwrap();
    state.settled(0, chunk, 1);
    state.tick(now);
    state.tick(now + crate::pool::slot::LEAVING);
    assert_eq!(actions(&mut state), [Action::Kill(0)]);
    let status = state.verdict(0, ExitStatus::signaled(signal::KILL));
    let death =
        Death { worker: "w".into(), status, unbegun: vec![], delivered: false, printed: None };
    state.ended(0, &death);
    assert_eq!(actions(&mut state), [Action::Start(0)]);
    assert_eq!((state.counters().replaced, state.pending()), (1, 0));
}

#[test]
fn a_worker_that_returns_without_taking_its_task_breaks_the_pool() {
    let rules = Rules { task_timeout: None, ..plain_rules() };
    let mut state: State<Numbers, usize> = State::new(rules, 1);
    submit(&mut state, 1);
    let mut now = crate::time::Clock::now(&crate::time::SystemClock);
    let mut starts = 0;
    loop {
        let mut given = Vec::new();
        let mut failed = Vec::new();
        for action in actions(&mut state) {
            match action {
                Action::Start(0) => starts += 1,
                Action::Give { chunk, .. } => given.push(chunk),
                Action::Fail { error, .. } => failed.push(error),
                other => panic!("{other:?}"),
            }
        }
        if let [error] = &failed[..] {
            assert_eq!(
                error.to_string(),
                "the pool cannot start its workers: w exited with code 0 (attempt 4)"
            );
            break;
        }
        let status = ExitStatus::SUCCESS;
        let death =
            Death { worker: "w".into(), status, unbegun: given, delivered: false, printed: None };
        state.ended(0, &death);
        state.tick(now);
        now += Duration::from_secs(100);
        state.tick(now);
    }
    assert_eq!(starts, START_TRIES);
}

#[test]
fn a_worker_that_lied_is_killed_and_not_listened_to_any_more() {
    let mut state: State<Numbers, usize> = State::new(plain_rules(), 1);
    submit(&mut state, 1);
    actions(&mut state);
    assert!(state.is_trusted(0));
    assert!(state.answered(0, Some(7)).is_none());
    assert!(!state.is_trusted(0));
    assert_eq!(actions(&mut state), [Action::Kill(0)]);
}

/// A pool of so many workers, with one task that nobody has taken.
fn with_one_task(workers: usize) -> World {
    let rules = Rules {
        plain: false,
        depth: Depth { any: 8, small: 8 },
        max_chunks: u64::MAX,
        retries: 0,
        idempotent: false,
        task_timeout: None,
        initializes: false,
    };
    let mut world = World::new(rules, workers);
    world.state.submit(Numbers(vec![0]), 0, 0, None).unwrap();
    world
}

#[test]
fn a_worker_without_room_though_it_has_nothing_to_do_is_killed_and_another_gets_the_task() {
    let mut state = with_one_task(2).state;
    let Some(Action::Give { slot: 0, chunk }) = state.next_action() else { panic!("not given") };
    state.refused(0, chunk, Refusal::NoRoom);
    assert!(matches!(state.next_action(), Some(Action::Kill(0))));
    assert!(!state.is_trusted(0));
    assert!(matches!(state.next_action(), Some(Action::Give { slot: 1, .. })));
}

#[test]
fn a_worker_that_lies_before_it_has_done_anything_breaks_the_pool_after_four_starts() {
    let mut state = with_one_task(1).state;
    let mut now = crate::time::Clock::now(&crate::time::SystemClock);
    for start in 0.. {
        assert!(start < START_TRIES, "it is started for ever");
        let Some(Action::Give { chunk, .. }) = state.next_action() else { panic!("not given") };
        state.refused(0, chunk, Refusal::NoRoom);
        assert!(matches!(state.next_action(), Some(Action::Kill(0))));
        let status = ExitStatus::signaled(signal::KILL);
        let unbegun = Vec::new();
        state.ended(
            0,
            &Death { worker: "w".into(), status, unbegun, delivered: false, printed: None },
        );
        state.tick(now);
        now += Duration::from_secs(1);
        state.tick(now);
        match state.next_action() {
            Some(Action::Start(0)) => state.started(0, Ok(())),
            Some(Action::Fail { error, .. }) => {
                assert!(matches!(error, Error::PoolBroken(_)), "{error}");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}
