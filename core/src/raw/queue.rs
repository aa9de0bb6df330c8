//! Queues, as a backend makes them.

use super::{Handle, Lent, Message, Side, Watch};
use crate::{Result, Wait};
use std::any::Any;
use std::task::Waker;

/// The most that a queue holds.
///
/// ```
/// use procbox_core::Bounds;
/// let b = Bounds::default().messages(16);
/// assert_eq!(b.bytes, Bounds::MAX_BYTES);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// The most messages; `None` for as many as the bytes allow: [`Bounds::most_messages`].
    pub messages: Option<usize>,
    /// The most bytes, all messages together. One message may not be larger.
    pub bytes: usize,
}

impl Bounds {
    /// The default for [`Bounds::bytes`]: 256 MiB, room for four of the largest messages promised.
    pub const MAX_BYTES: usize = 256 << 20;

    /// The memory that a message takes beside its bytes, whatever the backend: so that messages of no
    /// bytes are bounded too.
    pub const OVERHEAD: usize = 32;

    /// Messages that a queue takes however few bytes it may hold.
    const LEAST_MESSAGES: usize = 1024;

    /// The most messages that a queue of these bounds holds: as many as were asked for, but not more
    /// than there are [`Bounds::OVERHEAD`]s in its bytes, of which at least 1024 are granted.
    ///
    /// ```
    /// use procbox_core::Bounds;
    /// assert_eq!(Bounds::default().messages(16).most_messages(), 16);
    /// assert_eq!(Bounds::default().bytes(1 << 20).most_messages(), (1 << 20) / Bounds::OVERHEAD);
    /// assert_eq!(Bounds::default().bytes(12).most_messages(), 1024);
    /// ```
    pub fn most_messages(self) -> usize {
        let granted = (self.bytes / Bounds::OVERHEAD).max(Bounds::LEAST_MESSAGES);
        self.messages.map_or(granted, |most| most.min(granted))
    }

    /// So many messages, if they are bounded, of so many bytes together.
    ///
    /// ```
    /// use procbox_core::Bounds;
    /// assert_eq!(Bounds::new(None, Bounds::MAX_BYTES), Bounds::default());
    /// ```
    pub const fn new(messages: Option<usize>, bytes: usize) -> Bounds {
        Bounds { messages, bytes }
    }

    /// At most so many messages.
    ///
    /// ```
    /// use procbox_core::raw::Bounds;
    /// assert_eq!(Bounds::default().messages(16).messages, Some(16));
    /// ```
    pub const fn messages(mut self, most: usize) -> Bounds {
        self.messages = Some(most);
        self
    }

    /// At most so many bytes, all messages together.
    ///
    /// ```
    /// use procbox_core::raw::Bounds;
    /// assert_eq!(Bounds::default().bytes(1 << 20).bytes, 1 << 20);
    /// ```
    pub const fn bytes(mut self, most: usize) -> Bounds {
        self.bytes = most;
        self
    }

    /// The default, for constants: as many messages as fit into [`Bounds::MAX_BYTES`].
    ///
    /// ```
    /// use procbox_core::raw::Bounds;
    /// const SMALL: Bounds = Bounds::DEFAULT.messages(16).bytes(4096);
    /// assert_eq!(Bounds::default(), Bounds::DEFAULT);
    /// # let _ = SMALL;
    /// ```
    pub const DEFAULT: Bounds = Bounds { messages: None, bytes: Bounds::MAX_BYTES };
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds::DEFAULT
    }
}

/// A queue, as a backend implements it for [`crate::Queue`].
///
/// A message is in the queue or delivered, never half of either, whoever dies and when.
///
/// ```
/// # use procbox_core::raw::Message;
/// # use procbox_core::{Bounds, Wait};
/// # let ctx = procbox_core::Context::local([])?;
/// let raw = ctx.raw().queue(Bounds::default())?;
/// raw.put(b"bytes as they are", &[], Wait::Forever)?;
/// let mut message = Message::default();
/// raw.get(&mut message, Wait::Forever)?;
/// assert_eq!(message.bytes, b"bytes as they are");
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub trait RawQueue: Any + Send + Sync {
    /// Appends a message.
    ///
    /// # Errors
    /// [`crate::Error::Full`] when the wait ran out, [`crate::Error::Closed`],
    /// [`crate::Error::TooLarge`], [`crate::Error::ForeignHandle`], [`crate::Error::Interrupted`].
    fn put(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()>;

    /// Takes the oldest message, in place of what `into` held.
    ///
    /// # Errors
    /// [`crate::Error::Empty`] when the wait ran out, [`crate::Error::Closed`] when it is closed
    /// and drained, [`crate::Error::Interrupted`].
    fn get(&self, into: &mut Message, wait: Wait) -> Result<()>;

    /// Memory for a message of so many bytes, where the backend has a place in which a message can be
    /// written as it travels; what is in it before is unspecified. The first `prefix` bytes, which are few,
    /// lead to the contents, which the backend may want to align. `None` is what a backend says that has no
    /// such place, for which the message is copied anyway.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`], [`crate::Error::Exhausted`].
    fn loan(&self, _bytes: usize, _prefix: usize) -> Result<Option<Lent>> {
        Ok(None)
    }

    /// Appends a message that was written into lent memory, and takes the memory out of `lent`. If it
    /// fails the message is still there.
    ///
    /// # Errors
    /// Those of [`RawQueue::put`].
    fn put_lent(&self, lent: &mut Lent, handles: &[Handle], wait: Wait) -> Result<()> {
        self.put(lent.bytes(), handles, wait)
    }

    /// Like [`RawQueue::get`], but where the backend can leave the bytes where they are, it lends these
    /// and puts no bytes into `into`.
    ///
    /// # Errors
    /// Those of [`RawQueue::get`].
    fn get_lent(&self, into: &mut Message, wait: Wait) -> Result<Option<Lent>> {
        self.get(into, wait).map(|()| None)
    }

    /// The messages in it now.
    fn len(&self) -> usize;

    /// `true` if it is empty now.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most that it holds.
    fn bounds(&self) -> Bounds;

    /// Refuses further puts; gets drain what is there.
    fn close(&self);

    /// Has `waker` woken when that side of it may be ready: see [`Watch`]. `None` is what a backend says in which nobody can wait
    /// without blocking.
    ///
    /// # Errors
    /// [`crate::Error::Exhausted`].
    fn watch(&self, side: Side, waker: &Waker) -> Result<Option<Watch>> {
        let _ = (side, waker);
        Ok(None)
    }
}
