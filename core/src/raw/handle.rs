//! Handles, a process's right to one primitive each, and the messages in which they travel.

use super::{RawEvent, RawLedger, RawLock, RawPipe, RawQueue, RawRegion, RawSemaphore};
use std::fmt;
use std::sync::Arc;

/// The right to one primitive, as it travels between processes beside a message's bytes.
///
/// Users hold the typed wrappers, which turn into handles wherever they are serialised.
///
/// ```
/// # use procbox_core::raw::Message;
/// # let ctx = procbox_core::Context::local([])?;
/// let q = ctx.queue::<u32>(16)?;
/// let message = Message::of(&("results", &q))?;
/// assert_eq!(message.handles.len(), 1); // the name is in its bytes, the queue beside them
/// # Ok::<(), procbox_core::Error>(())
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
    /// Of a ledger, on which a [`crate::RwLock`], [`crate::Barrier`] or the like stands.
    Ledger(Arc<dyn RawLedger>),
    /// Of a region, which [`crate::SharedBytes`] and [`crate::Value`] have.
    Region(Arc<dyn RawRegion>),
}

impl Handle {
    /// The kind of primitive that it is a handle of, in a word.
    ///
    /// ```
    /// # use procbox_core::raw::{Handle, RawEvent};
    /// # use procbox_core::{Result, Wait};
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
    /// let message = procbox_core::raw::Message::of(&event)?;
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
            Handle::Ledger(_) => "ledger",
            Handle::Region(_) => "region",
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.kind())
    }
}

/// A message, as it travels: bytes, and the handles that they refer to by index.
///
/// ```
/// let m = procbox_core::raw::Message::of(&[7u8; 3])?;
/// assert_eq!((m.bytes, m.handles.len()), (vec![7, 7, 7], 0));
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The encoded value.
    pub bytes: Vec<u8>,
    /// The handles in it, in the order of their indices.
    pub handles: Vec<Handle>,
}
