//! The bookkeeping of a pool: moves tasks to workers and their ends to sinks.
//!
//! Every task is in exactly one place: the backlog, or one slot's list of outstanding chunks, or
//! ended. Which thread does the moving is in `drive`, what happens when a worker dies in `heal`.

use super::drive::Helm;
use super::result::{Deferred, Sink, lock};
use super::slot::{Chunk, Given, News, Slot};
use crate::raw::{Entry, Message, Output};
use crate::runner::wire::{Reader, Tasks};
use crate::time::Clock;
use crate::{Context, Error, Result, Wait};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Chunks that a worker has at hand, so that it need not wait for the pool between two.
const DEPTH: usize = 8;
/// The largest default chunk.
const MOST_PER_CHUNK: usize = 1024;

/// What a pool was asked to be.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) workers: Option<usize>,
    pub(super) chunk_size: Option<usize>,
    pub(super) retries: u32,
    pub(super) idempotent: bool,
    pub(super) task_timeout: Option<Duration>,
    pub(super) max_tasks: u64,
    pub(super) fresh: bool,
    pub(super) initializer: Option<(String, Message)>,
    pub(super) stdout: Output,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            workers: None,
            chunk_size: None,
            retries: 0,
            idempotent: false,
            task_timeout: None,
            max_tasks: u64::MAX,
            fresh: false,
            initializer: None,
            stdout: Output::Inherit,
        }
    }
}

impl Options {
    pub(super) fn depth(&self) -> usize {
        // One more than what it works on would only have to be taken back.
        if self.fresh { 1 } else { DEPTH.min(usize::try_from(self.max_tasks).unwrap_or(DEPTH)) }
    }
}

/// What happened in a pool so far.
///
/// ```no_run
/// # use procbox_core::Counters;
/// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
/// let Counters { submitted, done, failed, .. } = pool.counters();
/// println!("{} of {submitted} tasks have ended", done + failed);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Tasks taken.
    pub submitted: u64,
    /// Tasks that ended with a result or with an error of their own.
    pub done: u64,
    /// Tasks that failed with their worker.
    pub failed: u64,
    /// Times that a task was run again.
    pub retried: u64,
    /// Workers that were replaced after they died.
    pub replaced: u64,
}

pub(super) struct State {
    pub(super) slots: Vec<Slot>,
    pub(super) backlog: VecDeque<Chunk>,
    /// Tasks that have not ended.
    pub(super) pending: usize,
    pub(super) next_id: u64,
    pub(super) closed: bool,
    pub(super) terminated: bool,
    pub(super) broken: Option<Error>,
    /// Starts that failed in a row.
    pub(super) failed_starts: u32,
    pub(super) counters: Counters,
    /// Callbacks to call once this is unlocked.
    pub(super) deferred: Vec<Deferred>,
}

pub(super) struct Engine {
    pub(super) ctx: Context,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entry: Entry,
    pub(super) options: Options,
    pub(super) workers: usize,
    pub(super) state: Mutex<State>,
    pub(super) helm: Helm,
}

/// Unlocks the state, then calls the callbacks that came up: they may use the pool.
fn unlock(mut state: MutexGuard<'_, State>) {
    let deferred = std::mem::take(&mut state.deferred);
    drop(state);
    // One that panics takes no other's result with it.
    let panics = deferred.into_iter().filter_map(|then| catch_unwind(AssertUnwindSafe(then)).err());
    if let Some(panic) = panics.fold(None, |first: Option<_>, panic| first.or(Some(panic))) {
        resume_unwind(panic);
    }
}

impl Engine {
    pub(super) fn start(ctx: Context, entry: Entry, options: Options) -> Result<Arc<Engine>> {
        let helm = Helm::new(&ctx)?;
        let workers = options.workers.unwrap_or_else(|| ctx.cpu_count()).max(1);
        let mut slots: Vec<Slot> = Vec::new();
        for _ in 0..workers {
            let mut slot = Slot::default();
            if let Err(e) = slot.start(&ctx, &entry, &options) {
                // A pool that is not there keeps no worker.
                slots.iter().for_each(Slot::kill);
                slots.iter_mut().try_for_each(Slot::join)?;
                return Err(e);
            }
            slots.push(slot);
        }
        let state = State {
            slots,
            backlog: VecDeque::new(),
            pending: 0,
            next_id: 0,
            closed: false,
            terminated: false,
            broken: None,
            failed_starts: 0,
            counters: Counters::default(),
            deferred: Vec::new(),
        };
        let clock = ctx.clock();
        Ok(Arc::new(Engine { helm, clock, ctx, entry, options, workers, state: Mutex::new(state) }))
    }

    pub(super) fn counters(&self) -> Counters {
        lock(&self.state).counters
    }

    pub(super) fn chunk_or(&self, default: usize) -> usize {
        match self.entry {
            Entry::Main(_) => 1,
            _ => self.options.chunk_size.unwrap_or(default),
        }
    }

    /// The chunk size for a `map` over at least so many inputs.
    pub(super) fn chunk_for(&self, inputs: usize) -> usize {
        self.chunk_or((inputs / (self.workers * 16)).clamp(1, MOST_PER_CHUNK))
    }

    /// How many tasks may be under way before inputs are taken no further.
    pub(super) fn window(&self, chunk: usize) -> usize {
        self.workers * (self.options.depth() + 1) * chunk
    }

