//! Processes before they start: of which worker, with what arguments, under which name and limits.

use super::{Phase, Process, Shared, State};
use crate::context::{Context, ContextInner};
use crate::raw::{Backend, Entry, Identity, Input, Message, Output, ProcessSpec, RawContext};
use crate::worker::{Args, Runnable, Untyped, Worker};
use crate::{Bytes, Error, Result};
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A worker that a process can be started of, whose arguments `P` are then still to be given: a
/// `#[worker]` function by its item, a `#[worker]` struct by reference (it is its own argument), or
/// any worker of the context's program by its name.
///
/// ```
/// # use procbox_core::Starts;
/// # use procbox_core::worker::{Untyped};
/// # use procbox_core::Worker;
/// fn arguments_of<P>(_: impl Starts<P>) -> &'static str {
///     std::any::type_name::<P>()
/// }
/// const DOUBLE: Worker<(u64,), u64, ()> = Worker::new("double", ());
/// assert_eq!(arguments_of(DOUBLE), "(u64,)");
/// assert_eq!(arguments_of("double"), std::any::type_name::<Untyped>());
/// ```
#[diagnostic::on_unimplemented(
    message = "no process can be started of a `{Self}`",
    label = "not a worker",
    note = "mark the function with `#[worker]`, pass a `#[worker]` struct by reference, or name a \
            worker of the context's program by a `&str`",
    note = "a closure is no worker, its captures stay in this process: make it a `#[worker] fn` that takes \
            them as arguments"
)]
pub trait Starts<P> {
    /// A name or the identity of the worker.
    fn name(&self) -> &str;

    /// The arguments that come with it: none, or the struct that it is.
    ///
    /// # Errors
    /// [`Error::Encode`].
    fn arguments(&self) -> Result<Message> {
        Ok(Message::default())
    }
}

impl<P, R, F> Starts<P> for Worker<P, R, F> {
    fn name(&self) -> &str {
        self.identity()
    }
}

impl Starts<Untyped> for &str {
    fn name(&self) -> &str {
        self
    }
}

impl<W: Runnable> Starts<()> for &W {
    fn name(&self) -> &str {
        W::NAME
    }

    fn arguments(&self) -> Result<Message> {
        Message::of(&(*self,))
    }
}

/// The arguments that a [`ProcessBuilder`] still lacks, when it lacks none that the compiler knows
/// of.
#[diagnostic::on_unimplemented(
    message = "the worker's arguments `{Self}` are missing",
    label = "cannot be started without its arguments",
    note = "give them by `.args((...))` first"
)]
pub trait Complete {}

impl Complete for () {}
impl Complete for Untyped {}

impl Context {
    /// A process of a worker: of one of this program's own by its item, of a struct with a `run`, or
    /// of any worker of the context's program by its name.
    ///
    /// The arguments of an item are checked at compile time. Those of a name are checked by the worker,
    /// which fails if they do not decode: their types have to be the worker's to the letter (`3u32`, not
    /// `3`).
    ///
    /// ```no_run
    /// # use procbox_core::{Context, Queue, Result, Runnable, Worker};
    /// # type Writer<R, F> = Worker<(Queue<u32>, u32), R, F>;
    /// # fn example<R, F, W: Runnable>(ctx: Context, writer: Writer<R, F>, clock: W) -> Result<()> {
    /// let q = ctx.queue::<u32>(16)?;
    /// let typed = ctx.process(writer).args((&q, 3)).start()?; // `writer` is a `#[worker] fn`
    /// let named = ctx.process("writer").args((&q, 3u32)).start()?;
    /// let ticks = ctx.process(&clock).name("clock").start()?; // `clock` is of a `#[worker] impl`
    /// # for p in [typed, named, ticks] {
    /// assert!(p.join()?.success());
    /// # }
    /// # Ok(()) }
    /// ```
    pub fn process<P>(&self, worker: impl Starts<P>) -> ProcessBuilder<P> {
        let mut builder = self.of_entry(Entry::Call(worker.name().to_string()));
        builder.arguments(worker.arguments());
        builder
    }

