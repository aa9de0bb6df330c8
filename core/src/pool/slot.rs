//! One place for a worker, as the bookkeeping sees it: whether somebody is there, and what it has to
//! do. No process and no queue: those are in `link`.

use super::options::{Asked, Rules};
use super::record::Record;
use crate::TaskUsage;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Something that can be given to a worker: one task or several.
pub(super) trait Work: Sized {
    /// The number of tasks.
    fn len(&self) -> usize;

    /// The bytes that they take.
    fn bytes(&self) -> usize;

    /// Forgets the first `n` tasks.
    fn drop_first(&mut self, n: usize);

    /// Each task alone, in order.
    fn split(&self) -> Vec<Self>;
}

/// Tasks that travel together.
pub(super) struct Chunk<W, S> {
    /// New for every time that it is given out.
    pub(super) id: u64,
    pub(super) work: W,
    /// The sink of the ends of its tasks.
    pub(super) sink: S,
    /// The sink's index of its first task.
    pub(super) base: usize,
    /// The pool's number of its first task: tasks are counted as they are submitted.
    pub(super) first: u64,
    /// Times that it was begun and not ended.
    pub(super) attempts: u32,
    /// What it has used, if that is measured and it was begun.
    pub(super) used: Option<Box<TaskUsage>>,
    /// What its tasks ask for, if that is not as the pool's rules are.
    pub(super) asked: Option<Arc<Asked>>,
}

impl<W, S> Chunk<W, S> {
    pub(super) fn priority(&self) -> i32 {
        self.asked.as_ref().map_or(0, |asked| asked.priority)
    }

    /// The time that a worker may be at it.
    pub(super) fn timeout(&self, rules: &Rules) -> Option<Duration> {
        self.asked.as_ref().and_then(|asked| asked.timeout).or(rules.task_timeout)
    }

    /// The number of times that it is run again if its worker died.
    pub(super) fn retries(&self, rules: &Rules) -> u32 {
        self.asked.as_ref().and_then(|asked| asked.retries).unwrap_or(rules.retries)
    }
}

impl<W: Work, S: Clone> Chunk<W, S> {
    /// Each task alone.
    pub(super) fn split(&self) -> impl Iterator<Item = Chunk<W, S>> {
        self.work.split().into_iter().enumerate().map(|(i, work)| Chunk {
            id: 0,
            work,
            sink: self.sink.clone(),
            base: self.base + i,
            first: self.first + i as u64,
            attempts: self.attempts,
            used: None,
            asked: self.asked.clone(),
        })
    }

    /// Forgets the first `n` tasks: they have ended.
    pub(super) fn drop_first(&mut self, n: usize) {
        self.work.drop_first(n);
        self.base += n;
        self.first += n as u64;
    }
}

/// The state of a slot's process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Life {
    /// None, and none is wanted. In a plain pool the next task starts one.
    Down,
    /// One is to be started now.
    Due,
    /// One is to be started after this long, from the next look at the clock on.
    Pausing(Duration),
    /// One is to be started at this moment; `None` if the clock does not reach so far.
    Resting(Option<Instant>),
    Up,
}

/// The time that a worker has for what it is to do next: a chunk, or to leave.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Timer {
    /// No bound: it has all the time there is.
    #[default]
    Off,
    /// So long, from the next look at the clock on.
    Beginning(Duration),
    Until(Instant),
}

/// The time that a worker has to end, once there is nothing more for it to do.
pub(super) const LEAVING: Duration = Duration::from_secs(5);

/// Answers that are found at once if tasks are short.
const AT_ONCE: usize = 4;
/// Looks in a row that find one answer each if they are not.
const ONE_BY_ONE: u32 = 32;

