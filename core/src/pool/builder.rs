//! What is said about a pool before its workers start.

use super::Pool;
use super::engine::{Engine, Options};
use crate::{Args, Context, Entry, Error, Message, Output, Result, Worker};
use std::marker::PhantomData;
use std::time::Duration;

/// What a pool is about to be. Made by [`Context::pool`].
#[must_use = "nothing runs before build"]
pub struct PoolBuilder<P, R> {
    context: Context,
    entry: Entry,
    options: Options,
    error: Option<Error>,
    types: PhantomData<fn(P) -> R>,
}

impl<P, R> PoolBuilder<P, R> {
    pub(crate) fn new(context: Context, entry: Entry) -> PoolBuilder<P, R> {
        PoolBuilder { context, entry, options: Options::default(), error: None, types: PhantomData }
    }

    /// How many workers; the default is the CPU count. 0 is an error.
    pub fn workers(mut self, n: usize) -> Self {
        self.options.workers = Some(n);
        self
    }

    /// How many tasks travel together in `map`, `starmap` and `imap`.
    ///
    /// The default is 1 for `imap`, and for `map` a sixteenth of each worker's share, 1024 at most.
    /// A worker that dies takes with it the results of its chunk that it has not sent yet.
    pub fn chunk_size(mut self, n: usize) -> Self {
        self.options.chunk_size = Some(n);
        self
    }

    /// Runs a task whose worker died again, up to `n` times; for idempotent work. Default 0.
    pub fn retries(mut self, n: u32) -> Self {
        self.options.retries = n;
        self
    }

    /// Whether a chunk whose worker died may be run again, task by task, so that only the guilty
    /// task fails. Default `false`; [`PoolBuilder::retries`] implies it.
    pub fn idempotent(mut self, yes: bool) -> Self {
        self.options.idempotent = yes;
        self
    }

    /// Ends a worker that is at one task for longer than this; the task fails. Default: never.
    /// Implies a chunk size of 1.
    pub fn task_timeout(mut self, timeout: Duration) -> Self {
        self.options.task_timeout = Some(timeout);
        self
    }

    /// Replaces a worker after this many chunks. Default: never. 0 is an error.
    pub fn max_tasks_per_child(mut self, n: u64) -> Self {
        self.options.max_tasks = n;
        self
    }

    /// A new process for each task, so that no byte of one task can reach the next. Implies a chunk
    /// size of 1.
    pub fn fresh_per_task(mut self) -> Self {
        self.options.fresh = true;
        self
    }

    /// Where its workers print to. Default: where the parent does.
    pub fn stdout(mut self, stdout: Output) -> Self {
        self.options.stdout = stdout;
        self
    }

    /// Calls another worker of the program, with these arguments, in every process before its tasks.
    pub fn initializer<Q, S, F, A: Args<Q>>(mut self, worker: Worker<Q, S, F>, args: A) -> Self {
        match Message::of(&args) {
            Ok(message) => self.options.initializer = Some((worker.name().to_string(), message)),
            Err(e) => self.error = Some(e),
        }
        self
    }

    /// The pool, its workers started.
    ///
    /// # Errors
    /// [`Error::Invalid`] for 0 workers, a chunk size of 0 or 0 tasks per child, and what starting a process says.
    pub fn build(mut self) -> Result<Pool<P, R>> {
        if let Some(e) = self.error {
            return Err(e);
        }
        let (workers, chunk) = (self.options.workers, self.options.chunk_size);
        if workers == Some(0) || chunk == Some(0) || self.options.max_tasks == 0 {
            let why = "a pool has at least one worker, one task per chunk, one chunk per worker";
            return Err(Error::Invalid(why.into()));
        }
        if self.options.fresh {
            self.options.max_tasks = 1;
        }
        if self.options.fresh || self.options.task_timeout.is_some() {
            self.options.chunk_size = Some(1);
        }
        let engine = Engine::start(self.context, self.entry, self.options)?;
        Ok(Pool { engine, types: PhantomData })
    }

    /// Lends a new pool to `f` and terminates it afterwards, on unwind too.
    ///
    /// # Errors
    /// Those of [`PoolBuilder::build`], and what `f` returns.
    pub fn scope<T>(self, f: impl FnOnce(&Pool<P, R>) -> Result<T>) -> Result<T> {
        let pool = self.build()?;
        f(&pool)
    }
}