    /// A process of the program's `main`, with these arguments: texts, or natively any bytes.
    ///
    /// ```no_run
    /// # use procbox_core::Input;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let p = ctx.main(["--count"]).stdin(Input::Bytes(b"some words\n".to_vec())).start()?;
    /// assert!(p.join()?.success());
    /// # Ok(()) }
    /// ```
    pub fn main<S: Into<Bytes>>(&self, args: impl IntoIterator<Item = S>) -> ProcessBuilder<()> {
        self.of_entry(Entry::Main(args.into_iter().map(Into::into).collect()))
    }

    /// A process that calls any function that the program exports, in the sandbox, with a number for each
    /// of its parameters (`i32`, `i64`, `f32` or `f64`); what it returns is printed on its standard output,
    /// a line for each result. Natively programs have no such exports: there it is
    /// [`Error::Unsupported`].
    ///
    /// Whether there is such a function, and numbers that fit, is found out by
    /// [`start`](ProcessBuilder::start), which says [`Error::Invalid`].
    ///
    /// ```no_run
    /// # use procbox_core::Output;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let p = ctx.export("add", [2, 3]).stdout(Output::Capture).start()?;
    /// assert!(p.join()?.success());
    /// assert_eq!(p.output()?, b"5\n");
    /// # Ok(()) }
    /// ```
    pub fn export<N: ToString>(
        &self,
        name: impl Into<String>,
        numbers: impl IntoIterator<Item = N>,
    ) -> ProcessBuilder<()> {
        let words = numbers.into_iter().map(|number| number.to_string());
        self.of_entry(Entry::Export(name.into(), words.collect()))
    }

    /// A context whose processes begin where this worker has returned: it runs once, now, and what it
    /// has left in memory each of them finds there, and none of them sees what another makes of it. In the
    /// sandbox that is an image of the process; natively, the processes are forked after it.
    ///
    /// What it has open (handles, files, processes, threads) would not be theirs: it has to be gone when the
    /// worker returns. What hashes of `HashMap` and random numbers depend on is each process's own; a
    /// program tells by `on_reseed` of `procbox-guest` what else is to differ. Clocks go on.
    ///
    /// The processes share primitives with this context's, and their parent is the same. They are the
    /// children of the context that this gives.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let warm = ctx.warm("load_words", ("words.txt",))?;
    /// let pool = warm.pool::<(String,), bool>("is_word").fresh_per_task().build()?;
    /// assert!(pool.apply(("procbox",))?); // the words were there
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if the arguments have a handle in them, [`Error::WorkerDied`] if the worker ends
    /// otherwise than by returning, or with an `Err`; [`Error::NotRunnable`] if it leaves something open, or
    /// the program is one of which no image can be made; [`Error::Unsupported`] in a sandboxed
    /// process; and those of [`Process::start`].
    pub fn warm<P, A: Args<P>>(&self, worker: impl Starts<P>, args: A) -> Result<Context> {
        self.process(worker).args(args).warm()
    }

    /// A process of any entry.
    pub(crate) fn of_entry<P>(&self, entry: Entry) -> ProcessBuilder<P> {
        let me = self.raw().identity();
        let identity = Identity {
            name: String::new(),
            pid: 0,
            daemon: me.daemon,
            authkey: me.authkey,
            parent: Some((me.pid, me.name)),
        };
        ProcessBuilder {
            context: self.0.clone(),
            spec: ProcessSpec::new(entry, identity),
            error: None,
            named: false,
            missing: PhantomData,
        }
    }
}

/// A process that is about to be, which still lacks the arguments `P`. Made by
/// [`crate::Context::process`].
///
/// One whose arguments are missing cannot be started:
///
/// ```compile_fail
/// # use procbox_core::{Context, Result, Worker};
/// # fn example(ctx: Context) -> Result<()> {
/// const DOUBLE: Worker<(u64,), u64, ()> = Worker::new("double", ());
/// ctx.process(DOUBLE).start()?;
/// # Ok(()) }
/// ```
///
/// ```
/// # let ctx = procbox_core::local::example()?;
/// # let q = ctx.queue::<u32>(16)?;
/// let p = ctx.process("writer").args((&q, 3u32)).name("w").daemon(true).start()?;
/// assert_eq!(p.name(), "w");
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[must_use = "nothing runs before start"]
pub struct ProcessBuilder<P> {
    context: Arc<ContextInner>,
    spec: ProcessSpec,
    error: Option<Error>,
    named: bool,
    missing: PhantomData<fn(P)>,
}

