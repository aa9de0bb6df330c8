//! Pipes, as a backend makes them.

use super::{Handle, Lent, Message, Side, Watch};
use crate::{Result, Wait};
use std::any::Any;
use std::task::Waker;

/// One end of a pipe, as a backend implements it.
///
/// An end is *gone* when no process holds a handle of it any more: all were dropped, or their
/// holders ended or were killed.
///
/// ```
/// # use procbox_core::raw::Message;
/// # use procbox_core::{Error, Wait};
/// # let ctx = procbox_core::Context::local([])?;
/// let (first, second) = ctx.raw().pipe(false)?; // simplex: the second sends
/// second.send(b"hello", &[], Wait::Forever)?;
/// let mut message = Message::default();
/// first.recv(&mut message, Wait::Forever)?;
/// assert_eq!(message.bytes, b"hello");
/// assert_eq!(first.send(b"hello", &[], Wait::Never), Err(Error::Closed));
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub trait RawPipe: Any + Send + Sync {
    /// Sends a message to the other end.
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`], [`crate::Error::Closed`] if the other end is gone or this
    /// end cannot send, [`crate::Error::TooLarge`], [`crate::Error::ForeignHandle`],
    /// [`crate::Error::Interrupted`].
    fn send(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()>;

    /// Receives a message, in place of what `into` held.
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`], [`crate::Error::Closed`] if nothing is left and the other
    /// end is gone, [`crate::Error::Interrupted`].
    fn recv(&self, into: &mut Message, wait: Wait) -> Result<()>;

    /// As [`super::RawQueue::loan`], for a message that is sent.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`], [`crate::Error::Exhausted`], [`crate::Error::Closed`] if this end cannot
    /// send.
    fn loan(&self, _bytes: usize) -> Result<Option<Lent>> {
        Ok(None)
    }

    /// As [`super::RawQueue::put_lent`].
    ///
    /// # Errors
    /// Those of [`RawPipe::send`].
    fn send_lent(&self, lent: &mut Lent, handles: &[Handle], wait: Wait) -> Result<()> {
        self.send(lent.bytes(), handles, wait)
    }

    /// As [`super::RawQueue::get_lent`].
    ///
    /// # Errors
    /// Those of [`RawPipe::recv`].
    fn recv_lent(&self, into: &mut Message, wait: Wait) -> Result<Option<Lent>> {
        self.recv(into, wait).map(|()| None)
    }

    /// Waits until a `recv` would not block: a message is there, or the other end is gone.
    ///
    /// # Errors
    /// [`crate::Error::TimedOut`], [`crate::Error::Interrupted`].
    fn poll(&self, wait: Wait) -> Result<()>;

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
