//! The bookkeeping of a pool: events in, actions out.
//!
//! Every task is in exactly one place: the backlog, one slot's list of outstanding chunks, or ended.
//! The state knows no clock, no lock, no process and no queue. The driver tells it what happened
//! (a submission, an answer, a death, a moment that has come) and then asks, by
//! [`State::next_action`], what is to be done until there is nothing more. What an action came to is
//! an event again, if it can fail.

use super::backlog::Backlog;
use super::exchange::{Action, Counters, Refusal};
use super::options::{Asked, Rules};
use super::slot::{Chunk, Life, Slot, Work};
use crate::{Error, ExitStatus, Result};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// A pool's tasks and workers. `W` is what is given to workers, `S` where the ends of tasks go.
pub(super) struct State<W, S> {
    rules: Rules,
    slots: Vec<Slot<W, S>>,
    backlog: Backlog<W, S>,
    /// Tasks that have not ended.
    pending: usize,
    next_id: u64,
    closed: bool,
    terminated: bool,
    broken: Option<Error>,
    /// Starts that failed in a row.
    failed_starts: u32,
    counters: Counters,
    /// Decided, and not yet done.
    actions: VecDeque<Action<S>>,
    /// `true` once tasks of another priority than 0 have come.
    prioritized: bool,
    /// A worker had no room: nothing is given out before there is news.
    no_room: bool,
    /// Nothing could be taken back: nor is that tried before there is news.
    nothing_back: bool,
}

impl<W: Work, S: Clone> State<W, S> {
    /// A pool with so many workers, each of which is to be started unless the pool is plain.
    pub(super) fn new(rules: Rules, workers: usize) -> State<W, S> {
        let life = if rules.plain { Life::Down } else { Life::Due };
        let slot = || Slot::new(life);
        State {
            slots: std::iter::repeat_with(slot).take(workers).collect(),
            rules,
            backlog: Backlog::new(),
            pending: 0,
            next_id: 0,
            closed: false,
            terminated: false,
            broken: None,
            failed_starts: 0,
            counters: Counters::default(),
            actions: VecDeque::new(),
            prioritized: false,
            no_room: false,
            nothing_back: false,
        }
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// Chunks that wait for a worker.
    pub(super) fn backlog(&self) -> usize {
        self.backlog.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// A chunk that was just given out.
    pub(super) fn given(&mut self, slot: usize, id: u64) -> Option<&mut Chunk<W, S>> {
        self.slots[slot].outstanding.back_mut().filter(|chunk| chunk.id == id)
    }

    /// The oldest chunk that the worker in this slot has.
    pub(super) fn oldest(&self, slot: usize) -> Option<&Chunk<W, S>> {
        self.slots[slot].outstanding.front()
    }

    /// The same, to be written to.
    pub(super) fn oldest_mut(&mut self, slot: usize) -> Option<&mut Chunk<W, S>> {
        self.slots[slot].outstanding.front_mut()
    }

    /// The status that the worker in this slot ended with, if its process ended with `status`.
    pub(super) fn verdict(&self, slot: usize, status: ExitStatus) -> ExitStatus {
        use crate::Limit::WallClock;
        if self.slots[slot].timed_out { ExitStatus::limited(WallClock) } else { status }
    }

    /// `true` if the worker in this slot should be given more right away.
    pub(super) fn is_hungry(&self, slot: usize) -> bool {
        self.slots[slot].life != Life::Up || self.slots[slot].outstanding.len() <= 1
    }

    /// `true` if what the worker in this slot says still counts.
    pub(super) fn is_trusted(&self, slot: usize) -> bool {
        !self.slots[slot].condemned
    }

    /// `true` if time matters now: [`State::tick`] is then to be called before a sleep.
    pub(super) fn keeps_time(&self) -> bool {
        self.slots.iter().any(Slot::keeps_time)
    }

    /// `true` if [`State::due`] does not know of all that will be due before [`State::tick`] is called.
    pub(super) fn awaits_clock(&self) -> bool {
        self.slots.iter().any(Slot::awaits_clock)
    }

    /// The moment at which [`State::tick`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.slots.iter().filter_map(Slot::due).min()
    }
}

/// Actions: the things to do.
impl<W: Work, S: Clone> State<W, S> {
    /// The next thing to do. To be asked until there is none.
    pub(super) fn next_action(&mut self) -> Option<Action<S>> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        // Nothing to do and nothing to come: no need for new workers.
        let needed = !(self.closed && self.pending == 0);
        if needed && let Some(slot) = self.slots.iter().position(|slot| slot.life == Life::Due) {
            return Some(self.give_own(slot).unwrap_or_else(|| {
                self.slots[slot].life = Life::Up;
                Action::Start(slot)
            }));
        }
        self.dispatch()
    }

