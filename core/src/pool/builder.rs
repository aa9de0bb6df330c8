//! Pools before their workers start.

use super::options::Options;
use crate::process::Starts;
use crate::raw::{Backend, Entry, Message, Output};
use crate::worker::Args;
use crate::{Bytes, Context, Error, Result, Worker};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// A worker that can serve a pool whose tasks have the arguments `P` and the results `R`: a
/// `#[worker]` function by its item, or any worker of the context's program by its name.
///
/// ```
/// # use procbox_core::Serves;
/// # use procbox_core::Worker;
/// fn name_of<P, R>(worker: impl Serves<P, R>) -> String {
///     worker.name().to_string()
/// }
/// const DOUBLE: Worker<(u64,), u64, ()> = Worker::new("double", ());
/// assert_eq!(name_of(DOUBLE), name_of::<(u64,), u64>("double"));
/// ```
#[diagnostic::on_unimplemented(
    message = "a `{Self}` cannot serve a pool",
    label = "not a worker",
    note = "mark the function with `#[worker]`, or name a worker of the context's program by a `&str`",
    note = "a closure is no worker, its captures stay in this process: make it a `#[worker] fn` that takes \
            them as arguments"
)]
pub trait Serves<P, R> {
    /// A name or the identity of the worker.
    fn name(&self) -> &str;
}

impl<P, R, F> Serves<P, R> for Worker<P, R, F> {
    fn name(&self) -> &str {
        self.identity()
    }
}

impl<P, R> Serves<P, R> for &str {
    fn name(&self) -> &str {
        self
    }
}

impl Context {
    /// A pool of processes of a worker: of one of this program's own by its item, or of any worker of
    /// the context's program by its name, whose types are then given.
    ///
    /// ```no_run
    /// # use procbox_core::{Context, Result, Worker};
    /// # fn example<F>(ctx: Context, double: Worker<(u64,), u64, F>) -> Result<()> {
    /// let pool = ctx.pool(double).workers(2).build()?; // `double` is a `#[worker] fn`
    /// assert_eq!(pool.map(1..4u64)?, [2, 4, 6]);
    /// let named = ctx.pool::<(u64,), u64>("double").workers(2).build()?;
    /// assert_eq!(named.map(1..4u64)?, [2, 4, 6]);
    /// # Ok(()) }
    /// ```
    pub fn pool<P, R>(&self, worker: impl Serves<P, R>) -> PoolBuilder<P, R> {
        PoolBuilder::new(self.clone(), Entry::Serve(worker.name().to_string()))
    }

    /// A pool over a program that knows nothing of procbox: each task is one run of its `main`,
    /// with the task's bytes on stdin; what it prints is the result.
    ///
    /// ```no_run
    /// # use procbox_core::Bytes;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let texts: Vec<Vec<u8>> = Vec::new();
    /// let pool = ctx.pool_of_main(["--count"]).workers(2).build()?;
    /// for (index, counted) in pool.imap(texts.into_iter().map(Bytes)) {
    ///     println!("text {index}: {}", String::from_utf8_lossy(&counted?));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn pool_of_main<S: Into<Bytes>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> PoolBuilder<(Bytes,), Bytes> {
        PoolBuilder::new(self.clone(), Entry::Main(args.into_iter().map(Into::into).collect()))
    }

    /// Like [`Context::pool_of_main`], where each task has arguments of its own: a task is one run of
    /// the program's `main` with the first of the two as its arguments and the second on stdin.
    ///
    /// ```no_run
    /// # use procbox_core::Bytes;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let pool = ctx.pool_of_commands().workers(2).build()?;
    /// for (_, counted) in pool.imap(["a.txt", "b.txt"].map(|file| {
    ///     let args: Vec<Bytes> = vec!["--count".into(), file.into()];
    ///     (args, Bytes::default())
    /// })) {
    ///     println!("{}", String::from_utf8_lossy(&counted?));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn pool_of_commands(&self) -> PoolBuilder<((Vec<Bytes>, Bytes),), Bytes> {
        let mut builder = PoolBuilder::new(self.clone(), Entry::Main(Vec::new()));
        builder.options.commands = true;
        builder
    }
}

