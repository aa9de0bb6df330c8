//! Events for those who watch: what happened to processes, tasks, workers and waits, said once.
//!
//! A subscriber receives the typed events of this OS process: of its contexts, its pools, and the
//! sandboxed processes inside it. (A native worker is another OS process, with subscribers of its
//! own.) Without a subscriber an event costs a relaxed load.

mod deadlock;
mod graph;
mod sight;
#[cfg(feature = "tracing")]
mod tracing;

pub use deadlock::{Blocked, Deadlock, Deadlocks};
pub use graph::WaitGraph;
pub use sight::{Looking, Sight, Visible, is_looked_at, show};

#[cfg(feature = "tracing")]
pub use tracing::to_tracing;

use crate::{Error, ExitStatus, Limit, TaskUsage};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Something that happened.
///
/// ```
/// use procbox_core::observe::Event;
/// fn in_words(event: &Event<'_>) -> Option<String> {
///     match event {
///         Event::ProcessStarted { pid, name, .. } => Some(format!("{name} started as {pid}")),
///         Event::ProcessEnded { name, status, .. } => Some(format!("{name} {status}")),
///         _ => None,
///     }
/// }
/// # let _ = in_words;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A process was started.
    ProcessStarted {
        /// The process's pid: the system's, or the sandbox's own numbering.
        pid: u32,
        /// The process's name.
        name: &'a str,
        /// The pid of who started it.
        parent: u32,
    },
    /// A process has ended, and it is known how.
    ProcessEnded {
        /// The process's pid.
        pid: u32,
        /// The process's name.
        name: &'a str,
        /// The status that it ended with.
        status: ExitStatus,
    },
    /// A process was ended for reaching a limit. [`Event::ProcessEnded`] follows.
    LimitHit {
        /// The process's pid.
        pid: u32,
        /// The process's name.
        name: &'a str,
        /// The limit.
        limit: Limit,
    },
    /// Tasks were given to a worker of a pool.
    TaskGiven {
        /// The pool, by a number of its own in this process.
        pool: u64,
        /// The first of them: a pool counts its tasks from 0, in the order of submission.
        task: u64,
        /// The number of tasks, in a row.
        count: usize,
        /// The worker's name.
        worker: &'a str,
    },
    /// What a task has used that has ended, in a pool that [measures
    /// it](crate::PoolBuilder::measured). [`Event::TaskDone`] or [`Event::TaskFailed`] follows.
    TaskMeasured {
        /// The pool.
        pool: u64,
        /// The task.
        task: u64,
        /// What it has used.
        usage: &'a TaskUsage,
    },
    /// A task ended with a result.
    TaskDone {
        /// The pool.
        pool: u64,
        /// The task.
        task: u64,
    },
    /// A task ended with an error: its own, or for its worker's death.
    TaskFailed {
        /// The pool.
        pool: u64,
        /// The task.
        task: u64,
        /// The error.
        error: &'a Error,
    },
    /// A run of a program in a pool has failed, having printed this. [`Event::TaskFailed`], whose error
    /// has it too, or [`Event::TaskRetried`] follows.
    CommandFailed {
        /// The pool.
        pool: u64,
        /// The task.
        task: u64,
        /// The standard output that is of no result.
        stdout: &'a [u8],
    },
    /// A run of a program in a pool has ended and had printed this on its standard error, if that is
    /// [captured](crate::PoolBuilder::stderr). What becomes of the task follows.
    CommandComplained {
        /// The pool.
        pool: u64,
        /// The task.
        task: u64,
        /// What it had printed.
        stderr: &'a [u8],
    },
    /// Tasks whose worker died will be run again.
    TaskRetried {
        /// The pool.
        pool: u64,
        /// The first of them.
        task: u64,
        /// The number of tasks, in a row.
        count: usize,
        /// The number of times that they were begun so far.
        attempts: u32,
    },
    /// A worker of a pool died and is replaced.
    WorkerReplaced {
        /// The pool.
        pool: u64,
        /// The name of the one that died.
        worker: &'a str,
        /// The status that it ended with.
        status: ExitStatus,
    },
    /// A process begins to wait: what it asked for was not there at once.
    WaitBegun {
        /// The process that waits.
        pid: u32,
        /// The thing that it waits for.
        on: Awaited,
    },
    /// A wait has ended, one way or another.
    WaitEnded {
        /// The process that waited.
        pid: u32,
        /// The thing that it waited for.
        on: Awaited,
        /// `true` if it got it; `false` if the wait ran out, was interrupted or failed.
        success: bool,
    },
    /// Processes wait for one another in a circle.
    Deadlock {
        /// The waits of the circle.
        deadlock: &'a Deadlock,
    },
}

/// The thing that a process waits for.
///
/// ```
/// use procbox_core::observe::{Awaited, Operation};
/// let on = Awaited { operation: Operation::QueueGet, object: 7 };
/// assert_eq!(on.to_string(), "a message of queue 7");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Awaited {
    /// The call that waits.
    pub operation: Operation,
    /// The primitive or process, by a number that it has as long as it lives; 0 for none or several.
    pub object: u64,
}

