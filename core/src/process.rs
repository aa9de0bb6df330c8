//! Processes: starting, watching, ending.

use crate::context::ContextInner;
use crate::{Args, Bytes, Error, ExitStatus, Handle, Message, Result, Wait, Waitable};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// What a process executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// The program's `main`, with these arguments (its own name not among them).
    Main(Vec<String>),
    /// A worker, called once with the arguments in the message.
    Call(String),
    /// A worker that serves the pool whose queues are in the message.
    Serve(String),
}

/// Where a process's standard input comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// The parent's own.
    #[default]
    Inherit,
    /// Empty.
    Null,
    /// These bytes, then end of file.
    Bytes(Vec<u8>),
}

/// Where a process's standard output goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// The parent's own.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// The parent's standard error.
    Stderr,
    /// Kept, for [`RawProcess::output`].
    Capture,
}

/// Everything a backend needs to start a process.
#[derive(Debug)]
pub struct ProcessSpec {
    /// What it executes.
    pub entry: Entry,
    /// The arguments of a worker.
    pub message: Message,
    /// Its name, daemon flag and authkey.
    pub identity: Identity,
    /// Its standard input.
    pub stdin: Input,
    /// Its standard output.
    pub stdout: Output,
    /// The wall-clock time after which it is ended.
    pub timeout: Option<Duration>,
}

/// Who a process is, as it and others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its name: `MainProcess`, `Process-N`, or what was set.
    pub name: String,
    /// Its number; 0 before it is started.
    pub pid: u32,
    /// Whether it ends with its parent.
    pub daemon: bool,
    /// The key by which processes of one tree know each other; inherited.
    pub authkey: Bytes,
    /// Its parent's pid and name; `None` for the first process.
    pub parent: Option<(u32, String)>,
}

