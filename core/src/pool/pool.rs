//! The typed surface of a pool: one task, and the pool's own life.

use super::builder::{PoolBuilder, Serves};
use super::driver::{Driver, refuse_limit_of_time};
use super::exchange::Counters;
use super::options::{Asked, Call};
use super::result::TaskResult;
use super::sink::{Callback, Single};
use super::task_options::TaskOptions;
use crate::runner::wire::Tasks;
use crate::worker::Args;
use crate::{Error, Result};
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A pool of workers that take tasks with arguments `P` and give results `R`.
///
/// A worker that dies in the middle of a task fails that task alone and is replaced. Dropping the
/// pool terminates it.
///
/// ```
/// # let ctx = procbox_core::local::example()?;
/// let pool = ctx.pool::<(u64,), bool>("is_prime").workers(4).build()?;
/// assert!(pool.apply((7u64,))?);
/// let flags = pool.map(0..100u64)?;
/// # drop(flags);
/// pool.close();
/// pool.join()?;
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub struct Pool<P, R> {
    pub(super) driver: Arc<Driver>,
    /// Whom its tasks call, and what they ask for.
    pub(super) call: Call,
    /// `false` if it was made of another by [`Pool::of`] or [`Pool::with`]: it ends nothing.
    is_first: bool,
    types: PhantomData<fn(P) -> R>,
}

impl<P, R> Pool<P, R> {
    /// The same pool for tasks of another worker of its program, by its item or its name: the same
    /// processes do them, from the same backlog, and all that a pool can do it can do with them. It may be
    /// kept or made each time. It ends nothing when it is dropped; when the pool is, its calls fail with
    /// [`crate::Error::PoolClosed`].
    ///
    /// A task of a worker that the program does not have fails by itself, with
    /// [`crate::Error::NoSuchWorker`]. A pool of a program's `main` has no workers: there each call fails
    /// with [`crate::Error::Invalid`].
    ///
    /// ```no_run
    /// # use procbox_core::{Context, Result, Worker};
    /// # type Double<F> = Worker<(u64,), u64, F>;
    /// # type Text<F> = Worker<(u64,), String, F>;
    /// # fn example<F, G>(ctx: Context, double: Double<F>, text: Text<G>) -> Result<()> {
    /// let pool = ctx.pool(double).workers(4).build()?;
    /// let texts = pool.of(text); // `text` is another `#[worker] fn`
    /// assert_eq!(pool.apply((21u64,))?, 42);
    /// assert_eq!(texts.map(1..4u64)?, ["1", "2", "3"]);
    /// # Ok(()) }
    /// ```
    pub fn of<Q, S>(&self, worker: impl Serves<Q, S>) -> Pool<Q, S> {
        let worker = Some(Arc::from(worker.name()));
        self.another(Call { worker, asked: self.call.asked.clone() })
    }

    /// The same pool for tasks that are treated otherwise than it was built to: with a priority, another
    /// time, a process of their own; see [`TaskOptions`]. As for [`Pool::of`], with which it goes
    /// together.
    ///
    /// ```no_run
    /// # use procbox_core::TaskOptions;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let urgent = pool.with(TaskOptions::new().priority(10));
    /// let background = pool.map_async(0..1_000_000u64)?;
    /// assert!(urgent.apply((7u64,))?); // does not wait for the million
    /// background.get()?;
    /// # Ok(()) }
    /// ```
    pub fn with(&self, options: TaskOptions) -> Pool<P, R> {
        let TaskOptions(asked) = options;
        let asked = (asked != Asked::default()).then(|| Arc::new(asked));
        self.another(Call { worker: self.call.worker.clone(), asked })
    }

    fn another<Q, S>(&self, call: Call) -> Pool<Q, S> {
        Pool { driver: self.driver.clone(), call, is_first: false, types: PhantomData }
    }
}

