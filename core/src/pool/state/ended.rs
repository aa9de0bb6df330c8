//! Ends of processes, and starts that fail: what becomes of the tasks, and whether there is another.

use super::State;
use crate::Error;
use crate::pool::exchange::{Action, Death};
use crate::pool::slot::{Chunk, Life, Work};
use std::time::Duration;

/// Starts that may fail in a row, with growing pauses, before the pool is broken.
pub(super) const START_TRIES: u32 = 4;
/// The same for processes that were killed before they did anything.
const KILLED_START_TRIES: u32 = 200;
/// The first of those pauses; each is ten times the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

impl<W: Work, S: Clone> State<W, S> {
    /// The process of a slot has ended and said all that it will.
    pub(in crate::pool) fn ended(&mut self, at: usize, death: &Death) {
        let slot = &mut self.slots[at];
        let condemned = slot.condemned;
        // One that was told to end, with nothing to do, is not to blame for how it did: it may have been
        // at its initializer still, and too slow.
        let retired = slot.retires && !condemned;
        let done = slot.is_done(&self.rules) || retired;
        // One that was killed for its task has had one.
        let worked = slot.answered > 0 || slot.cancelled;
        let [begun, unbegun] = slot.vacate(&death.unbegun);
        if !begun.is_empty() {
            slot.record.began();
        }
        let useful = worked || !begun.is_empty();
        let deserts = death.status.success() && !unbegun.is_empty();
        // One that returns before it has done its share, though nobody told it to, has failed: it
        // would do so again and again.
        let may_end = done || self.closed && self.pending == 0;
        let is_well = death.status.success() || retired;
        let finished = is_well && begun.is_empty() && may_end;
        self.look_again();

        let mut again = Vec::new();
        for chunk in begun {
            self.end_begun(chunk, death, &mut again);
        }
        // What it had not begun was not touched by its death; all goes back in order.
        again.extend(unbegun);
        self.send_round_again(again);

        if self.rules.plain || self.terminated || self.broken.is_some() {
            return;
        }
        if !finished {
            self.counters.replaced += 1;
        }
        let record = &mut self.slots[at].record;
        if deserts && record.deserted() {
            let why = format!("{} returns again and again before its tasks are done", death.worker);
            return self.give_up(Error::PoolBroken(why));
        }
        if useful || finished {
            self.slots[at].life = Life::Due;
            return;
        }
        // One that was condemned has itself to blame for the kill.
        let killed = death.was_a_kill() && !condemned;
        match record.idled(killed) {
            Some(times) => self.give_up(Error::PoolBroken(death.error(times).to_string())),
            None => {
                let attempts = self.failed_starts + 1;
                self.start_failed(at, &death.error(attempts), killed);
            }
        }
    }

    /// Ends, or sends round again, a chunk that the dead process had begun.
    fn end_begun(&mut self, mut chunk: Chunk<W, S>, death: &Death, again: &mut Vec<Chunk<W, S>>) {
        let (first, count) = (chunk.first, chunk.work.len());
        if death.delivered {
            self.pending -= count;
            self.counters.done += count as u64;
            return;
        }
        let retries = chunk.retries(&self.rules);
        if count > 1 && (self.rules.idempotent || retries > 0) {
            // Any of them may be the guilty one: alone, it will show.
            again.extend(chunk.split());
        } else {
            chunk.attempts += 1;
            if chunk.attempts > retries {
                let error = death.error(chunk.attempts);
                return self.fail(chunk, error);
            }
            again.push(chunk);
        }
        self.counters.retried += count as u64;
        let attempts = again.last().map_or(0, |chunk| chunk.attempts);
        self.actions.push_back(Action::Retry { first, count, attempts });
    }

    /// A process could not be started, or ended before it did anything: tries again after a pause,
    /// or gives up. One that was killed is somebody else's doing, and no reason to give up soon.
    pub(super) fn start_failed(&mut self, at: usize, why: &Error, killed: bool) {
        self.failed_starts += 1;
        let (tries, pause) = if killed {
            (KILLED_START_TRIES, FIRST_PAUSE)
        } else {
            (START_TRIES, FIRST_PAUSE * 10u32.pow(self.failed_starts.clamp(1, START_TRIES) - 1))
        };
        self.slots[at].life = Life::Down;
        if !why.is_permanent() && self.failed_starts < tries {
            self.slots[at].life = Life::Pausing(pause);
            return;
        }
        let error =
            if why.is_permanent() { why.clone() } else { Error::PoolBroken(why.to_string()) };
        self.give_up(error);
    }

    /// The pool is broken: nothing of it goes on.
    fn give_up(&mut self, error: Error) {
        self.fail_all(&error);
        self.broken = Some(error);
        for (at, slot) in self.slots.iter_mut().enumerate() {
            match slot.life {
                Life::Up => self.actions.push_back(Action::Kill(at)),
                _ => slot.life = Life::Down,
            }
        }
    }
}