/// A pool that is about to be. Made by [`Context::pool`].
///
/// ```no_run
/// # use std::time::Duration;
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let builder = ctx.pool::<(u64,), bool>("is_prime").workers(4).retries(2);
/// let pool = builder.task_timeout(Duration::from_secs(10)).build()?;
/// assert!(pool.apply((7u64,))?);
/// # Ok(()) }
/// ```
#[must_use = "nothing runs before build"]
pub struct PoolBuilder<P, R> {
    pub(super) context: Context,
    pub(super) entry: Entry,
    pub(super) options: Options,
    pub(super) error: Option<Error>,
    types: PhantomData<fn(P) -> R>,
}

impl<P, R> fmt::Debug for PoolBuilder<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("entry", &self.entry)
            .field("options", &self.options)
            .finish()
    }
}

impl<P, R> PoolBuilder<P, R> {
    /// So many workers as OS processes: on a [bridge](Context::bridge), in place of
    /// [`workers`](PoolBuilder::workers). One backlog is served by these and the
    /// [sandboxed](PoolBuilder::sandboxed) ones; each has queues of its own side, so that one side costs the
    /// other no time. A task whose worker dies may run again on either. Where it has run,
    /// [`TaskUsage::ran_on`](crate::TaskUsage) says if the pool is [measured](PoolBuilder::measured).
    ///
    /// ```no_run
    /// # fn example(bridge: procbox_core::Context) -> procbox_core::Result<()> {
    /// let pool = bridge.pool::<(u64,), bool>("is_prime").native(2).sandboxed(6).build()?;
    /// assert_eq!(pool.map([7u64, 8])?, [true, false]);
    /// # Ok(()) }
    /// ```
    pub fn native(self, n: usize) -> Self {
        self.on(Backend::Native, n)
    }

    /// So many workers as sandboxed processes, likewise.
    ///
    /// ```no_run
    /// # fn example(bridge: procbox_core::Context) -> procbox_core::Result<()> {
    /// let pool = bridge.pool::<(u64,), bool>("is_prime").sandboxed(8).build()?;
    /// assert!(pool.apply((7u64,))?);
    /// # Ok(()) }
    /// ```
    pub fn sandboxed(self, n: usize) -> Self {
        self.on(Backend::Sandbox, n)
    }

    fn on(mut self, side: Backend, n: usize) -> Self {
        self.options.sides.retain(|(known, _)| *known != side);
        self.options.sides.push((side, n));
        self
    }

    fn new(context: Context, entry: Entry) -> PoolBuilder<P, R> {
        PoolBuilder { context, entry, options: Options::default(), error: None, types: PhantomData }
    }

