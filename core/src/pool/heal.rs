//! What a pool does when a worker dies: whose task fails, what runs again, who is replaced.

use super::engine::{Engine, State};
use super::slot::Chunk;
use crate::raw::{Entry, Message};
use crate::{Error, ExitStatus, Result, signal};
use std::time::Duration;

/// Starts that may fail in a row, with growing pauses, before the pool is broken.
const START_TRIES: u32 = 4;
/// The same for processes that were killed before they did anything.
const KILLED_START_TRIES: u32 = 200;
/// The first of those pauses; each is ten times the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

impl Engine {
    /// The process of slot `at` has ended and said all that it will.
    pub(super) fn ended(&self, state: &mut State, at: usize, status: ExitStatus) {
        let slot = &mut state.slots[at];
        let unbegun: Vec<Chunk> = std::iter::from_fn(|| slot.take_back()).collect();
        let begun = std::mem::take(&mut slot.outstanding);
        let useful = slot.answered > 0 || !begun.is_empty();
        let finished = status.success() && begun.is_empty();
        let printed = slot.printed();
        let (worker, status) = slot.bury(status);
        let died = Died { worker, status };

        let mut again = Vec::new();
        for chunk in begun {
            self.end_begun(state, chunk, &died, printed.as_ref(), &mut again);
        }
        // What it had not begun was not touched by its death; all goes back in order.
        for mut chunk in again.into_iter().chain(unbegun).rev() {
            chunk.id = state.next_id;
            state.next_id += 1;
            state.backlog.push_front(chunk);
        }

        if matches!(self.entry, Entry::Main(_)) || state.terminated || state.broken.is_some() {
            return;
        }
        if !finished {
            state.counters.replaced += 1;
        }
        if useful || finished {
            state.slots[at].start_after = Some(self.clock.now());
        } else {
            let attempts = state.failed_starts + 1;
            self.start_failed(state, at, &died.error(attempts), died.was_killed());
        }
    }

    /// Ends, or sends round again, a chunk that the dead process had begun.
    fn end_begun(
        &self,
        state: &mut State,
        mut chunk: Chunk,
        died: &Died,
        printed: Option<&Result<Message>>,
        again: &mut Vec<Chunk>,
    ) {
        if let (Some(output), true) = (printed, died.status.success()) {
            let outcome = output.as_ref().map(|m| (&m.bytes[..], &m.handles[..]));
            state.pending -= 1;
            state.counters.done += 1;
            state.deferred.extend(chunk.sink.complete(chunk.base, outcome.map_err(Clone::clone)));
            return;
        }
        if chunk.tasks.len() > 1 && (self.options.idempotent || self.options.retries > 0) {
            // Any of them may be the guilty one: alone, it will show.
            state.counters.retried += chunk.tasks.len() as u64;
            again.extend(chunk.split());
            return;
        }
        chunk.attempts += 1;
        if chunk.attempts <= self.options.retries {
            state.counters.retried += 1;
            again.push(chunk);
            return;
        }
        state.pending -= chunk.tasks.len();
        state.counters.failed += chunk.tasks.len() as u64;
        chunk.fail(&died.error(chunk.attempts), &mut state.deferred);
    }

    /// Starts a new process in slot `at`, if it is time for that.
    pub(super) fn start_if_due(&self, state: &mut State, at: usize) {
        let slot = &mut state.slots[at];
        if slot.start_after.is_none_or(|due| due > self.clock.now()) {
            return;
        }
        slot.start_after = None;
        if matches!(self.entry, Entry::Main(_)) {
            return; // Its processes start with their tasks.
        }
        // Nothing to do and nothing to come: no need for it.
        if state.closed && state.pending == 0 {
            return;
        }
        if let Err(why) = slot.start(&self.ctx, &self.entry, &self.options) {
            self.start_failed(state, at, &why, false);
        }
    }

    /// A process could not be started, or ended before it did anything: tries again after a pause,
    /// or gives up. One that was killed is somebody else's doing, and no reason to give up soon.
    pub(super) fn start_failed(&self, state: &mut State, at: usize, why: &Error, killed: bool) {
        state.failed_starts += 1;
        let (tries, pause) = if killed {
            (KILLED_START_TRIES, FIRST_PAUSE)
        } else {
            (START_TRIES, FIRST_PAUSE * 10u32.pow(state.failed_starts.clamp(1, START_TRIES) - 1))
        };
        if why.is_permanent() {
            state.broken = Some(why.clone());
            self.fail_all(state, why);
        } else if state.failed_starts < tries {
            state.slots[at].start_after = self.clock.now().checked_add(pause);
        } else {
            let error = Error::PoolBroken(why.to_string());
            state.broken = Some(error.clone());
            self.fail_all(state, &error);
        }
    }

    /// Ends everything that is pending with one error.
    pub(super) fn fail_all(&self, state: &mut State, error: &Error) {
        let lost: Vec<Chunk> = (state.slots.iter_mut())
            .flat_map(|slot| std::mem::take(&mut slot.outstanding))
            .chain(std::mem::take(&mut state.backlog))
            .collect();
        for chunk in lost {
            state.pending -= chunk.tasks.len();
            state.counters.failed += chunk.tasks.len() as u64;
            chunk.fail(error, &mut state.deferred);
        }
    }
}

/// Who died, and how.
struct Died {
    worker: String,
    status: ExitStatus,
}

impl Died {
    /// By SIGKILL or SIGTERM, and not for a limit of its own.
    fn was_killed(&self) -> bool {
        let signal = self.status.signal();
        self.status.limit().is_none() && matches!(signal, Some(signal::KILL | signal::TERM))
    }

    fn error(&self, attempts: u32) -> Error {
        Error::WorkerDied { worker: self.worker.clone(), status: self.status, attempts }
    }
}