    /// Takes a chunk of tasks whose ends go to `sink`, from index `base` on.
    pub(super) fn submit(&self, tasks: Tasks, sink: Arc<dyn Sink>, base: usize) -> Result<()> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Error::PoolClosed);
        }
        if let Some(why) = &state.broken {
            return Err(why.clone());
        }
        state.pending += tasks.len();
        state.counters.submitted += tasks.len() as u64;
        let id = state.next_id;
        state.next_id += 1;
        state.backlog.push_back(Chunk { id, tasks, sink, base, attempts: 0 });
        self.dispatch(&mut state);
        unlock(state);
        // A sleeping driver does not know of a new process or a new deadline.
        if matches!(self.entry, Entry::Main(_)) || self.options.task_timeout.is_some() {
            self.wake_driver();
        }
        Ok(())
    }

    /// Gives the backlog to the workers that have the least to do.
    fn dispatch(&self, state: &mut State) {
        let (entry, options) = (&self.entry, &self.options);
        while let Some(chunk) = state.backlog.pop_front() {
            let freest = (state.slots.iter().enumerate())
                .filter_map(|(at, slot)| slot.load(entry, options).map(|load| (load, at)))
                .min();
            let Some((_, at)) = freest else {
                state.backlog.push_front(chunk);
                return;
            };
            match state.slots[at].give(chunk, &self.ctx, entry, options, &*self.clock) {
                Given::Yes => {}
                Given::NoRoom(chunk) => {
                    state.backlog.push_front(chunk);
                    return;
                }
                Given::Unfit(chunk, why) => {
                    state.pending -= chunk.tasks.len();
                    state.counters.done += chunk.tasks.len() as u64;
                    chunk.fail(&why, &mut state.deferred);
                }
                Given::NotStarted(chunk, why) => {
                    state.backlog.push_front(chunk);
                    self.start_failed(state, at, &why, false);
                }
            }
        }
    }

    /// Takes all the news there is; whether there was any.
    pub(super) fn sweep(&self) -> bool {
        let mut state = lock(&self.state);
        let mut any = false;
        for at in 0..state.slots.len() {
            state.slots[at].check_clock(&*self.clock);
            loop {
                match state.slots[at].news() {
                    News::None => break,
                    News::Answer(message) => self.answer(&mut state, at, &message),
                    News::Ended(status) => {
                        self.ended(&mut state, at, status);
                        any = true;
                        break;
                    }
                }
                any = true;
            }
            self.start_if_due(&mut state, at);
        }
        self.dispatch(&mut state);
        self.rebalance(&mut state);
        unlock(state);
        any
    }

    /// A worker's report on one chunk.
    fn answer(&self, state: &mut State, at: usize, message: &Message) {
        let mut parts = Reader::new(message);
        let chunk = parts
            .u64()
            .ok()
            .and_then(|id| state.slots[at].answered(id, &self.options, &*self.clock));
        // Only a worker that lies names a chunk that it does not have: its death will fail the rest.
        let Some(mut chunk) = chunk else {
            return state.slots[at].kill();
        };
        state.failed_starts = 0;
        let (base, most) = (chunk.base, chunk.tasks.len());
        let ended = chunk.sink.complete_all(base, most, &mut parts, &mut state.deferred);
        state.pending -= ended;
        state.counters.done += ended as u64;
        // A sandboxed worker that panicked ends before the tasks behind the one that did.
        if ended < most {
            chunk.tasks.drop_first(ended);
            chunk.base += ended;
            if ended == 0 {
                state.pending -= chunk.tasks.len();
                state.counters.failed += chunk.tasks.len() as u64;
                let why = Error::Task("the worker's answer makes no sense".into());
                chunk.fail(&why, &mut state.deferred);
            } else {
                state.backlog.push_front(chunk);
            }
        }
        if !state.slots[at].is_up() || state.slots[at].outstanding.len() <= 1 {
            self.dispatch(state);
        }
    }

    /// Lets an idle worker have what a busy one has not begun.
    fn rebalance(&self, state: &mut State) {
        if !state.backlog.is_empty() {
            return;
        }
        while state.slots.iter().any(|s| s.load(&self.entry, &self.options) == Some(0)) {
            let busiest = state.slots.iter_mut().max_by_key(|s| s.outstanding.len());
            let Some(busiest) = busiest.filter(|s| s.may_take_back(&self.options)) else { return };
            let Some(chunk) = busiest.take_back() else {
                return;
            };
            state.backlog.push_back(chunk);
            self.dispatch(state);
        }
    }

    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
    }

    pub(super) fn terminate(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.terminated = true;
        self.fail_all(&mut state, &Error::PoolClosed);
        for slot in &state.slots {
            slot.kill();
        }
        unlock(state);
        self.turn();
        self.wake_driver();
    }

    pub(super) fn join(&self) -> Result<()> {
        if !lock(&self.state).closed {
            return Err(Error::PoolOpen);
        }
        self.drive_until(&|| lock(&self.state).pending == 0, Wait::Forever)?;
        let mut slots = std::mem::take(&mut lock(&self.state).slots);
        slots.iter().for_each(Slot::close);
        slots.iter_mut().try_for_each(Slot::join)
    }
}
