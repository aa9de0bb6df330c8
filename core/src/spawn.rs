//! A process whose return value comes back: what `std::thread::spawn` is to threads.
//!
//! The process serves one task, as a pool's does, and then ends: the value, or why there is none, lies
//! in a queue of its own by then.

use crate::process::ProcessBuilder;
use crate::raw::{Entry, Message};
use crate::runner::Terms;
use crate::runner::wire::{Reader, Tasks};
use crate::worker::Args;
use crate::{Context, Error, ExitStatus, Process, Queue, Result, Serves, codec};
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// The number of tasks that the process does, and of the chunk that has it.
const ONE: u64 = 1;

impl Context {
    /// Starts a process of a worker, whose return value is to be had by [`JoinHandle::join`].
    ///
    /// A name tells nothing of the types, which are then to be said. Where the process needs more than
    /// arguments (a name, limits, the daemon flag), see [`Context::spawn_with`].
    ///
    /// ```no_run
    /// # use procbox_core::{Context, Result, Worker};
    /// # fn example<F>(ctx: Context, double: Worker<(u64,), u64, F>) -> Result<()> {
    /// let handle = ctx.spawn(double, (21,))?; // `double` is a `#[worker] fn`
    /// assert_eq!(handle.join()?, 42);
    /// let named = ctx.spawn::<(u64,), u64>("double", (21u64,))?;
    /// assert_eq!(named.join()?, 42);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Process::start`], [`Error::Encode`].
    pub fn spawn<P, R>(
        &self,
        worker: impl Serves<P, R>,
        args: impl Args<P>,
    ) -> Result<JoinHandle<R>> {
        self.spawn_with(worker, args, |process| process)
    }

    /// Like [`Context::spawn`], of a process of which more is said.
    ///
    /// ```no_run
    /// # use procbox_core::{Context, Error, Limit, Result};
    /// # use std::time::Duration;
    /// # fn example(ctx: Context) -> Result<()> {
    /// let second = Duration::from_secs(1);
    /// let graded = ctx.spawn_with::<(String,), u32>("grade", ("1 + 1",), |process| {
    ///     process.name("grader").cpu_time(second).daemon(true)
    /// })?;
    /// match graded.join() {
    ///     Err(Error::WorkerDied { status, .. }) if status.limit() == Some(Limit::CpuTime) => {
    ///         println!("too slow");
    ///     }
    ///     points => println!("{} points", points?),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Context::spawn`].
    pub fn spawn_with<P, R>(
        &self,
        worker: impl Serves<P, R>,
        args: impl Args<P>,
        more: impl FnOnce(ProcessBuilder<()>) -> ProcessBuilder<()>,
    ) -> Result<JoinHandle<R>> {
        let Message { bytes, handles } = Message::of(&args)?;
        let (tasks, result): (Queue<()>, Queue<()>) = (self.queue(1)?, self.queue(1)?);
        let mut task = Tasks::one(&bytes, &handles);
        let (bytes, handles) = task.message(ONE);
        tasks.raw().put(bytes, handles, crate::Wait::Never)?;
        let entry = Entry::Serve(worker.name().to_string());
        let process = self.of_entry::<Terms>(entry).args((ONE, &tasks, &result));
        let process = more(process).start()?;
        Ok(JoinHandle { process, result, of: PhantomData })
    }
}

/// A process that was started by [`Context::spawn`]. Dropping it lets the process run on.
///
/// ```
/// # let ctx = procbox_core::local::example()?;
/// let handles = (1..=4u64).map(|n| ctx.spawn::<(u64,), u64>("double", (n,)));
/// let handles = handles.collect::<procbox_core::Result<Vec<_>>>()?;
/// for handle in handles {
///     println!("{} says {}", handle.process().name(), handle.join()?);
/// }
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub struct JoinHandle<R> {
    process: Process,
    /// Where the return value will be.
    result: Queue<()>,
    of: PhantomData<fn() -> R>,
}