impl<P> fmt::Debug for ProcessBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProcessBuilder").field(&self.spec.entry).finish()
    }
}

impl<P> ProcessBuilder<P> {
    /// The arguments, checked at compile time where the worker is named by its item.
    ///
    /// `&T` may stand for `T`, and `&str` for `String`.
    ///
    /// ```no_run
    /// # use procbox_core::{Context, Queue, Result, Worker};
    /// # fn example<R, F>(ctx: Context, writer: Worker<(Queue<u32>, u32), R, F>) -> Result<()> {
    /// let q = ctx.queue::<u32>(16)?;
    /// ctx.process(writer).args((&q, 3)).start()?; // 3 is a `u32`: the worker's item says so
    /// ctx.process("writer").args((&q, 3u32)).start()?; // its name does not
    /// # Ok(()) }
    /// ```
    pub fn args<A: Args<P>>(mut self, args: A) -> ProcessBuilder<()> {
        self.arguments(Message::of(&args));
        self.complete()
    }

    /// The arguments, already encoded: for those that come from outside the language.
    ///
    /// ```
    /// # use procbox_core::raw::Message;
    /// # let ctx = procbox_core::local::example()?;
    /// let message = Message::of(&("world",))?; // or bytes that a foreign program encoded
    /// let p = ctx.process("greet").raw_args(message).start()?;
    /// assert!(p.join()?.success());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn raw_args(mut self, message: Message) -> ProcessBuilder<()> {
        self.arguments(Ok(message));
        self.complete()
    }

    fn arguments(&mut self, message: Result<Message>) {
        match message {
            Ok(message) => self.spec.message = message,
            Err(e) => self.error = Some(e),
        }
    }

    fn complete(self) -> ProcessBuilder<()> {
        let ProcessBuilder { context, spec, error, named, missing: _ } = self;
        ProcessBuilder { context, spec, error, named, missing: PhantomData }
    }

    /// The name; the default is `Process-N`.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let p = ctx.process("greet").args(("world",)).name("greeter").start()?;
    /// assert_eq!(ctx.active_children()[0].name(), "greeter");
    /// # drop(p);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.spec.identity.name = name.into();
        self.named = true;
        self
    }

    /// The daemon flag: whether it ends with its parent. The default is the parent's own flag, which is
    /// `false`.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let q = ctx.queue::<u32>(1)?;
    /// let p = ctx.process("writer").args((&q, u32::MAX)).daemon(true).start()?;
    /// drop(ctx); // ends it
    /// assert_eq!(p.exitcode(), Some(-15));
    /// # Ok(()) }
    /// ```
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.spec.identity.daemon = daemon;
        self
    }

    /// The standard input; by default it is empty. [`crate::Input::Inherit`] is the parent's.
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

    /// The most linear memory, where that is less than the context's limit.
    pub(crate) fn memory(mut self, bytes: Option<usize>) -> Self {
        self.spec.memory = bytes;
        self
    }

    /// Names of listeners that are its own and its children's.
    pub(crate) fn own_names(mut self, own: bool) -> Self {
        self.spec.own_names = own;
        self
    }

    /// The standard output; the default is the parent's.
    ///
    /// ```no_run
    /// # use procbox_core::Output;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let p = ctx.process("greet").args(("world",)).stdout(Output::Null).start()?;
    /// assert!(p.join()?.success()); // and nothing is on the screen
    /// # Ok(()) }
    /// ```
    pub fn stdout(mut self, stdout: Output) -> Self {
        self.spec.stdout = stdout;
        self
    }

    /// The standard error of a `main`; the default is the parent's, and a worker has no other.
    ///
    /// ```no_run
    /// # use procbox_core::Output;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let p = ctx.main(["--verbose"]).stderr(Output::Capture).start()?;
    /// p.join()?;
    /// println!("it complained: {}", String::from_utf8_lossy(&p.error_output()?));
    /// # Ok(()) }
    /// ```
    pub fn stderr(mut self, stderr: Output) -> Self {
        if stderr != Output::Inherit
            && !matches!(self.spec.entry, Entry::Main(_) | Entry::Export(..))
        {
            self.error.get_or_insert(Error::Unsupported("redirect the stderr of a worker"));
        }
        self.spec.stderr = stderr;
        self
    }

    /// Runs it on this side of a [bridge](Context::bridge), which has no default. In a context of one
    /// backend, another cannot be asked for: starting it fails.
    ///
    /// ```no_run
    /// # use procbox_core::Backend;
    /// # fn example(bridge: procbox_core::Context) -> procbox_core::Result<()> {
    /// let q = bridge.queue::<u32>(16)?;
    /// let stranger = bridge.process("writer").args((&q, 3u32)).on(Backend::Sandbox).start()?;
    /// # stranger.join()?;
    /// # Ok(()) }
    /// ```
    pub fn on(mut self, side: Backend) -> Self {
        self.spec.side = Some(side);
        self
    }

    /// Ends it after this much wall-clock time; the default is never.
    ///
    /// ```no_run
    /// # use procbox_core::Limit;
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let q = ctx.queue::<u32>(1)?;
    /// let slow = ctx.process("writer").args((&q, 2u32)); // its second put waits
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
    /// let p = ctx.process("grade").cpu_time(std::time::Duration::from_secs(2)).start()?;
    /// if p.join()?.limit() == Some(Limit::CpuTime) {
    ///     println!("too slow");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn cpu_time(mut self, limit: Duration) -> Self {
        self.spec.cpu_time = Some(limit);
        self
    }
}

