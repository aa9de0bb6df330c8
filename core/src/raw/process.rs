//! Processes, as a backend runs them, and what it is told about the one to start.

use super::{Backend, Handle, Message, Watch};
use crate::{Bytes, ExitStatus, Result, Wait};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::task::Waker;
use std::time::Duration;

/// The entry point of a process: what it executes.
///
/// ```
/// use procbox_core::raw::{Entry, Message};
/// let entry = Entry::Main(vec!["--count".into()]);
/// assert_eq!(Message::of(&entry)?.value::<Entry>()?, entry); // it travels to who starts it
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Entry {
    /// The program's `main`, with these arguments (its own name not among them). In the sandbox they
    /// have to be UTF-8.
    Main(Vec<Bytes>),
    /// A worker, called once with the arguments in the message.
    Call(String),
    /// A worker that serves the pool whose queues are in the message.
    Serve(String),
    /// Any function that the program exports, in the sandbox: its name, and a word for each of its
    /// parameters, which are numbers. What it returns is printed, a line for each result.
    Export(String, Vec<String>),
}

/// The source of a process's standard input.
///
/// ```no_run
/// # use procbox_core::{Input, Output};
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let quiet = ctx.main(["--count"]).stdin(Input::Null).stdout(Output::Null);
/// assert!(quiet.start()?.join()?.success());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// The parent's own. Nobody reads it who was not given it: a parent has its reasons to have it.
    Inherit,
    /// Empty.
    #[default]
    Null,
    /// These bytes, then end of file.
    Bytes(Vec<u8>),
}

/// The destination of a process's standard output.
///
/// ```no_run
/// # use procbox_core::{Input, Output};
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let counting = ctx.main(["--count"]).stdin(Input::Bytes(b"some words\n".to_vec()));
/// let p = counting.stdout(Output::Capture).start()?;
/// p.join()?;
/// println!("it said {}", String::from_utf8_lossy(&p.output()?));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// The parent's own.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// The parent's standard error.
    Stderr,
    /// Kept, for [`RawProcess::output`] or [`RawProcess::error_output`].
    Capture,
}

/// Everything a backend needs to start a process.
///
/// ```
/// # use procbox_core::raw::{Entry, Message, ProcessSpec};
/// # use procbox_core::Wait;
/// # let ctx = procbox_core::local::example()?;
/// let mut spec = ProcessSpec::new(Entry::Call("greet".into()), ctx.current_process());
/// spec.message = Message::of(&("world",))?;
/// spec.identity.name = "greeter".into();
/// let raw = ctx.raw().start(spec)?; // what `ProcessBuilder::start` leads to
/// assert!(raw.join(Wait::Forever)?.success());
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ProcessSpec {
    /// The entry point: what the process executes.
    pub entry: Entry,
    /// The arguments of a worker.
    pub message: Message,
    /// The process's name, daemon flag and authkey.
    pub identity: Identity,
    /// The process's standard input.
    pub stdin: Input,
    /// The process's standard output.
    pub stdout: Output,
    /// The standard error. A worker's is always its parent's: only a `main` has another.
    pub stderr: Output,
    /// The wall-clock time after which it is ended.
    pub timeout: Option<Duration>,
    /// The CPU time, of all its threads together, after which it is ended.
    pub cpu_time: Option<Duration>,
    /// The most memory that it may have, in bytes, if that is less than the context says: where
    /// [`RawContext::limits_memory`](super::RawContext::limits_memory).
    pub memory: Option<usize>,
    /// `true` if it and what it starts meet nobody by a listener's name but each other, where names
    /// are the context's: a fresh task does not meet the next.
    pub own_names: bool,
    /// The side of a bridge that it runs on; `None` where there is one backend.
    pub side: Option<Backend>,
}

/// The identity of a process, as it and others see it.
///
/// ```
/// use procbox_core::{Bytes, Identity};
/// let mut first = Identity::new("MainProcess", 1);
/// first.authkey = Bytes(b"a shared secret".to_vec());
/// let mut child = Identity::new("Process-1", 2);
/// child.parent = Some((first.pid, first.name));
/// child.authkey = first.authkey;
/// assert_eq!(child.authkey, Bytes(b"a shared secret".to_vec())); // inherited
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Identity {
    /// The process's name: `MainProcess`, `Process-N`, or what was set.
    pub name: String,
    /// The process's number; 0 before it is started.
    pub pid: u32,
    /// `true` if it ends with its parent.
    pub daemon: bool,
    /// The key by which processes of one tree know each other; inherited.
    pub authkey: Bytes,
    /// The parent's pid and name; `None` for the first process.
    pub parent: Option<(u32, String)>,
}

impl Identity {
    /// A process of this name and number, without a parent: the first of its program.
    ///
    /// ```
    /// use procbox_core::raw::Identity;
    /// let mut me = Identity::new("MainProcess", 1);
    /// me.authkey = vec![7; 32].into();
    /// assert!(!me.daemon && me.parent.is_none());
    /// ```
    pub fn new(name: impl Into<String>, pid: u32) -> Identity {
        Identity { name: name.into(), pid, daemon: false, authkey: Bytes::default(), parent: None }
    }
}