impl<R> JoinHandle<R> {
    /// The process: to kill it, or to ask for its pid, its status or what it has used.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let handle = ctx.spawn::<(u64,), u64>("double", (21u64,))?;
    /// println!("process {}", handle.process().pid()?);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// `true` if it has ended, so that `join` does not wait.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let handle = ctx.spawn::<(u64,), u64>("double", (21u64,))?;
    /// while !handle.is_finished() {
    ///     std::thread::yield_now();
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn is_finished(&self) -> bool {
        !self.process.is_alive()
    }
}

impl<R: DeserializeOwned> JoinHandle<R> {
    /// Waits for the process's end, and gives what its worker returned; once, then it is
    /// [`Error::Closed`].
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::local::example()?;
    /// let handle = ctx.spawn::<(u64,), u64>("double", (21u64,))?;
    /// match handle.join() {
    ///     Ok(value) => println!("it returned {value}"),
    ///     Err(Error::Task(why)) => eprintln!("it failed: {why}"),
    ///     Err(Error::WorkerDied { status, .. }) => eprintln!("it {status}"),
    ///     Err(e) => return Err(e),
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Task`] if the worker returned an `Err` or panicked, [`Error::WorkerDied`] with how it
    /// ended if it ended otherwise; [`Error::Decode`] if it returned something else;
    /// [`Error::Interrupted`] on Ctrl-C, [`Error::Deadlock`].
    pub fn join(&self) -> Result<R> {
        self.fetch(self.process.join()?)
    }

    /// Like [`JoinHandle::join`], for at most `timeout`. One that ran out can be repeated.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let handle = ctx.spawn::<(u64,), u64>("double", (21u64,))?;
    /// let value = match handle.join_timeout(Duration::from_secs(1)) {
    ///     Err(Error::TimedOut) => {
    ///         handle.process().kill()?;
    ///         0
    ///     }
    ///     value => value?,
    /// };
    /// # drop(value);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`JoinHandle::join`], and [`Error::TimedOut`].
    pub fn join_timeout(&self, timeout: Duration) -> Result<R> {
        self.fetch(self.process.join_timeout(timeout)?)
    }

    /// Like [`JoinHandle::join`], without waiting.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::local::example()?;
    /// let handle = ctx.spawn::<(u64,), u64>("double", (21u64,))?;
    /// match handle.try_join() {
    ///     Err(Error::TimedOut) => println!("not yet"),
    ///     value => println!("{}", value?),
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`JoinHandle::join`], and [`Error::TimedOut`] if it runs.
    pub fn try_join(&self) -> Result<R> {
        self.join_timeout(Duration::ZERO)
    }

    /// What a process has left that has ended like this. It may not be trusted: every length is checked.
    /// Like [`JoinHandle::join`], as a future: whoever polls it does not block while the process runs.
    /// Dropped before it is ready, it has taken nothing.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let handle = ctx.spawn::<(u64,), bool>("is_prime", (7u64,))?;
    /// assert!(handle.join_async().await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`JoinHandle::join`], but for Ctrl-C and deadlocks.
    pub async fn join_async(&self) -> Result<R> {
        self.fetch(self.process.join_async().await?)
    }

    fn fetch(&self, status: ExitStatus) -> Result<R> {
        let mut message = Message::default();
        match self.result.raw().get(&mut message, crate::Wait::Never) {
            Ok(()) => self.result.close(),
            Err(Error::Empty) => {
                let worker = self.process.name();
                return Err(Error::WorkerDied { worker, status, attempts: 1, printed: None });
            }
            Err(e) => return Err(e),
        }
        let mut parts = Reader::new(&message);
        parts.u64()?;
        let (bytes, handles) = parts.end()??;
        codec::decode(bytes, handles)
    }
}

impl<R> fmt::Debug for JoinHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").field(&self.process.name()).finish()
    }
}