    /// Gives the backlog to the workers that have the least to do.
    fn dispatch(&mut self) -> Option<Action<S>> {
        if self.no_room {
            return None;
        }
        if self.rules.needs_own(self.backlog.first()?) {
            return self.make_room();
        }
        let (rules, bytes) = (&self.rules, self.backlog.first()?.work.bytes());
        let loads = self.slots.iter().enumerate();
        let (_, slot) =
            loads.filter_map(|(at, slot)| slot.load(rules, bytes).map(|load| (load, at))).min()?;
        let chunk = self.backlog.pop()?;
        let id = chunk.id;
        self.slots[slot].give(chunk, rules);
        Some(Action::Give { slot, chunk: id })
    }

    /// The action that takes back, for an idle worker, a chunk that a busy one has not begun. To be
    /// asked when there is nothing else to do, and again after each that was done.
    pub(super) fn next_steal(&self) -> Option<Action<S>> {
        if !self.backlog.is_empty() || self.nothing_back {
            return None;
        }
        if !self.slots.iter().any(|slot| slot.load(&self.rules, 0) == Some(0)) {
            return None;
        }
        let slots = self.slots.iter().enumerate();
        let (busiest, slot) = slots.max_by_key(|(_, slot)| slot.outstanding.len())?;
        slot.may_be_taken_from(&self.rules).then_some(Action::TakeBack(busiest))
    }

    /// There may be room again: what was refused is tried again.
    pub(super) fn look_again(&mut self) {
        self.no_room = false;
        self.nothing_back = false;
    }

    /// A chunk's own error ends it, and no worker's.
    fn unfit(&mut self, chunk: Chunk<W, S>, error: Error) {
        let count = chunk.work.len() as u64;
        self.fail(chunk, error);
        self.counters.failed -= count;
        self.counters.done += count;
    }

    fn fail(&mut self, chunk: Chunk<W, S>, error: Error) {
        let (base, first, count) = (chunk.base, chunk.first, chunk.work.len());
        self.pending -= count;
        self.counters.failed += count as u64;
        let (sink, used) = (chunk.sink, chunk.used);
        self.actions.push_back(Action::Fail { sink, base, first, count, error, used });
    }

    /// Ends everything that is pending with one error.
    fn fail_all(&mut self, error: &Error) {
        let lost: Vec<Chunk<W, S>> = (self.slots.iter_mut())
            .flat_map(|slot| std::mem::take(&mut slot.outstanding))
            .chain(self.backlog.take_out(|_| true))
            .collect();
        for chunk in lost {
            self.fail(chunk, error.clone());
        }
    }

    /// Puts chunks back into the backlog, to be given out as new ones.
    fn send_round_again(&mut self, chunks: Vec<Chunk<W, S>>) {
        for mut chunk in chunks.into_iter().rev() {
            chunk.id = self.new_id();
            self.backlog.put_back(chunk);
        }
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }
}

/// Requests of the caller.
impl<W: Work, S: Clone> State<W, S> {
    /// Tasks whose ends go to `sink`, from index `base` on, and what they ask for.
    pub(super) fn submit(
        &mut self,
        work: W,
        sink: S,
        base: usize,
        asked: Option<Arc<Asked>>,
    ) -> Result<()> {
        if self.closed {
            return Err(Error::PoolClosed);
        }
        if let Some(why) = &self.broken {
            return Err(why.clone());
        }
        let first = self.counters.submitted;
        self.pending += work.len();
        self.counters.submitted += work.len() as u64;
        let id = self.new_id();
        let chunk = Chunk { id, work, sink, base, first, attempts: 0, used: None, asked };
        if chunk.priority() != 0 {
            self.rules.depth = self.rules.depth.at_most(PRIORITIZED_DEPTH);
            self.prioritized = true;
        }
        if self.prioritized {
            self.recall_for(chunk.priority());
        }
        self.backlog.push(chunk);
        Ok(())
    }