/// One place for a worker.
pub(super) struct Slot<W, S> {
    pub(super) life: Life,
    /// Given out and not answered, in that order.
    pub(super) outstanding: VecDeque<Chunk<W, S>>,
    /// Chunks that this process was given.
    given: u64,
    /// Chunks that it answered.
    pub(super) answered: u64,
    timer: Timer,
    pub(super) timed_out: bool,
    /// `true` if it lied, and was killed for that: nothing that it says counts any more.
    pub(super) condemned: bool,
    /// `true` if it was killed because a task of its was cancelled.
    pub(super) cancelled: bool,
    /// `true` if it said that it ends: it did not come to the end of a chunk.
    leaves: bool,
    /// `true` if its process was started for one chunk alone.
    pub(super) own: bool,
    /// `true` if it was told to end, with nothing to do: its place is needed for a chunk's own process.
    pub(super) retires: bool,
    /// That of the processes before, too.
    pub(super) record: Record,
    /// `true` if its tasks are short, as far as the pool has seen: it may have more of them at hand.
    quick: bool,
    /// Looks in a row that found one answer.
    singles: u32,
}

impl<W, S> Slot<W, S> {
    pub(super) fn new(life: Life) -> Slot<W, S> {
        Slot {
            life,
            outstanding: VecDeque::new(),
            given: 0,
            answered: 0,
            timer: Timer::default(),
            timed_out: false,
            condemned: false,
            cancelled: false,
            leaves: false,
            own: false,
            retires: false,
            record: Record::default(),
            quick: false,
            singles: 0,
        }
    }

    /// So many answers were found at once. Where there are several its tasks take less time than the pool
    /// takes to look; where there is one each time they do not.
    pub(super) fn found(&mut self, answers: usize) {
        self.singles = if answers == 1 { self.singles + 1 } else { 0 };
        if answers >= AT_ONCE {
            self.quick = true;
        } else if self.singles >= ONE_BY_ONE {
            self.quick = false;
        }
    }

    /// The number of chunks that it has to do; `None` if it takes no more of so many bytes.
    pub(super) fn load(&self, rules: &Rules, bytes: usize) -> Option<usize> {
        let load = self.outstanding.len();
        let open = match self.life {
            Life::Down => rules.plain && load == 0,
            Life::Up => {
                let depth = if self.quick { rules.depth.of(bytes) } else { rules.depth.any };
                let has_room = load < depth && self.given < self.most(rules);
                !rules.plain && !self.is_to_end() && has_room
            }
            _ => false,
        };
        open.then_some(load)
    }

    /// `true` if it is about to end, or to be ended.
    fn is_to_end(&self) -> bool {
        self.condemned || self.timed_out || self.leaves || self.retires
    }

    /// The chunks that its process does.
    fn most(&self, rules: &Rules) -> u64 {
        if self.own { 1 } else { rules.max_chunks }
    }

    /// A chunk is given to its process, which is started with it in a plain pool.
    pub(super) fn give(&mut self, chunk: Chunk<W, S>, rules: &Rules) {
        if rules.plain {
            self.life = Life::Up;
        }
        self.given += 1;
        self.outstanding.push_back(chunk);
        if self.outstanding.len() == 1 {
            self.wind(rules);
        }
    }

    /// A process is started for this chunk alone.
    pub(super) fn give_own(&mut self, chunk: Chunk<W, S>, rules: &Rules) {
        (self.life, self.own) = (Life::Up, true);
        self.give(chunk, rules);
    }

    /// It has nothing to do, and is told to end.
    pub(super) fn retire(&mut self, rules: &Rules) {
        self.retires = true;
        self.wind(rules);
    }

    /// `true` if it could be told to end: there is a process, which has nothing to do.
    pub(super) fn may_retire(&self, rules: &Rules) -> bool {
        let is_idle = self.life == Life::Up && self.outstanding.is_empty();
        is_idle && !self.is_to_end() && !self.is_done(rules)
    }

    /// Winds the timer for what the worker does from now on.
    fn wind(&mut self, rules: &Rules) {
        let next = self.outstanding.front().filter(|_| !self.leaves);
        let limit = if let Some(chunk) = next {
            chunk.timeout(rules)
        } else if self.leaves || self.retires || self.is_done(rules) {
            // It is to end by itself. One that does not must not keep its place for ever.
            Some(rules.task_timeout.map_or(LEAVING, |limit| limit.min(LEAVING)))
        } else {
            None
        };
        self.timer = limit.map_or(Timer::Off, Timer::Beginning);
    }

    /// `true` if the worker has done all that one worker does.
    pub(super) fn is_done(&self, rules: &Rules) -> bool {
        !rules.plain && self.answered >= self.most(rules)
    }

