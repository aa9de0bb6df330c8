//! Handles: a process's right to one primitive, and what one can wait for.

use crate::{RawEvent, RawLock, RawPipe, RawProcess, RawQueue, RawSemaphore};
use std::fmt;
use std::sync::Arc;

/// The right to one primitive, as it travels between processes beside a message's bytes.
///
/// Users hold the typed wrappers, which turn into handles wherever they are serialised.
#[derive(Clone)]
#[non_exhaustive]
pub enum Handle {
    /// Of a [`crate::Lock`].
    Lock(Arc<dyn RawLock>),
    /// Of a [`crate::Semaphore`].
    Semaphore(Arc<dyn RawSemaphore>),
    /// Of an [`crate::Event`].
    Event(Arc<dyn RawEvent>),
    /// Of a [`crate::Queue`].
    Queue(Arc<dyn RawQueue>),
    /// Of one end of a pipe.
    Pipe(Arc<dyn RawPipe>),
}

impl Handle {
    /// What it is a handle of, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Handle::Lock(_) => "lock",
            Handle::Semaphore(_) => "semaphore",
            Handle::Event(_) => "event",
            Handle::Queue(_) => "queue",
            Handle::Pipe(_) => "pipe",
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.kind())
    }
}

/// Something that [`crate::ready`] can wait for, together with others.
#[derive(Clone)]
#[non_exhaustive]
pub enum Waitable {
    /// Ready when a `get` would not block: a message is there, or the queue is closed.
    Queue(Arc<dyn RawQueue>),
    /// Ready when a `recv` would not block: a message is there, or the other end is gone.
    Pipe(Arc<dyn RawPipe>),
    /// Ready when the process has ended.
    Process(Arc<dyn RawProcess>),
}

impl fmt::Debug for Waitable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Waitable::Queue(_) => "Waitable(queue)",
            Waitable::Pipe(_) => "Waitable(pipe)",
            Waitable::Process(_) => "Waitable(process)",
        })
    }
}