// The bound stands at each function: there the compiler says what is missing.
impl<P> ProcessBuilder<P> {
    /// The process, not yet started.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::local::example()?;
    /// let p = ctx.process("greet").args(("world",)).build();
    /// assert_eq!(p.join(), Err(Error::NotStarted));
    /// p.start()?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn build(mut self) -> Process
    where
        P: Complete,
    {
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
    /// match ctx.process("no_such").start() {
    ///     Err(Error::NoSuchWorker { available, .. }) => println!("there are {available:?}"),
    ///     other => drop(other?),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Process::start`].
    pub fn start(self) -> Result<Process>
    where
        P: Complete,
    {
        // The context must outlive the weak reference that `build` takes.
        let context = self.context.clone();
        let process = self.build();
        let started = process.start();
        drop(context);
        started.map(|()| process)
    }

    /// Runs it to its end, and gives a context whose processes begin there: what [`Context::warm`] does,
    /// with limits and streams.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let first = ctx.process("load_model").args(("model.bin",));
    /// let warm = first.timeout(Duration::from_secs(10)).warm()?;
    /// warm.process("predict").args((1.5f64,)).start()?.join()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Context::warm`].
    pub fn warm(self) -> Result<Context>
    where
        P: Complete,
    {
        let (context, first) = self.first()?;
        context.warm(first).map(Context::from_raw)
    }

    /// Runs it until it returns, or calls `snapshot`, and gives the WebAssembly module whose processes
    /// begin there, to be run as any program: what `procbox snapshot` does. In the sandbox only.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let module = ctx.main(["--load", "model.bin"]).snapshot()?;
    /// std::fs::write("warm.wasm", module).expect("the disk is full");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Context::warm`].
    pub fn snapshot(self) -> Result<Vec<u8>>
    where
        P: Complete,
    {
        let (context, first) = self.first()?;
        context.snapshot(first)
    }

    /// The process from which others are to begin.
    fn first(mut self) -> Result<(Arc<dyn RawContext>, ProcessSpec)> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if let Some(handle) = self.spec.handles().first() {
            return Err(Error::Invalid(format!(
                "a process from which others begin cannot be given a {}: those would not have it",
                handle.kind()
            )));
        }
        if self.context.raw().identity().daemon {
            return Err(Error::DaemonStart);
        }
        if !self.named {
            self.spec.identity.name = "Warm".into();
        }
        Ok((self.context.raw().clone(), self.spec))
    }
}