    /// Takes out a chunk that was not begun.
    pub(super) fn take_back(&mut self, id: u64, rules: &Rules) -> Option<Chunk<W, S>> {
        let at = self.outstanding.iter().position(|chunk| chunk.id == id)?;
        let chunk = self.outstanding.remove(at);
        self.given -= 1;
        if at == 0 {
            self.wind(rules);
        }
        chunk
    }

    /// Takes out a chunk that was answered; the next one begins. It has to be the oldest: a worker that
    /// answered others while it keeps that one would have all the time there is for it.
    pub(super) fn answered(&mut self, id: u64, rules: &Rules) -> Option<Chunk<W, S>> {
        if self.leaves || self.outstanding.front()?.id != id {
            return None;
        }
        self.answered += 1;
        self.record.answered();
        let chunk = self.outstanding.pop_front();
        self.wind(rules);
        chunk
    }

    /// What it answered last was not the whole chunk: only one that is about to end does that.
    pub(super) fn leaves(&mut self, rules: &Rules) {
        self.leaves = true;
        self.wind(rules);
    }

    /// Takes out the chunks of such a sink. If there are any, it is to be killed, and what it says
    /// counts no more.
    pub(super) fn cancel(&mut self, is: impl Fn(&S) -> bool) -> VecDeque<Chunk<W, S>> {
        let all = std::mem::take(&mut self.outstanding).into_iter();
        let (those, others): (VecDeque<_>, _) = all.partition(|chunk| is(&chunk.sink));
        self.outstanding = others;
        if !those.is_empty() {
            (self.cancelled, self.condemned, self.timer) = (true, true, Timer::Off);
        }
        those
    }

    /// Its process has ended, and there is none. What that was given: what it had begun, and what was
    /// still in its queue, each in the order in which it was given.
    pub(super) fn vacate(&mut self, in_queue: &[u64]) -> [Vec<Chunk<W, S>>; 2] {
        let had = Slot { record: self.record, quick: self.quick, ..Slot::new(Life::Down) };
        let had = std::mem::replace(self, had);
        // A process that was there for one chunk and ended before it took it has ended because of it.
        let is_begun = |chunk: &Chunk<W, S>| had.own || !in_queue.contains(&chunk.id);
        let (begun, others) = had.outstanding.into_iter().partition(is_begun);
        [begun, others]
    }

    /// `true` if it has a chunk at hand that it has not begun, as far as the pool knows. An
    /// initializer that still waits is not to be taken from it.
    pub(super) fn may_be_taken_from(&self, rules: &Rules) -> bool {
        self.outstanding.len() > 1 && (self.answered > 0 || !rules.initializes)
    }

    /// `true` if it is to be looked at when time has passed.
    pub(super) fn keeps_time(&self) -> bool {
        self.timer != Timer::Off || matches!(self.life, Life::Pausing(_) | Life::Resting(_))
    }

    /// `true` if a time runs from the next look at the clock on: when it is over is not known before.
    pub(super) fn awaits_clock(&self) -> bool {
        matches!(self.timer, Timer::Beginning(_)) || matches!(self.life, Life::Pausing(_))
    }

    /// The moment at which something is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let life = match self.life {
            Life::Resting(at) => at,
            _ => None,
        };
        match (self.timer, life) {
            (Timer::Until(at), Some(other)) => Some(at.min(other)),
            (Timer::Until(at), None) => Some(at),
            (_, life) => life,
        }
    }

    /// Time has passed. Whether its worker is to be killed, for having been at a chunk for too long.
    pub(super) fn tick(&mut self, now: Instant, rules: &Rules) -> bool {
        if let Life::Pausing(pause) = self.life {
            self.life = Life::Resting(now.checked_add(pause));
        }
        if matches!(self.life, Life::Resting(Some(at)) if at <= now) {
            self.life = if rules.plain { Life::Down } else { Life::Due };
        }
        match self.timer {
            Timer::Beginning(limit) => {
                self.timer = now.checked_add(limit).map_or(Timer::Off, Timer::Until);
                false
            }
            Timer::Until(at) if at <= now => {
                self.timer = Timer::Off;
                self.timed_out = true;
                true
            }
            _ => false,
        }
    }
}
