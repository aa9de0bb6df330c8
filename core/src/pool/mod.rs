//! A pool of worker processes: Python's, written once for every backend, and it survives its workers.
//!
//! The parts: `wire` is what pool and workers say to each other, `serve` the worker's side, `slot`
//! one worker as the pool sees it, `engine` the bookkeeping that moves tasks and replaces workers,
//! `result` and `stream` what callers hold. This file is the typed surface.
//!
//! There is no thread that must run for tasks to move: whoever waits for a result drives the
//! engine (a wake of another thread costs more than a task). Only for tasks that nobody waits for
//! yet does a background thread take the wheel, where there are threads.

mod engine;
mod heal;
mod result;
mod serve;
mod slot;
mod stream;
mod wire;

pub use engine::Counters;
pub use result::TaskResult;
pub use serve::{Function, panicked, serve};
pub use stream::{Bell, TaskResults};
pub use wire::TaskEnd;

use crate::{Args, Context, Entry, Error, Message, Output, Result, Worker};
use engine::{Engine, Options};
use result::{Gather, Single};
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use wire::Tasks;

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

    /// Replaces a worker after this many chunks. Default: never.
    pub fn max_tasks_per_child(mut self, n: u64) -> Self {
        self.options.max_tasks = n.max(1);
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
    /// [`Error::Invalid`] for 0 workers or a chunk size of 0, and what starting a process says.
    pub fn build(mut self) -> Result<Pool<P, R>> {
        if let Some(e) = self.error {
            return Err(e);
        }
        if self.options.workers == Some(0) || self.options.chunk_size == Some(0) {
            return Err(Error::Invalid(
                "a pool has at least one worker and one task per chunk".into(),
            ));
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

/// A pool of workers that take tasks with arguments `P` and give results `R`.
///
/// A worker that dies in the middle of a task fails that task alone and is replaced. Dropping the
/// pool terminates it.
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let pool = ctx.pool_of::<(u64,), bool>("is_prime").workers(4).build()?;
/// assert!(pool.apply((7u64,))?);
/// let flags = pool.map(0..100u64)?;
/// # drop(flags);
/// pool.close();
/// pool.join()?;
/// # Ok(()) }
/// ```
pub struct Pool<P, R> {
    engine: Arc<Engine>,
    types: PhantomData<fn(P) -> R>,
}

impl<P, R: DeserializeOwned + Send + 'static> Pool<P, R> {
    /// Runs one task and waits for its result.
    ///
    /// # Errors
    /// [`Error::PoolClosed`], [`Error::Task`], [`Error::WorkerDied`], [`Error::Decode`].
    pub fn apply<A: Args<P>>(&self, args: A) -> Result<R> {
        self.submit(args, None, false)?.get()
    }

    /// Runs one task; its result is fetched later.
    ///
    /// # Errors
    /// [`Error::PoolClosed`], [`Error::PoolBroken`], [`Error::Encode`].
    pub fn apply_async<A: Args<P>>(&self, args: A) -> Result<TaskResult<R>> {
        self.submit(args, None, true)
    }

    /// Like [`Pool::apply_async`]; when the task has ended, `then` is called with its result on the
    /// thread that drives the pool. It should be short.
    ///
    /// # Errors
    /// Those of [`Pool::apply_async`].
    pub fn apply_async_with<A: Args<P>>(
        &self,
        args: A,
        then: impl FnOnce(&Result<R>) + Send + 'static,
    ) -> Result<TaskResult<R>> {
        self.submit(args, Some(Box::new(then)), true)
    }

    fn submit<A: Args<P>>(
        &self,
        args: A,
        then: Option<result::Callback<R>>,
        background: bool,
    ) -> Result<TaskResult<R>> {
        let mut tasks = Tasks::new();
        tasks.push(&args)?;
        let sink = Arc::new(Single::new(then));
        self.engine.submit(tasks, sink.clone(), 0)?;
        if background {
            self.engine.drive_in_background();
        }
        Ok(TaskResult::new(self.engine.clone(), sink))
    }

    /// Runs a task per input, each the single argument of the worker, and waits for all results, in
    /// the order of the inputs. Inputs are taken as the workers get to them.
    ///
    /// # Errors
    /// The first error among the results, by input order, once all tasks have ended.
    pub fn map<I>(&self, inputs: I) -> Result<Vec<R>>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        self.starmap(inputs.into_iter().map(|item| (item,)))
    }

    /// Like [`Pool::map`], with a tuple of arguments per input.
    ///
    /// # Errors
    /// Those of [`Pool::map`].
    pub fn starmap<I>(&self, inputs: I) -> Result<Vec<R>>
    where
        I: IntoIterator,
        I::Item: Args<P>,
    {
        let inputs = inputs.into_iter();
        let chunk = self.engine.chunk_for(inputs.size_hint().0);
        let gather = Arc::new(Gather::new(None));
        let mut chunks = Chunks { inputs, size: chunk, at: 0 };
        while let Some((base, tasks)) = chunks.next_chunk()? {
            gather.expect(tasks.len());
            self.engine.submit(tasks, gather.clone(), base)?;
            self.engine.wait_for_room()?;
        }
        gather.seal();
        TaskResult::new(self.engine.clone(), gather).get()
    }

    /// Like [`Pool::map`], without waiting. All inputs are taken at once.
    ///
    /// # Errors
    /// [`Error::PoolClosed`], [`Error::PoolBroken`], [`Error::Encode`].
    pub fn map_async<I>(&self, inputs: I) -> Result<TaskResult<Vec<R>>>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        self.gather_async(inputs, None)
    }

    /// Like [`Pool::map_async`]; `then` is called as in [`Pool::apply_async_with`].
    ///
    /// # Errors
    /// Those of [`Pool::map_async`].
    pub fn map_async_with<I>(
        &self,
        inputs: I,
        then: impl FnOnce(&Result<Vec<R>>) + Send + 'static,
    ) -> Result<TaskResult<Vec<R>>>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        self.gather_async(inputs, Some(Box::new(then)))
    }

    fn gather_async<I>(
        &self,
        inputs: I,
        then: Option<result::Callback<Vec<R>>>,
    ) -> Result<TaskResult<Vec<R>>>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        let inputs = inputs.into_iter().map(|item| (item,));
        let size = self.engine.chunk_for(inputs.size_hint().0);
        let gather = Arc::new(Gather::new(then));
        let mut chunks = Chunks { inputs, size, at: 0 };
        while let Some((base, tasks)) = chunks.next_chunk()? {
            gather.expect(tasks.len());
            self.engine.submit(tasks, gather.clone(), base)?;
        }
        gather.seal();
        self.engine.drive_in_background();
        Ok(TaskResult::new(self.engine.clone(), gather))
    }

    /// A task per input; results come in the order of the inputs, as an iterator. Inputs are taken
    /// a bounded number ahead, so an endless iterator needs constant memory.
    pub fn imap<I>(
        &self,
        inputs: I,
    ) -> TaskResults<R, impl Iterator<Item = Poll<Result<Message>>> + use<P, R, I>>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        self.iterate(inputs, true)
    }

    /// Like [`Pool::imap`], with the results as they come, each with its input's index.
    pub fn imap_unordered<I>(
        &self,
        inputs: I,
    ) -> TaskResults<R, impl Iterator<Item = Poll<Result<Message>>> + use<P, R, I>>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        self.iterate(inputs, false)
    }

    fn iterate<I>(
        &self,
        inputs: I,
        ordered: bool,
    ) -> TaskResults<R, impl Iterator<Item = Poll<Result<Message>>> + use<P, R, I>>
    where
        I: IntoIterator,
        (I::Item,): Args<P>,
    {
        let encoded = inputs.into_iter().map(|item| Poll::Ready(Message::of(&(item,))));
        TaskResults::new(self.engine.clone(), encoded, ordered)
    }

    /// Like [`Pool::imap`], for inputs that come when they come: from a terminal, a socket, another
    /// thread. `Poll::Pending` says that there is none now. What was taken is then sent off, be it
    /// less than a chunk, and results are given out while the inputs are idle; they are looked at
    /// again when a result comes, and when [`Pool::bell`] is rung. In input order, or else as the
    /// results come.
    ///
    /// ```no_run
    /// # use std::{sync::mpsc, task::Poll};
    /// # fn example(pool: procbox_core::Pool<(u64,), u64>) {
    /// let (sender, receiver) = mpsc::sync_channel(1000);
    /// let bell = pool.bell();
    /// std::thread::spawn(move || {
    ///     for n in 0..10u64 {
    ///         sender.send(n).unwrap();
    ///         bell.ring();
    ///     }
    ///     drop(sender);
    ///     bell.ring();
    /// });
    /// let inputs = std::iter::from_fn(|| match receiver.try_recv() {
    ///     Ok(n) => Some(Poll::Ready(n)),
    ///     Err(mpsc::TryRecvError::Empty) => Some(Poll::Pending),
    ///     Err(mpsc::TryRecvError::Disconnected) => None,
    /// });
    /// for (index, result) in pool.imap_polled(inputs, true) {
    ///     println!("{index}: {result:?}");
    /// }
    /// # }
    /// ```
    pub fn imap_polled<I, T>(
        &self,
        inputs: I,
        ordered: bool,
    ) -> TaskResults<R, impl Iterator<Item = Poll<Result<Message>>> + use<P, R, I, T>>
    where
        I: IntoIterator<Item = Poll<T>>,
        (T,): Args<P>,
    {
        let encoded = inputs.into_iter().map(|poll| poll.map(|item| Message::of(&(item,))));
        TaskResults::new(self.engine.clone(), encoded, ordered)
    }

    /// What tells this pool that inputs of [`Pool::imap_polled`] have come.
    pub fn bell(&self) -> Bell {
        Bell::new(&self.engine)
    }

    /// Takes no more tasks; those that it has are done.
    pub fn close(&self) {
        self.engine.close();
    }

    /// Ends the workers at once; what is pending fails with [`Error::PoolClosed`].
    pub fn terminate(&self) {
        self.engine.terminate();
    }

    /// Waits until all tasks and then all workers have ended.
    ///
    /// # Errors
    /// [`Error::PoolOpen`] before `close` or `terminate`, [`Error::Interrupted`] on Ctrl-C.
    pub fn join(&self) -> Result<()> {
        self.engine.join()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.engine.counters()
    }
}

impl<P, R> Drop for Pool<P, R> {
    fn drop(&mut self) {
        self.engine.terminate();
        // It can only be interrupted, and the workers were told to end.
        let _ = self.engine.join();
    }
}

impl<P, R> fmt::Debug for Pool<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({:?})", self.engine.counters())
    }
}

/// Cuts an iterator of argument tuples into encoded chunks.
struct Chunks<I> {
    inputs: I,
    size: usize,
    at: usize,
}

impl<I: Iterator<Item: serde::Serialize>> Chunks<I> {
    fn next_chunk(&mut self) -> Result<Option<(usize, Tasks)>> {
        let mut tasks = Tasks::new();
        for arguments in self.inputs.by_ref().take(self.size) {
            tasks.push(&arguments)?;
        }
        let base = self.at;
        self.at += tasks.len();
        Ok(if tasks.is_empty() { None } else { Some((base, tasks)) })
    }
}