    /// No more tasks.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// No more tasks, and no end for those that there are.
    pub(super) fn terminate(&mut self) {
        self.closed = true;
        self.terminated = true;
        self.fail_all(&Error::PoolClosed);
        for (at, slot) in self.slots.iter().enumerate() {
            if slot.life == Life::Up {
                self.actions.push_back(Action::Kill(at));
            }
        }
    }
}

/// Events: the things that happened.
impl<W: Work, S: Clone> State<W, S> {
    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant) {
        for (at, slot) in self.slots.iter_mut().enumerate() {
            if slot.tick(now, &self.rules) {
                self.actions.push_back(Action::Kill(at));
            }
        }
    }

    /// The outcome of [`Action::Start`].
    pub(super) fn started(&mut self, slot: usize, outcome: Result<()>) {
        if let Err(why) = outcome {
            self.start_failed(slot, &why, false);
        }
    }

    /// [`Action::Give`] came to nothing.
    pub(super) fn refused(&mut self, slot: usize, id: u64, why: Refusal) {
        if self.rules.plain {
            self.slots[slot].life = Life::Down;
        }
        let Some(chunk) = self.slots[slot].take_back(id, &self.rules) else { return };
        match why {
            Refusal::NoRoom => {
                self.backlog.put_back(chunk);
                match self.slots[slot].outstanding.is_empty() {
                    // All that it was given is answered, so what is in its queue, or has closed it, is
                    // its own doing.
                    true => self.lied(slot),
                    false => self.no_room = true,
                }
            }
            Refusal::Closed => {
                self.backlog.put_back(chunk);
                self.lied(slot);
            }
            Refusal::Unfit(error) => {
                self.unfit(chunk, error);
                if self.slots[slot].own {
                    self.retire(slot);
                }
            }
            // It asked for a process that cannot be.
            Refusal::NotStarted(error) if self.slots[slot].own && error.is_permanent() => {
                self.unfit(chunk, error);
                self.slots[slot].vacate(&[]);
                self.slots[slot].life = Life::Due;
            }
            Refusal::NotStarted(error) => {
                self.backlog.put_back(chunk);
                self.slots[slot].vacate(&[]);
                self.start_failed(slot, &error, false);
            }
        }
    }

    /// The outcome of [`Action::TakeBack`].
    pub(super) fn taken_back(&mut self, slot: usize, id: Option<u64>) {
        match id.and_then(|id| self.slots[slot].take_back(id, &self.rules)) {
            Some(chunk) => self.backlog.put_back(chunk),
            None => self.nothing_back = true,
        }
    }

    /// The driver has taken all answers that the worker in this slot had given: so many.
    pub(super) fn swept(&mut self, slot: usize, answers: usize) {
        if answers > 0 {
            self.slots[slot].found(answers);
        }
    }

    /// A worker has answered this chunk. The driver hands the ends to the chunk's sink and gives it
    /// back by [`State::settled`]. `None`, and the worker is killed, if it is not the oldest that it has:
    /// only one that lies names another, and its death will fail the rest.
    pub(super) fn answered(&mut self, slot: usize, id: Option<u64>) -> Option<Chunk<W, S>> {
        let chunk = id.and_then(|id| self.slots[slot].answered(id, &self.rules));
        match chunk {
            Some(_) => self.failed_starts = 0,
            None => self.lied(slot),
        }
        self.look_again();
        chunk
    }

    /// The worker in this slot did what no worker does that is as it should be. It is killed, is given
    /// no more, and nothing that it says counts.
    pub(super) fn lied(&mut self, slot: usize) {
        self.slots[slot].condemned = true;
        self.actions.push_back(Action::Kill(slot));
    }

    /// The sink has taken the ends of a chunk's first `ended` tasks. What is left is tried again: a
    /// sandboxed worker that panicked ends before the tasks behind the one that did. An answer of no
    /// ends makes no sense, and fails all.
    pub(super) fn settled(&mut self, slot: usize, mut chunk: Chunk<W, S>, ended: usize) {
        let most = chunk.work.len();
        self.pending -= ended;
        self.counters.done += ended as u64;
        if ended == most {
            return;
        }
        if ended == 0 {
            return self.fail(chunk, Error::Task("the worker's answer makes no sense".into()));
        }
        chunk.drop_first(ended);
        self.backlog.put_back(chunk);
        self.slots[slot].leaves(&self.rules);
    }
}

#[cfg(test)]
mod asked;
mod cancel;
mod ended;
#[cfg(test)]
mod held;
mod own;
mod priority;
use priority::PRIORITIZED_DEPTH;
#[cfg(test)]
mod tests;
