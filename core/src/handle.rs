//! Handles: a process's right to one primitive, and what one can wait for.

use crate::{
    RawConnection, RawEvent, RawListener, RawLock, RawPipe, RawProcess, RawQueue, RawSemaphore,
};
use std::fmt;
use std::sync::Arc;

/// The right to one primitive, as it travels between processes beside a message's bytes.
///
/// Users hold the typed wrappers, which turn into handles wherever they are serialised.
///
/// ```no_run
/// # use procbox_core::Message;
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let q = ctx.queue::<u32>(16)?;
/// let message = Message::of(&("results", &q))?;
/// assert_eq!(message.handles.len(), 1); // the name is in its bytes, the queue beside them
/// # Ok(()) }
/// ```
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
    ///
    /// ```
    /// # use procbox_core::{Handle, RawEvent, Result, Wait};
    /// # struct Flag;
    /// # impl RawEvent for Flag {
    /// #     fn set(&self) {}
    /// #     fn clear(&self) {}
    /// #     fn is_set(&self) -> bool {
    /// #         false
    /// #     }
    /// #     fn wait(&self, _: Wait) -> Result<()> {
    /// #         Ok(())
    /// #     }
    /// # }
    /// # let event = procbox_core::Event::from_raw(std::sync::Arc::new(Flag));
    /// let message = procbox_core::Message::of(&event)?;
    /// assert_eq!(message.handles[0].kind(), "event");
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
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
///
/// ```no_run
/// # use procbox_core::{Wait, ready};
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let (from, to) = ctx.simplex_pipe::<u32>()?;
/// let q = ctx.queue::<u32>(16)?;
/// q.put(&7)?;
/// assert_eq!(ready(&ctx, &[from.waitable(), q.waitable()], Wait::Forever)?, [1]);
/// # drop(to);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Waitable {
    /// Ready when a `get` would not block: a message is there, or the queue is closed.
    Queue(Arc<dyn RawQueue>),
    /// Ready when a `recv` would not block: a message is there, or the other end is gone.
    Pipe(Arc<dyn RawPipe>),
    /// Ready when the process has ended.
    Process(Arc<dyn RawProcess>),
    /// Ready when a `recv` would not block: a message is there whole, or the peer is gone.
    Connection(Arc<dyn RawConnection>),
    /// Ready when somebody waits to be accepted.
    Listener(Arc<dyn RawListener>),
}

impl fmt::Debug for Waitable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Waitable::Queue(_) => "Waitable(queue)",
            Waitable::Pipe(_) => "Waitable(pipe)",
            Waitable::Process(_) => "Waitable(process)",
            Waitable::Connection(_) => "Waitable(connection)",
            Waitable::Listener(_) => "Waitable(listener)",
        })
    }
}