/// What a backend implements for [`Process`]. Dropping it lets the process run on, unwatched.
pub trait RawProcess: Any + Send + Sync {
    /// Its number: the OS's on the native backend, the context's in the sandbox.
    fn pid(&self) -> u32;

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Interrupted`], [`Error::JoinSelf`].
    fn join(&self, wait: Wait) -> Result<ExitStatus>;

    /// How it ended, `None` while it runs. Does not block.
    fn status(&self) -> Option<ExitStatus>;

    /// Ends it: exit code -15. Nothing happens if it has ended.
    fn terminate(&self);

    /// Ends it, which it cannot prevent: exit code -9. Nothing happens if it has ended.
    fn kill(&self);

    /// Does to it what Ctrl-C does: one that answers it has its blocked calls end with
    /// [`Error::Interrupted`], another ends with exit code -2. Nothing happens if it has ended.
    fn interrupt(&self);

    /// What it printed so far, if [`ProcessSpec::stdout`] was [`Output::Capture`]; taken out.
    fn output(&self) -> Vec<u8>;
}

/// What a process is about to be. Made by [`crate::Context::process`].
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
    pub fn args<A: Args<P>>(mut self, args: A) -> Self {
        match Message::of(&args) {
            Ok(message) => self.spec.message = message,
            Err(e) => self.error = Some(e),
        }
        self
    }

    /// Its arguments, already encoded: for those that come from outside the language.
    pub fn raw_args(mut self, message: Message) -> Self {
        self.spec.message = message;
        self
    }

    /// Its name; the default is `Process-N`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.spec.identity.name = name.into();
        self.named = true;
        self
    }

    /// Whether it ends with its parent; the default is the parent's own flag, which is `false`.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.spec.identity.daemon = daemon;
        self
    }

    /// Its standard input; the default is the parent's.
    pub fn stdin(mut self, stdin: Input) -> Self {
        self.spec.stdin = stdin;
        self
    }

    /// Its standard output; the default is the parent's.
    pub fn stdout(mut self, stdout: Output) -> Self {
        self.spec.stdout = stdout;
        self
    }

    /// Ends it after this much wall-clock time; the default is never.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.spec.timeout = Some(timeout);
        self
    }

    /// The process, not yet started.
    pub fn build(mut self) -> Process {
        if !self.named {
            self.spec.identity.name = self.context.next_name();
        }
        Process(Arc::new(Shared {
            context: Arc::downgrade(&self.context),
            state: Mutex::new(State {
                identity: self.spec.identity.clone(),
                phase: Phase::Built(self.error.map_or(Ok(self.spec), Err)),
            }),
        }))
    }

    /// Builds the process and starts it.
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

enum Phase {
    Built(Result<ProcessSpec>),
    Running(Arc<dyn RawProcess>),
    Closed,
}

struct State {
    identity: Identity,
    phase: Phase,
}

pub(crate) struct Shared {
    context: Weak<ContextInner>,
    state: Mutex<State>,
}

/// A process of either backend. Clones are the same process; dropping the last lets it run on.
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let p = ctx.worker("writer").args((3u32,)).name("w").start()?;
/// println!("{} is {}, alive: {}", p.pid()?, p.name(), p.is_alive());
/// assert_eq!(p.join()?.exitcode(), 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Process(pub(crate) Arc<Shared>);

impl Process {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it.
    ///
    /// # Errors
    /// [`Error::AlreadyStarted`] the second time, [`Error::NoSuchWorker`], [`Error::NotRunnable`],
    /// [`Error::DaemonStart`] in a daemon, [`Error::Exhausted`] when there is no room for one more.
    pub fn start(&self) -> Result<()> {
        let mut state = self.state();
        let context = self.0.context.upgrade().ok_or(Error::Closed)?;
        match std::mem::replace(&mut state.phase, Phase::Closed) {
            Phase::Built(Ok(mut spec)) => {
                spec.identity = state.identity.clone();
                let raw = context.start(spec)?;
                state.identity.pid = raw.pid();
                state.phase = Phase::Running(raw);
                drop(state);
                context.remember(self);
                Ok(())
            }
            Phase::Built(Err(e)) => Err(e),
            other => {
                state.phase = other;
                Err(Error::AlreadyStarted)
            }
        }
    }

    /// The backend's process.
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`].
    pub fn raw(&self) -> Result<Arc<dyn RawProcess>> {
        match &self.state().phase {
            Phase::Running(raw) => Ok(raw.clone()),
            Phase::Built(_) => Err(Error::NotStarted),
            Phase::Closed => Err(Error::Closed),
        }
    }

    /// Waits until it has ended, and says how.
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::JoinSelf`], [`Error::Interrupted`] on Ctrl-C.
    pub fn join(&self) -> Result<ExitStatus> {
        self.raw()?.join(Wait::Forever)
    }

    /// Like [`Process::join`], for at most `timeout`.
    ///
    /// # Errors
    /// Those of [`Process::join`], and [`Error::TimedOut`].
    pub fn join_timeout(&self, timeout: Duration) -> Result<ExitStatus> {
        self.raw()?.join(Wait::AtMost(timeout))
    }

    /// Whether it was started and has not ended.
    pub fn is_alive(&self) -> bool {
        self.raw().is_ok_and(|raw| raw.status().is_none())
    }

    /// How it ended; `None` before it did.
    pub fn status(&self) -> Option<ExitStatus> {
        self.raw().ok()?.status()
    }

    /// Python's number for how it ended; `None` before it did.
    pub fn exitcode(&self) -> Option<i32> {
        self.status().map(ExitStatus::exitcode)
    }

    /// Ends it: exit code -15.
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`].
    pub fn terminate(&self) -> Result<()> {
        self.raw().map(|raw| raw.terminate())
    }

    /// Ends it, which it cannot prevent: exit code -9.
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`].
    pub fn kill(&self) -> Result<()> {
        self.raw().map(|raw| raw.kill())
    }

    /// Does to it what Ctrl-C does: one that answers it has its blocked calls end with
    /// [`Error::Interrupted`], another ends with exit code -2.
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`].
    pub fn interrupt(&self) -> Result<()> {
        self.raw().map(|raw| raw.interrupt())
    }

    /// Frees what the process object holds. Most of its methods then say [`Error::Closed`].
    ///
    /// # Errors
    /// [`Error::StillRunning`].
    pub fn close(&self) -> Result<()> {
        let mut state = self.state();
        if matches!(&state.phase, Phase::Running(raw) if raw.status().is_none()) {
            return Err(Error::StillRunning);
        }
        state.phase = Phase::Closed;
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.state().identity.name.clone()
    }

    /// Its number.
    ///
    /// # Errors
    /// [`Error::NotStarted`].
    pub fn pid(&self) -> Result<u32> {
        match self.state().identity.pid {
            0 => Err(Error::NotStarted),
            pid => Ok(pid),
        }
    }

    /// Whether it ends with its parent.
    pub fn daemon(&self) -> bool {
        self.state().identity.daemon
    }

    /// Changes the daemon flag.
    ///
    /// # Errors
    /// [`Error::AlreadyStarted`] after start.
    pub fn set_daemon(&self, daemon: bool) -> Result<()> {
        let mut state = self.state();
        match state.phase {
            Phase::Built(_) => {
                state.identity.daemon = daemon;
                Ok(())
            }
            _ => Err(Error::AlreadyStarted),
        }
    }

    /// The key that it inherited.
    pub fn authkey(&self) -> Bytes {
        self.state().identity.authkey.clone()
    }

    /// What it printed so far, if its stdout is captured; taken out.
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`].
    pub fn output(&self) -> Result<Vec<u8>> {
        self.raw().map(|raw| raw.output())
    }

    /// Something to wait for together with others.
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`].
    pub fn sentinel(&self) -> Result<Sentinel> {
        self.raw().map(Waitable::Process)
    }
}

/// What [`Process::sentinel`] gives: ready when the process has ended.
pub type Sentinel = Waitable;

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let phase = match &state.phase {
            Phase::Built(_) => "not started".to_string(),
            Phase::Running(raw) => match raw.status() {
                None => "running".to_string(),
                Some(status) => status.to_string(),
            },
            Phase::Closed => "closed".to_string(),
        };
        write!(f, "Process({}, {phase})", state.identity.name)
    }
}

impl ProcessSpec {
    /// A spec with everything at its default.
    pub fn new(entry: Entry, identity: Identity) -> ProcessSpec {
        ProcessSpec {
            entry,
            message: Message::default(),
            identity,
            stdin: Input::Inherit,
            stdout: Output::Inherit,
            timeout: None,
        }
    }

    /// The handles among the arguments.
    pub fn handles(&self) -> &[Handle] {
        &self.message.handles
    }
}