/// A process, as a backend implements it for [`crate::Process`]. Dropping it lets the process run
/// on, unwatched.
///
/// ```no_run
/// # use procbox_core::Wait;
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// # let q = ctx.queue::<u32>(1)?;
/// let raw = ctx.process("writer").args((&q, 2u32)).start()?.raw()?; // its second put waits
/// assert_eq!(raw.status(), None);
/// raw.kill()?;
/// let status = raw.join(Wait::Forever)?;
/// assert_eq!(raw.status(), Some(status));
/// # Ok(()) }
/// ```
pub trait RawProcess: Any + Send + Sync {
    /// The process's number: the OS's on the native backend, the context's in the sandbox.
    fn pid(&self) -> u32;

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`], [`crate::Error::Interrupted`], [`crate::Error::JoinSelf`].
    fn join(&self, wait: Wait) -> Result<ExitStatus>;

    /// The status that it ended with, `None` while it runs. Does not block.
    fn status(&self) -> Option<ExitStatus>;

    /// Ends it: exit code -15. Nothing happens if it has ended.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`].
    fn terminate(&self) -> Result<()>;

    /// Ends it, which it cannot prevent: exit code -9. Nothing happens if it has ended.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`].
    fn kill(&self) -> Result<()>;

    /// Nobody needs it any more; true if its end is certain, as by [`RawProcess::kill`]. Where a process
    /// cannot be killed it ends if it waits, or when it does: all its waits fail from now on.
    fn abandon(&self) -> bool {
        self.kill().is_ok()
    }

    /// Ends it and all that it has started, and what those have: exit code -9.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`], also where only the embedding program can do it.
    fn kill_tree(&self) -> Result<()> {
        Err(crate::Error::Unsupported("ending a tree of processes"))
    }

    /// Does to it what Ctrl-C does: one that answers it has its blocked calls end with
    /// [`crate::Error::Interrupted`], another ends with exit code -2. Nothing happens if it has
    /// ended.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`].
    fn interrupt(&self) -> Result<()>;

    /// What it and all that it has started have used so far.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`].
    fn usage(&self) -> Result<crate::Usage> {
        Err(crate::Error::Unsupported("saying what a process has used"))
    }

    /// CPU time of it alone up to this very moment, while it runs; `None` where that is known only
    /// later, or not at all.
    fn cpu_time_now(&self) -> Option<std::time::Duration> {
        None
    }

    /// The output so far, if [`ProcessSpec::stdout`] was [`Output::Capture`]; taken out.
    fn output(&self) -> Vec<u8>;

    /// The same of its standard error, for [`ProcessSpec::stderr`].
    fn error_output(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Has `waker` woken when it may have ended: see [`Watch`]. `None` is what a backend says in which nobody can wait
    /// without blocking.
    ///
    /// # Errors
    /// [`crate::Error::Exhausted`].
    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        let _ = waker;
        Ok(None)
    }
}
impl ProcessSpec {
    /// A spec with everything at its default.
    ///
    /// ```
    /// use procbox_core::raw::{Entry, ProcessSpec};
    /// use procbox_core::{Identity, Input};
    /// # let me = Identity::new("", 0);
    /// let spec = ProcessSpec::new(Entry::Call("greet".into()), me);
    /// assert_eq!((spec.stdin, spec.timeout), (Input::Null, None));
    /// ```
    pub fn new(entry: Entry, identity: Identity) -> ProcessSpec {
        ProcessSpec {
            entry,
            message: Message::default(),
            identity,
            stdin: Input::Null,
            stdout: Output::Inherit,
            stderr: Output::Inherit,
            timeout: None,
            cpu_time: None,
            memory: None,
            own_names: false,
            side: None,
        }
    }

    /// The handles among the arguments.
    ///
    /// ```
    /// # use procbox_core::raw::{Entry, Message, ProcessSpec};
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let mut spec = ProcessSpec::new(Entry::Call("writer".into()), ctx.current_process());
    /// let q = ctx.queue::<u32>(16)?;
    /// spec.message = Message::of(&(&q, 3u32))?;
    /// assert_eq!(spec.handles()[0].kind(), "queue");
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn handles(&self) -> &[Handle] {
        &self.message.handles
    }
}

/// A worker that a program offers, as `procbox workers` prints it.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// for worker in ctx.workers()? {
///     println!("{}", worker.signature.unwrap_or(worker.name));
/// }
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Name that it can be started by: the shortest that it has alone.
    pub name: String,
    /// Signature under that name, if the program says.
    pub signature: Option<String>,
    /// Identity that no other has; see [`crate::Worker::identity`].
    pub identity: String,
    /// True if it answers to every other name too: which of them there are, the program alone knows.
    pub any_name: bool,
}

impl WorkerInfo {
    /// A worker of this identity, before it is [listed](crate::runner::listed_workers) among others.
    ///
    /// ```
    /// use procbox_core::raw::WorkerInfo;
    /// let info = WorkerInfo::new("double", Some("double(n: u64) -> u64".to_string()));
    /// assert_eq!(info.name, "double");
    /// ```
    pub fn new(identity: impl Into<String>, signature: Option<String>) -> WorkerInfo {
        let identity = identity.into();
        WorkerInfo { name: identity.clone(), signature, identity, any_name: false }
    }

    /// The same, which answers to every other name too.
    ///
    /// ```
    /// use procbox_core::raw::WorkerInfo;
    /// assert!(WorkerInfo::new("run", None).of_any_name().any_name);
    /// ```
    pub fn of_any_name(self) -> WorkerInfo {
        WorkerInfo { any_name: true, ..self }
    }
}
