//! Queues, as a backend makes them.

use super::{Handle, Message};
use crate::{Result, Wait};
use std::any::Any;

/// How much a queue holds.
///
/// ```
/// use procbox_core::Bounds;
/// let b = Bounds { messages: Some(16), ..Bounds::default() };
/// assert_eq!(b.bytes, Bounds::MAX_BYTES);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most messages; `None` for as many as the bytes allow.
    pub messages: Option<usize>,
    /// The most bytes, all messages together. One message may not be larger.
    pub bytes: usize,
}

impl Bounds {
    /// The default for [`Bounds::bytes`]: 256 MiB, room for four of the largest messages promised.
    pub const MAX_BYTES: usize = 256 << 20;
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { messages: None, bytes: Bounds::MAX_BYTES }
    }
}

/// What a backend implements for [`Queue`].
///
/// A message is in the queue or delivered, never half of either, whoever dies and when.
///
/// ```no_run
/// # use procbox_core::{Bounds, Message, Wait};
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let raw = ctx.raw().queue(Bounds::default())?;
/// raw.put(b"bytes as they are", &[], Wait::Forever)?;
/// let mut message = Message::default();
/// raw.get(&mut message, Wait::Forever)?;
/// assert_eq!(message.bytes, b"bytes as they are");
/// # Ok(()) }
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

    /// The messages in it now.
    fn len(&self) -> usize;

    /// Whether it is empty now.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it holds at most.
    fn bounds(&self) -> Bounds;

    /// Refuses further puts; gets drain what is there.
    fn close(&self);
}