    /// The number of workers; the default is the CPU count. 0 is an error.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let pool = ctx.pool::<(u64,), bool>("is_prime").workers(2).build()?;
    /// assert_eq!(ctx.active_children().len(), 2);
    /// # drop(pool);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn workers(mut self, n: usize) -> Self {
        self.options.workers = Some(n);
        self
    }

    /// The number of tasks that travel together in `map`, `starmap` and `imap`.
    ///
    /// The default is 1 for `imap`, and for `map` a sixteenth of each worker's share, 1024 at most.
    /// A worker that dies takes with it the results of its chunk that it has not sent yet.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let pool = ctx.pool::<(u64,), bool>("is_prime").chunk_size(100).build()?;
    /// assert_eq!(pool.map(0..1000u64)?.len(), 1000); // in ten messages each way
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn chunk_size(mut self, n: usize) -> Self {
        self.options.chunk_size = Some(n);
        self
    }

    /// Runs a task whose worker died again, up to `n` times; for idempotent work. Default 0.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::local::example()?;
    /// let pool = ctx.pool::<(u64,), bool>("is_prime").retries(2).build()?;
    /// match pool.apply((7u64,)) {
    ///     Err(Error::WorkerDied { attempts, .. }) => assert_eq!(attempts, 3),
    ///     end => assert!(end?),
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn retries(mut self, n: u32) -> Self {
        self.options.retries = n;
        self
    }

    /// `true` if a chunk whose worker died may be run again, task by task, so that only the guilty
    /// task fails. Default `false`; [`PoolBuilder::retries`] implies it.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let builder = ctx.pool::<(u64,), bool>("is_prime").idempotent(true);
    /// let pool = builder.chunk_size(100).build()?; // a death fails one task, not up to 100
    /// # drop(pool);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn idempotent(mut self, yes: bool) -> Self {
        self.options.idempotent = yes;
        self
    }

    /// Ends a worker that is at one task for longer than this; the task fails. Default: never.
    /// Implies a chunk size of 1.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let builder = ctx.pool::<(u64,), bool>("is_prime").task_timeout(Duration::from_secs(1));
    /// match builder.build()?.apply((7u64,)) {
    ///     Err(Error::WorkerDied { status, .. }) => eprintln!("7: the worker {status}"),
    ///     end => assert!(end?),
    /// }
    /// # Ok(()) }
    /// ```
    pub fn task_timeout(mut self, timeout: Duration) -> Self {
        self.options.task_timeout = Some(timeout);
        self
    }

    /// Ends a process of the pool once it has used this much CPU time; the task that it is at fails.
    /// Default: no limit. With [`PoolBuilder::fresh_per_task`], and in [`Context::pool_of_main`], that
    /// is each task's.
    ///
    /// ```no_run
    /// # use procbox_core::{Error, Limit};
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let builder = ctx.pool::<(u64,), bool>("is_prime").fresh_per_task();
    /// match builder.cpu_time(Duration::from_secs(1)).build()?.apply((7u64,)) {
    ///     Err(Error::WorkerDied { status, .. }) => assert_eq!(status.limit(), Some(Limit::CpuTime)),
    ///     end => assert!(end?),
    /// }
    /// # Ok(()) }
    /// ```
    pub fn cpu_time(mut self, limit: Duration) -> Self {
        self.options.cpu_time = Some(limit);
        self
    }

    /// Replaces a worker after this many chunks. Default: never. 0 is an error.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let builder = ctx.pool::<(u64,), bool>("is_prime").max_tasks_per_child(1000);
    /// let pool = builder.build()?; // what leaks in a worker is gone after 1000 chunks
    /// # drop(pool);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn max_tasks_per_child(mut self, n: u64) -> Self {
        self.options.max_tasks = n;
        self
    }

    /// A new process for each task, so that no byte of one task can reach the next. Implies a chunk
    /// size of 1.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let pool = ctx.pool::<(u64,), bool>("is_prime").workers(2).fresh_per_task().build()?;
    /// pool.map(0..10u64)?; // in ten processes, two at a time
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn fresh_per_task(mut self) -> Self {
        self.options.fresh = true;
        self
    }

    /// Measures what each task uses, which [`TaskResult::usage`](crate::TaskResult::usage) then says, and
    /// [`Event::TaskMeasured`](crate::observe::Event::TaskMeasured) to those who watch. Implies a chunk
    /// size of 1, and that a worker gets its next task when it has answered the one before: so it costs
    /// some microseconds of each, and with [`PoolBuilder::fresh_per_task`] a result comes when its
    /// process has ended.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let pool = ctx.pool::<(u64,), bool>("is_prime").fresh_per_task().measured().build()?;
    /// let result = pool.apply_async((7u64,))?;
    /// assert!(result.wait(Duration::from_secs(60))?);
    /// assert_eq!(result.usage().map(|usage| usage.attempts), Some(1));
    /// # Ok(()) }
    /// ```
    pub fn measured(mut self) -> Self {
        self.options.measured = true;
        self
    }

    /// The destination of what its workers print. Default: the parent's.
    ///
    /// ```no_run
    /// # use procbox_core::Output;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let pool = ctx.pool::<(u64,), bool>("is_prime").stdout(Output::Stderr).build()?;
    /// println!("only this is on stdout: {}", pool.apply((7u64,))?);
    /// # Ok(()) }
    /// ```
    pub fn stdout(mut self, stdout: Output) -> Self {
        self.options.stdout = stdout;
        self
    }

    /// The standard error of each run of a program, in a pool of [`Context::pool_of_main`] or
    /// [`Context::pool_of_commands`]; the default is the parent's. What is captured is told to those
    /// who watch, as [`CommandComplained`](crate::observe::Event::CommandComplained), and of a run that
    /// fails it is in the error, see [`Printed`](crate::Printed).
    ///
    /// ```no_run
    /// # use procbox_core::{Context, Output};
    /// # fn example(ctx: Context) -> procbox_core::Result<()> {
    /// let pool = ctx.pool_of_commands().stderr(Output::Null).build()?;
    /// # drop(pool);
    /// # Ok(()) }
    /// ```
    pub fn stderr(mut self, stderr: Output) -> Self {
        self.options.stderr = stderr;
        self
    }

    /// Calls another worker of the program, with these arguments, in every process before its tasks.
    ///
    /// ```no_run
    /// # use procbox_core::{Context, Result, Worker};
    /// # type IsPrime<F> = Worker<(u64,), bool, F>;
    /// # type Greet<F> = Worker<(String,), (), F>;
    /// # fn example<F, G>(ctx: Context, is_prime: IsPrime<F>, greet: Greet<G>) -> Result<()> {
    /// let pool = ctx.pool(is_prime).initializer(greet, ("world",)).workers(2).build()?;
    /// assert!(pool.apply((7u64,))?); // its worker has greeted before
    /// # Ok(()) }
    /// ```
    pub fn initializer<Q, S, F, A: Args<Q>>(mut self, worker: Worker<Q, S, F>, args: A) -> Self {
        match Message::of(&args) {
            Ok(message) => {
                self.options.initializer = Some((worker.identity().to_string(), message))
            }
            Err(e) => self.error = Some(e),
        }
        self
    }

    /// Calls another worker of the program, with these arguments, once, when the pool is built: all its
    /// processes begin where that has returned, as those of [`Context::warm`] do. So what takes long to
    /// set up is there in each fresh process. In a sandboxed process, which cannot make such contexts,
    /// each process of the pool calls it, as it does an [initializer](PoolBuilder::initializer).
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let builder = ctx.pool::<(String,), bool>("is_word").warm("load_words", ("words.txt",));
    /// let pool = builder.fresh_per_task().build()?;
    /// assert!(pool.apply(("procbox",))?); // no task loads them again
    /// # Ok(()) }
    /// ```
    pub fn warm<Q, A: Args<Q>>(mut self, worker: impl Starts<Q>, args: A) -> Self {
        match Message::of(&args) {
            Ok(message) => self.options.warm = Some((worker.name().to_string(), message)),
            Err(e) => self.error = Some(e),
        }
        self
    }

    /// Makes the context warm, if it is to be; where that cannot be, each process does it.
    pub(super) fn warm_up(&mut self) -> Result<()> {
        let Some((name, message)) = self.options.warm.take() else { return Ok(()) };
        if matches!(self.entry, Entry::Main(_)) {
            let why = "a pool of a program's `main` begins with it: make a snapshot of the program";
            return Err(Error::Invalid(why.into()));
        }
        let first = self.context.process(name.as_str()).raw_args(message.clone());
        let first = first.stdout(self.options.stdout);
        let first = match self.options.cpu_time {
            Some(limit) => first.cpu_time(limit),
            None => first,
        };
        match first.warm() {
            Ok(context) => self.context = context,
            Err(Error::Unsupported(_)) if self.options.initializer.is_none() => {
                self.options.initializer = Some((name, message));
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }
}
