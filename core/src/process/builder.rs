//! What is said about a process before it starts.

use super::{Phase, Process, Shared, State};
use crate::context::ContextInner;
use crate::{Args, Error, Input, Message, Output, ProcessSpec, Result};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a process is about to be. Made by [`crate::Context::process`].
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// # let q = ctx.queue::<u32>(16)?;
/// let p = ctx.worker("writer").args((&q, 3u32)).name("w").daemon(true).start()?;
/// assert_eq!(p.name(), "w");
/// # Ok(()) }
/// ```
#[must_use = "nothing runs before start"]
pub struct ProcessBuilder<P> {
    pub(crate) context: Arc<ContextInner>,
    pub(crate) spec: ProcessSpec,
    pub(crate) error: Option<Error>,
    pub(crate) named: bool,
    pub(crate) args: PhantomData<fn(P)>,
}

impl<P> ProcessBuilder<P> {
    /// Its arguments, checked at compile time where the worker is named by its item.
    ///
    /// `&T` may stand for `T`, and `&str` for `String`.
    ///
    /// ```no_run
    /// # use procbox_core::{Context, Queue, Result, Worker};
    /// # fn example<R, F>(ctx: Context, writer: Worker<(Queue<u32>, u32), R, F>) -> Result<()> {
    /// let q = ctx.queue::<u32>(16)?;
    /// ctx.process(writer).args((&q, 3)).start()?; // 3 is a `u32`: the worker's item says so
    /// ctx.worker("writer").args((&q, 3u32)).start()?; // its name does not
    /// # Ok(()) }
    /// ```
    pub fn args<A: Args<P>>(mut self, args: A) -> Self {
        match Message::of(&args) {
            Ok(message) => self.spec.message = message,
            Err(e) => self.error = Some(e),
        }
        self
    }

    /// Its arguments, already encoded: for those that come from outside the language.
    ///
    /// ```no_run
    /// # use procbox_core::Message;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let message = Message::of(&("world",))?; // or bytes that a foreign program encoded
    /// let p = ctx.worker("greet").raw_args(message).start()?;
    /// assert!(p.join()?.success());
    /// # Ok(()) }
    /// ```
    pub fn raw_args(mut self, message: Message) -> Self {
        self.spec.message = message;
        self
    }

    /// Its name; the default is `Process-N`.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let p = ctx.worker("greet").args(("world",)).name("greeter").start()?;
    /// assert_eq!(ctx.active_children()[0].name(), "greeter");
    /// # drop(p);
    /// # Ok(()) }
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.spec.identity.name = name.into();
        self.named = true;
        self
    }

    /// Whether it ends with its parent; the default is the parent's own flag, which is `false`.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let q = ctx.queue::<u32>(1)?;
    /// let p = ctx.worker("writer").args((&q, u32::MAX)).daemon(true).start()?;
    /// drop(ctx); // ends it
    /// assert_eq!(p.exitcode(), Some(-15));
    /// # Ok(()) }
    /// ```
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.spec.identity.daemon = daemon;
        self
    }

    /// Its standard input; the default is the parent's.
    ///
    /// ```no_run
    /// # use procbox_core::Input;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let text = b"some words\n".to_vec();
    /// let p = ctx.main(["--count"]).stdin(Input::Bytes(text)).start()?;
    /// assert!(p.join()?.success());
    /// # Ok(()) }
    /// ```
    pub fn stdin(mut self, stdin: Input) -> Self {
        self.spec.stdin = stdin;
        self
    }

    /// Its standard output; the default is the parent's.
    ///
    /// ```no_run
    /// # use procbox_core::Output;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let p = ctx.worker("greet").args(("world",)).stdout(Output::Null).start()?;
    /// assert!(p.join()?.success()); // and nothing is on the screen
    /// # Ok(()) }
    /// ```
    pub fn stdout(mut self, stdout: Output) -> Self {
        self.spec.stdout = stdout;
        self
    }

    /// Ends it after this much wall-clock time; the default is never.
    ///
    /// ```no_run
    /// # use procbox_core::Limit;
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let q = ctx.queue::<u32>(1)?;
    /// let slow = ctx.worker("writer").args((&q, 2u32)); // its second put waits
    /// let p = slow.timeout(Duration::from_millis(100)).start()?;
    /// assert_eq!(p.join()?.limit(), Some(Limit::WallClock));
    /// # Ok(()) }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.spec.timeout = Some(timeout);
        self
    }

    /// Ends it once it has used this much CPU time, its own processes' not counted: exit code -24,
    /// and the status names the limit. The default is never. It may overrun by some milliseconds.
    ///
    /// ```no_run
    /// # use procbox_core::{Context, Limit, Result};
    /// # fn example(ctx: Context) -> Result<()> {
    /// let p = ctx.worker("grade").cpu_time(std::time::Duration::from_secs(2)).start()?;
    /// if p.join()?.limit() == Some(Limit::CpuTime) {
    ///     println!("too slow");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn cpu_time(mut self, limit: Duration) -> Self {
        self.spec.cpu_time = Some(limit);
        self
    }

    /// The process, not yet started.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let p = ctx.worker("greet").args(("world",)).build();
    /// assert_eq!(p.join(), Err(Error::NotStarted));
    /// p.start()?;
    /// # Ok(()) }
    /// ```
    pub fn build(mut self) -> Process {
        if !self.named {
            self.spec.identity.name = self.context.next_name();
        }
        Process(Arc::new(Shared {
            context: Arc::downgrade(&self.context),
            state: Mutex::new(State {
                identity: self.spec.identity.clone(),
                phase: Phase::Built(self.error.map_or(Ok(Box::new(self.spec)), Err)),
            }),
        }))
    }

    /// Builds the process and starts it.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// match ctx.worker("no_such").start() {
    ///     Err(Error::NoSuchWorker { available, .. }) => println!("there are {available:?}"),
    ///     other => drop(other?),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Process::start`].
    pub fn start(self) -> Result<Process> {
        // The context must outlive the weak reference that `build` takes.
        let context = self.context.clone();
        let process = self.build();
        let started = process.start();
        drop(context);
        started.map(|()| process)
    }
}