impl<P, R: DeserializeOwned + Send + 'static> Pool<P, R> {
    /// Runs one task and waits for its result.
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// assert!(pool.apply((7u64,))?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::PoolClosed`], [`crate::Error::Task`], [`crate::Error::WorkerDied`],
    /// [`crate::Error::Decode`].
    pub fn apply<A: Args<P>>(&self, args: A) -> Result<R> {
        self.submit(args, None, false)?.get()
    }

    /// Runs one task; its result is fetched later.
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let (a, b) = (pool.apply_async((7u64,))?, pool.apply_async((8u64,))?);
    /// assert_eq!((a.get()?, b.get()?), (true, false));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::PoolClosed`], [`crate::Error::PoolBroken`], [`crate::Error::Encode`].
    pub fn apply_async<A: Args<P>>(&self, args: A) -> Result<TaskResult<R>> {
        self.submit(args, None, true)
    }

    /// Like [`Pool::apply_async`]; when the task has ended, `then` is called with its result on the
    /// thread that drives the pool. It should be short.
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let result = pool.apply_async_with((7u64,), |end| match end {
    ///     Ok(prime) => println!("7 is a prime: {prime}"),
    ///     Err(why) => eprintln!("7: {why}"),
    /// })?;
    /// assert!(result.get()?); // the callback leaves it to its caller
    /// # Ok(()) }
    /// ```
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
        then: Option<Callback<R>>,
        background: bool,
    ) -> Result<TaskResult<R>> {
        let mut tasks = Tasks::of(self.call.worker.as_deref());
        tasks.push(&args)?;
        let sink = Arc::new(Single::new(then));
        self.driver.submit(tasks, sink.clone(), 0, &self.call)?;
        if background {
            self.driver.drive_in_background();
        }
        Ok(TaskResult::new(self.driver.clone(), sink))
    }

    /// Takes no more tasks; those that it has are done.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let result = pool.apply_async((7u64,))?;
    /// pool.close();
    /// assert_eq!(pool.apply((8u64,)), Err(Error::PoolClosed));
    /// assert!(result.get()?);
    /// # Ok(()) }
    /// ```
    pub fn close(&self) {
        self.driver.close();
    }

    /// Ends the workers at once; what is pending fails with [`crate::Error::PoolClosed`].
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// let flags = pool.map_async(0..1_000_000u64)?;
    /// pool.terminate();
    /// assert_eq!(flags.get(), Err(Error::PoolClosed));
    /// # Ok(()) }
    /// ```
    pub fn terminate(&self) {
        self.driver.terminate();
    }

    /// Waits until all tasks and then all workers have ended.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// assert_eq!(pool.join(), Err(Error::PoolOpen));
    /// pool.close();
    /// pool.join()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::PoolOpen`] before `close` or `terminate`, [`crate::Error::Interrupted`] on
    /// Ctrl-C.
    pub fn join(&self) -> Result<()> {
        self.driver.join()
    }

    /// The counts of what happened so far.
    ///
    /// ```no_run
    /// # fn example(pool: procbox_core::Pool<(u64,), bool>) -> procbox_core::Result<()> {
    /// pool.map(0..100u64)?;
    /// let so_far = pool.counters();
    /// assert_eq!((so_far.submitted, so_far.done, so_far.failed), (100, 100, 0));
    /// # Ok(()) }
    /// ```
    pub fn counters(&self) -> Counters {
        self.driver.counters()
    }
}

impl<P, R> Drop for Pool<P, R> {
    fn drop(&mut self) {
        if !self.is_first {
            return;
        }
        self.driver.terminate();
        // It can only be interrupted, and the workers were told to end.
        let _ = self.driver.join();
        self.driver.end_background();
    }
}

impl<P, R> fmt::Debug for Pool<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({:?})", self.driver.counters())
    }
}

impl<P, R> PoolBuilder<P, R> {
    /// The pool, its workers started.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::local::example()?;
    /// let nobody = ctx.pool::<(u64,), bool>("is_prime").workers(0).build();
    /// assert!(matches!(nobody, Err(Error::Invalid(_))));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for 0 workers, a chunk size of 0 or 0 tasks per child, [`Error::Unsupported`] for
    /// a task timeout where workers are threads, and what starting a process says.
    pub fn build(mut self) -> Result<Pool<P, R>> {
        if let Some(e) = self.error {
            return Err(e);
        }
        let (workers, chunk) = (self.options.workers, self.options.chunk_size);
        if workers == Some(0) || chunk == Some(0) || self.options.max_tasks == 0 {
            let why = "a pool has at least one worker, one task per chunk, one chunk per worker";
            return Err(Error::Invalid(why.into()));
        }
        refuse_limit_of_time(&self.context, self.options.task_timeout.is_some())?;
        if self.options.fresh {
            self.options.max_tasks = 1;
        }
        let alone = self.options.fresh || self.options.measured;
        if alone || self.options.task_timeout.is_some() {
            self.options.chunk_size = Some(1);
        }
        self.warm_up()?;
        let driver = Driver::start(self.context, self.entry, self.options)?;
        Ok(Pool { driver, call: Call::default(), is_first: true, types: PhantomData })
    }

    /// Lends a new pool to `f` and terminates it afterwards, on unwind too.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let builder = ctx.pool::<(u64,), bool>("is_prime");
    /// let flags = builder.scope(|pool| pool.map(0..10u64))?;
    /// assert_eq!(flags.len(), 10); // and the workers are gone
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`PoolBuilder::build`], and what `f` returns.
    pub fn scope<T>(self, f: impl FnOnce(&Pool<P, R>) -> Result<T>) -> Result<T> {
        let pool = self.build()?;
        f(&pool)
    }
}
