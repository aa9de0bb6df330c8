//! Things several of which can be waited for at once.

use super::{RawConnection, RawListener, RawPipe, RawProcess, RawQueue};
use std::fmt;
use std::sync::Arc;

/// Something that [`crate::ready`] can wait for, together with others.
///
/// ```
/// # use procbox_core::{Wait, ready};
/// # let ctx = procbox_core::Context::local([])?;
/// let (from, to) = ctx.simplex_pipe::<u32>()?;
/// let q = ctx.queue::<u32>(16)?;
/// q.put(&7)?;
/// assert_eq!(ready(&ctx, &[from.waitable(), q.waitable()], Wait::Forever)?, [1]);
/// # drop(to);
/// # Ok::<(), procbox_core::Error>(())
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
