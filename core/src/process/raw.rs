//! What a backend implements for processes, and what it is told about the one to start.

use crate::{Bytes, ExitStatus, Handle, Message, Result, Wait};
use serde::{Deserialize, Serialize};
use std::any::Any;
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

/// What a backend implements for [`crate::Process`]. Dropping it lets the process run on,
/// unwatched.
pub trait RawProcess: Any + Send + Sync {
    /// Its number: the OS's on the native backend, the context's in the sandbox.
    fn pid(&self) -> u32;

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`], [`crate::Error::Interrupted`], [`crate::Error::JoinSelf`].
    fn join(&self, wait: Wait) -> Result<ExitStatus>;

    /// How it ended, `None` while it runs. Does not block.
    fn status(&self) -> Option<ExitStatus>;

    /// Ends it: exit code -15. Nothing happens if it has ended.
    fn terminate(&self);

    /// Ends it, which it cannot prevent: exit code -9. Nothing happens if it has ended.
    fn kill(&self);

    /// Does to it what Ctrl-C does: one that answers it has its blocked calls end with
    /// [`crate::Error::Interrupted`], another ends with exit code -2. Nothing happens if it has
    /// ended.
    fn interrupt(&self);

    /// What it printed so far, if [`ProcessSpec::stdout`] was [`Output::Capture`]; taken out.
    fn output(&self) -> Vec<u8>;
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