/// The calls that wait.
///
/// ```
/// use procbox_core::observe::Operation;
/// assert_ne!(Operation::QueueGet, Operation::QueuePut);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// The lock is held.
    LockAcquire,
    /// The semaphore has no permit.
    SemaphoreAcquire,
    /// The event is not set.
    EventWait,
    /// A word of shared bytes is what it was.
    RegionWait,
    /// A condition, barrier, read-write lock or the like, all of which stand on ledgers, has not come
    /// to that yet.
    LedgerWait,
    /// The queue is empty.
    QueueGet,
    /// The queue is full.
    QueuePut,
    /// The pipe is empty.
    PipeRecv,
    /// The pipe is full.
    PipeSend,
    /// The process runs.
    Join,
    /// None of several is ready.
    Ready,
    /// Nobody has come to the listener.
    Accept,
    /// The listener has not turned to the client.
    Connect,
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = self.object;
        match self.operation {
            Operation::LockAcquire => write!(f, "lock {object}"),
            Operation::SemaphoreAcquire => write!(f, "a permit of semaphore {object}"),
            Operation::EventWait => write!(f, "event {object}"),
            Operation::RegionWait => write!(f, "a word of region {object}"),
            Operation::LedgerWait => write!(f, "a change of ledger {object}"),
            Operation::QueueGet => write!(f, "a message of queue {object}"),
            Operation::QueuePut => write!(f, "room in queue {object}"),
            Operation::PipeRecv => write!(f, "a message of pipe {object}"),
            Operation::PipeSend => write!(f, "room in pipe {object}"),
            Operation::Join => write!(f, "the end of process {object}"),
            Operation::Ready => write!(f, "the first of several"),
            Operation::Accept => write!(f, "a client"),
            Operation::Connect => write!(f, "a listener"),
        }
    }
}

/// One who watches.
///
/// ```
/// use procbox_core::observe::{Event, Subscriber};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[derive(Default)]
/// struct Failures(AtomicU64);
///
/// impl Subscriber for Failures {
///     fn event(&self, event: &Event<'_>) {
///         if matches!(event, Event::TaskFailed { .. }) {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// ```
pub trait Subscriber: Send + Sync {
    /// Receives an event, on the thread on which it happened, which waits meanwhile: be brief, and do
    /// not wait for what that thread holds. One that panics is not heard by the event's source.
    fn event(&self, event: &Event<'_>);
}

static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Those who watch; replaced as a whole, so that an event takes a copy of one pointer.
type Subscribers = Arc<Vec<Arc<dyn Subscriber>>>;

static SUBSCRIBERS: RwLock<Option<Subscribers>> = RwLock::new(None);

/// Those who want to know of deadlocks only: for their sake nothing else is told.
static OF_DEADLOCKS: RwLock<Option<Subscribers>> = RwLock::new(None);

/// Changes a list of those who watch.
fn change(list: &RwLock<Option<Subscribers>>, change: impl FnOnce(&mut Vec<Arc<dyn Subscriber>>)) {
    let mut current = list.write().unwrap_or_else(PoisonError::into_inner);
    let mut subscribers = current.as_ref().map_or_else(Vec::new, |all| all.to_vec());
    change(&mut subscribers);
    if std::ptr::eq(list, &SUBSCRIBERS) {
        COUNT.store(subscribers.len(), Ordering::Relaxed);
    }
    *current = Some(Arc::new(subscribers));
}

/// A subscription, which ends when it is dropped.
#[must_use = "the subscription ends when it is dropped"]
pub struct Subscription {
    subscriber: Arc<dyn Subscriber>,
    list: &'static RwLock<Option<Subscribers>>,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        change(self.list, |all| {
            // One at a time: the same may have subscribed twice.
            if let Some(at) = all.iter().position(|other| Arc::ptr_eq(other, &self.subscriber)) {
                all.remove(at);
            }
        });
    }
}

/// Has `subscriber` receive the events of this OS process from now on.
///
/// ```
/// use procbox_core::observe::{Event, Subscriber, subscribe};
/// use std::sync::Arc;
///
/// struct Log;
///
/// impl Subscriber for Log {
///     fn event(&self, event: &Event<'_>) {
///         eprintln!("{event:?}");
///     }
/// }
///
/// let subscription = subscribe(Arc::new(Log));
/// // ... and when it has seen enough:
/// drop(subscription);
/// ```
pub fn subscribe(subscriber: Arc<dyn Subscriber>) -> Subscription {
    subscribe_to(&SUBSCRIBERS, subscriber)
}

