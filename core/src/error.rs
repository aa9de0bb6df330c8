//! The one error type of the library, made to be matched on.

use crate::{ExitStatus, Printed};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The result of every fallible call of procbox.
///
/// ```
/// use procbox_core::{Error, Result};
/// fn half(n: u32) -> Result<u32> {
///     if n % 2 == 0 { Ok(n / 2) } else { Err(Error::Invalid(format!("{n} is odd"))) }
/// }
/// assert_eq!(half(3).unwrap_err().to_string(), "3 is odd");
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a call failed.
///
/// ```
/// use procbox_core::Error;
/// let e = Error::TimedOut;
/// assert_eq!(e.to_string(), "the wait timed out");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A timed wait ran out.
    TimedOut,
    /// A bounded queue stayed full for as long as the caller would wait.
    Full,
    /// A queue stayed empty for as long as the caller would wait.
    Empty,
    /// A queue was closed, or the other end of a pipe is gone.
    Closed,
    /// Ctrl-C arrived while the call was blocked.
    Interrupted,
    /// The call would wait for ever: it is one of a circle of waits each of which only the others
    /// could end. Or, in a simulation, nobody can go on and no timer is set.
    Deadlock,
    /// A lock was released by someone who does not hold it.
    NotHolder,
    /// A lock was acquired again by its holder: locks are not reentrant, it would wait for ever.
    AlreadyHeld,
    /// `start` on a process that was started before.
    AlreadyStarted,
    /// A call that needs a started process came before `start`.
    NotStarted,
    /// `close` on a process that still runs.
    StillRunning,
    /// A process was asked to join itself.
    JoinSelf,
    /// A daemon process tried to start a process.
    DaemonStart,
    /// The caller was not given the right to do this; it names the right.
    NotGranted(&'static str),
    /// The program has no worker of this name.
    NoSuchWorker {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        available: Vec<String>,
    },
    /// The program has several workers of this name.
    AmbiguousWorker {
        /// The name that was asked for.
        name: String,
        /// A name for each of them that it has alone.
        candidates: Vec<String>,
    },
    /// There is no program at this path.
    NotFound(PathBuf),
    /// The program cannot be run: not a valid module, not an executable, an import that is not granted.
    NotRunnable {
        /// The program, as the user named it.
        program: String,
        /// The reason why it cannot be run.
        why: String,
    },
    /// A handle of one context was given to another.
    ForeignHandle,
    /// The other side of a connection did not prove that it has the key, or did not accept ours; says
    /// what it did instead.
    AuthenticationFailed(&'static str),
    /// Somebody listens under this address already.
    AddressInUse(String),
    /// Nobody listens under this address.
    ConnectionRefused(String),
    /// A message is larger than its queue or pipe will ever hold.
    TooLarge {
        /// The message's bytes.
        size: usize,
        /// The most that one message may have.
        limit: usize,
    },
    /// A value could not be turned into bytes.
    Encode {
        /// The Rust type of the value.
        type_name: &'static str,
        /// The serialiser's message.
        why: String,
    },
    /// Bytes could not be turned into the value that was expected.
    Decode {
        /// The Rust type that was expected.
        type_name: &'static str,
        /// The deserialiser's message.
        why: String,
    },
    /// A task failed in its worker: it returned an `Err` or panicked; this is its message.
    Task(String),
    /// A pool's worker ended in the middle of a task.
    WorkerDied {
        /// The worker process's name.
        worker: String,
        /// The status that it ended with.
        status: ExitStatus,
        /// The number of times that the task was tried.
        attempts: u32,
        /// What it had printed in the last of them, if a task is a run of a program.
        printed: Option<Arc<Printed>>,
    },
    /// The task was cancelled by [`TaskResult::cancel`](crate::TaskResult::cancel).
    Cancelled,
    /// A party of a [`Barrier`](crate::Barrier) died while it waited, gave up or aborted it.
    BrokenBarrier,
    /// A pool was used after `close`, or the task was pending when `terminate` came.
    PoolClosed,
    /// `join` on a pool before `close` or `terminate`.
    PoolOpen,
    /// A pool's workers cannot be started, so no task can be done; says why.
    PoolBroken(String),
    /// An argument makes no sense; says which and why.
    Invalid(String),
    /// A limit of this context is used up; names it.
    Exhausted(String),
    /// The backend has no such thing; names it.
    Unsupported(&'static str),
    /// The operating system refused; names the operation and what it said.
    Os {
        /// The operation, for example `mmap`.
        operation: &'static str,
        /// The system's own error.
        source: OsError,
    },
}

/// An error of the operating system, or of a library that stands between.
///
/// Two are equal if they have the same number and say the same.
///
/// ```
/// use procbox_core::Error;
/// let e = Error::os("open", std::io::Error::from_raw_os_error(2));
/// let Error::Os { source, .. } = e else { panic!("it is one of the system's") };
/// assert_eq!(source.raw_os_error(), Some(2));
/// ```
#[derive(Clone, Debug)]
pub struct OsError(Arc<dyn std::error::Error + Send + Sync>);

impl OsError {
    /// The system's number for it, `errno`, if it came with one.
    ///
    /// ```
    /// use procbox_core::Error;
    /// let e = Error::os("zygote", "it ended unexpectedly");
    /// assert!(matches!(e, Error::Os { source, .. } if source.raw_os_error().is_none()));
    /// ```
    pub fn raw_os_error(&self) -> Option<i32> {
        self.0.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error)
    }
}

impl PartialEq for OsError {
    fn eq(&self, other: &OsError) -> bool {
        self.raw_os_error() == other.raw_os_error() && self.0.to_string() == other.0.to_string()
    }
}

impl Eq for OsError {}

// It is never changed once it is made.
impl std::panic::UnwindSafe for OsError {}
impl std::panic::RefUnwindSafe for OsError {}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for OsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl Error {
    /// An [`Error::Os`] from the system's error. A [`std::io::Error`] keeps its number.
    ///
    /// ```
    /// let e = procbox_core::Error::os("open", std::io::Error::other("no"));
    /// assert_eq!(e.to_string(), "open: no");
    /// ```
    pub fn os(
        operation: &'static str,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error::Os { operation, source: OsError(error.into().into()) }
    }
}

impl Error {
    /// `true` if trying to start the process again cannot help.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(
            self,
            Error::NotFound(_)
                | Error::NotRunnable { .. }
                | Error::NoSuchWorker { .. }
                | Error::AmbiguousWorker { .. }
                | Error::NotGranted(_)
                | Error::DaemonStart
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::TimedOut => write!(f, "the wait timed out"),
            Error::Full => write!(f, "the queue is full"),
            Error::Empty => write!(f, "the queue is empty"),
            Error::Closed => write!(f, "it is closed, or its other end is gone"),
            Error::Interrupted => write!(f, "interrupted by Ctrl-C"),
            Error::Deadlock => write!(f, "a deadlock: those who could end this wait wait in turn"),
            Error::NotHolder => write!(f, "the lock is released by its holder only"),
            Error::AlreadyHeld => {
                write!(f, "the caller holds this lock already; locks are not reentrant")
            }
            Error::AlreadyStarted => write!(f, "the process was started before; make a new one"),
            Error::NotStarted => write!(f, "the process was not started yet; call start first"),
            Error::StillRunning => write!(f, "the process still runs; join it first"),
            Error::JoinSelf => write!(f, "a process cannot join itself"),
            Error::DaemonStart => write!(f, "a daemon process may not start processes"),
            Error::NotGranted(right) => write!(f, "the right to {right} was not granted"),
            Error::NoSuchWorker { name, available } if available.is_empty() => {
                write!(f, "no worker `{name}`: the program has no workers")
            }
            Error::NoSuchWorker { name, available } => {
                write!(f, "no worker `{name}`: there are {}", available.join(", "))
            }
            Error::AmbiguousWorker { name, candidates } => {
                write!(
                    f,
                    "several workers are called `{name}`: start one by its item, or by one of {}; \
                     `#[worker(name = \"...\")]` gives a worker another name",
                    candidates.join(", ")
                )
            }
            Error::NotFound(path) => write!(f, "{}: no such program", path.display()),
            Error::NotRunnable { program, why } => write!(f, "{program}: not runnable: {why}"),
            Error::ForeignHandle => write!(f, "the handle belongs to another context"),
            Error::AuthenticationFailed(why) => {
                write!(f, "the other side of the connection is not authenticated: {why}")
            }
            Error::AddressInUse(address) => write!(f, "{address}: somebody listens there already"),
            Error::ConnectionRefused(address) => write!(f, "{address}: nobody listens there"),
            Error::TooLarge { size, limit } => {
                write!(f, "a message of {size} bytes is more than the {limit} that fit")
            }
            Error::Encode { type_name, why } => write!(f, "cannot encode a {type_name}: {why}"),
            Error::Decode { type_name, why } => write!(f, "cannot decode a {type_name}: {why}"),
            Error::Task(message) => write!(f, "{message}"),
            Error::WorkerDied { worker, status, attempts: 1, .. } => write!(f, "{worker} {status}"),
            Error::WorkerDied { worker, status, attempts, .. } => {
                write!(f, "{worker} {status} (attempt {attempts})")
            }
            Error::Cancelled => write!(f, "the task was cancelled"),
            Error::BrokenBarrier => write!(
                f,
                "the barrier is broken: a party died, gave up waiting or aborted it; reset it to go on"
            ),
            Error::PoolClosed => write!(f, "the pool takes no tasks any more"),
            Error::PoolOpen => {
                write!(f, "the pool still takes tasks: close or terminate it before join")
            }
            Error::PoolBroken(why) => write!(f, "the pool cannot start its workers: {why}"),
            Error::Invalid(what) => write!(f, "{what}"),
            Error::Exhausted(what) => write!(f, "no {what} left"),
            Error::Unsupported(what) => write!(f, "this backend has no {what}"),
            Error::Os { operation, source } => write!(f, "{operation}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    /// The cause of the system's error: that one itself is in the text already.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Os { source, .. } => source.source(),
            _ => None,
        }
    }
}