/// Has `subscriber` receive [`Event::Deadlock`] alone. That costs nothing until there is one: nothing
/// else is told for its sake.
///
/// ```
/// use procbox_core::observe::{Event, Subscriber, is_observed, subscribe_to_deadlocks};
/// use std::sync::Arc;
///
/// struct Says;
///
/// impl Subscriber for Says {
///     fn event(&self, event: &Event<'_>) {
///         if let Event::Deadlock { deadlock } = event {
///             eprintln!("{deadlock}");
///         }
///     }
/// }
///
/// let subscription = subscribe_to_deadlocks(Arc::new(Says));
/// assert!(!is_observed());
/// # drop(subscription);
/// ```
pub fn subscribe_to_deadlocks(subscriber: Arc<dyn Subscriber>) -> Subscription {
    subscribe_to(&OF_DEADLOCKS, subscriber)
}

fn subscribe_to(
    list: &'static RwLock<Option<Subscribers>>,
    subscriber: Arc<dyn Subscriber>,
) -> Subscription {
    change(list, |all| all.push(subscriber.clone()));
    Subscription { subscriber, list }
}

/// Tells those who watch of a deadlock. For whoever implements a backend.
///
/// ```
/// use procbox_core::observe::{Deadlock, emit_deadlock};
/// emit_deadlock(&Deadlock::new(Vec::new()));
/// ```
pub fn emit_deadlock(deadlock: &Deadlock) {
    let event = Event::Deadlock { deadlock };
    deliver_to(&SUBSCRIBERS, &event);
    deliver_to(&OF_DEADLOCKS, &event);
}

/// `true` if anybody watches: for what is worth preparing only then.
///
/// ```
/// assert!(!procbox_core::observe::is_observed());
/// ```
#[inline]
pub fn is_observed() -> bool {
    COUNT.load(Ordering::Relaxed) != 0
}

/// Tells those who watch, if there are any. For whoever implements a backend.
///
/// ```
/// use procbox_core::observe::{Event, emit};
/// emit(|| Event::ProcessStarted { pid: 7, name: "Process-1", parent: 1 });
/// ```
#[inline]
pub fn emit<'a>(event: impl FnOnce() -> Event<'a>) {
    if is_observed() {
        deliver(&event());
    }
}

/// A wait that is told to those who watch: begun when this is made, ended when it is dropped. For
/// whoever implements a backend.
///
/// ```
/// use procbox_core::observe::{Operation, Waiting};
/// let waiting = Waiting::begin(|| 7, Operation::QueueGet, 1);
/// // ... blocks, and gets it:
/// waiting.end(true);
/// ```
#[derive(Debug)]
#[must_use = "the wait ends when this is dropped"]
pub struct Waiting(Option<(u32, Awaited)>);

impl Waiting {
    /// The process `pid` begins to wait in this call on this object. Nothing happens, and `pid` is
    /// not asked for, if nobody watches.
    #[inline]
    pub fn begin(pid: impl FnOnce() -> u32, operation: Operation, object: u64) -> Waiting {
        if !is_observed() {
            return Waiting(None);
        }
        let (pid, on) = (pid(), Awaited { operation, object });
        deliver(&Event::WaitBegun { pid, on });
        Waiting(Some((pid, on)))
    }

    /// The wait has ended: with what was waited for, or without.
    pub fn end(mut self, success: bool) {
        self.tell(success);
    }

    fn tell(&mut self, success: bool) {
        if let Some((pid, on)) = self.0.take() {
            deliver(&Event::WaitEnded { pid, on, success });
        }
    }
}

impl Drop for Waiting {
    /// A wait that was given up, or whose process was ended.
    fn drop(&mut self) {
        self.tell(false);
    }
}

#[cold]
fn deliver(event: &Event<'_>) {
    deliver_to(&SUBSCRIBERS, event);
}

fn deliver_to(list: &RwLock<Option<Subscribers>>, event: &Event<'_>) {
    // Not held while they are told: one may subscribe another, or end its own subscription.
    let subscribers = list.read().unwrap_or_else(PoisonError::into_inner).clone();
    for subscriber in subscribers.iter().flat_map(|all| all.iter()) {
        // Its panic is its own affair: what happened goes on.
        let _ = catch_unwind(AssertUnwindSafe(|| subscriber.event(event)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Pids(Mutex<Vec<u32>>);

    impl Subscriber for Pids {
        fn event(&self, event: &Event<'_>) {
            // Other tests of this binary have events of their own.
            if let Event::ProcessStarted { pid, name: "observed", .. } = event {
                self.0.lock().unwrap().push(*pid);
            }
        }
    }

    struct Panics;

    impl Subscriber for Panics {
        fn event(&self, _: &Event<'_>) {
            panic!("as it should");
        }
    }

    fn started(pid: u32) {
        emit(|| Event::ProcessStarted { pid, name: "observed", parent: 1 });
    }

    #[test]
    fn a_subscriber_hears_what_happens_until_its_subscription_is_dropped() {
        let pids = Arc::new(Pids::default());
        started(1);
        let panics = subscribe(Arc::new(Panics));
        let subscription = subscribe(pids.clone());
        started(2);
        drop(panics);
        started(3);
        drop(subscription);
        started(4);
        assert_eq!(*pids.0.lock().unwrap(), [2, 3]);
    }
}
