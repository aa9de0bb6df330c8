//! Listeners and connections, as a backend makes them.

use super::{Address, Message, RawPipe, Side, Watch};
use crate::{Error, Result, Wait};
use std::any::Any;
use std::sync::Arc;
use std::task::Waker;

/// The most bytes of one message through a connection: 64 MiB.
///
/// ```no_run
/// # use procbox_core::raw::MAX_MESSAGE;
/// # use procbox_core::Bytes;
/// # fn example(to: procbox_core::Connection<Bytes>, large: Vec<u8>) -> procbox_core::Result<()> {
/// for part in large.chunks(MAX_MESSAGE / 2) {
///     to.send(&Bytes(part.to_vec()))?;
/// }
/// # Ok(()) }
/// ```
pub const MAX_MESSAGE: usize = 64 << 20;

/// A connection, as a backend implements it for [`crate::Connection`]: messages of bytes, in
/// order, their boundaries kept. Dropping it closes it.
///
/// ```no_run
/// # use procbox_core::{Address, Wait};
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let raw = ctx.raw().connect(&Address::from("greeter"), Wait::Forever)?;
/// let mut first = Vec::new();
/// raw.recv(&mut first, 128, Wait::Forever)?; // the listener's part of the handshake
/// # Ok(()) }
/// ```
pub trait RawConnection: Any + Send + Sync {
    /// Sends a message of at most [`MAX_MESSAGE`] bytes. It may return when the message is on its
    /// way in part; the rest then follows before anything else.
    ///
    /// # Errors
    /// [`Error::TimedOut`] if nothing was sent, [`Error::Closed`] if the peer is gone,
    /// [`Error::Interrupted`].
    fn send(&self, bytes: &[u8], wait: Wait) -> Result<()>;

    /// Receives a message, in place of what `into` held.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Closed`] if nothing is left and the peer is gone,
    /// [`Error::TooLarge`] if the message has more than `most` bytes, [`Error::Interrupted`].
    fn recv(&self, into: &mut Vec<u8>, most: usize, wait: Wait) -> Result<()>;

    /// Waits until a `recv` would not block.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Interrupted`].
    fn poll(&self, wait: Wait) -> Result<()>;

    /// Has `waker` woken when a message may be there whole, or the peer gone: see [`Watch`]. `None` is what a backend says in which nobody can wait
    /// without blocking.
    ///
    /// # Errors
    /// [`crate::Error::Exhausted`].
    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        let _ = waker;
        Ok(None)
    }
}

/// A listener, as a backend implements it for [`crate::Listener`]. Dropping it frees the address
/// and turns away whoever was not accepted.
///
/// ```no_run
/// # use procbox_core::{Address, Wait};
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let raw = ctx.raw().listen(&Address::from("greeter"))?;
/// let peer = raw.accept(Wait::Forever)?; // it has proved nothing yet
/// peer.send(b"hello", Wait::Forever)?;
/// # Ok(()) }
/// ```
pub trait RawListener: Any + Send + Sync {
    /// Waits for a client. Nothing of it is known yet.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Interrupted`], [`Error::Os`].
    fn accept(&self, wait: Wait) -> Result<Arc<dyn RawConnection>>;

    /// The address under which it listens: the port is the real one.
    fn address(&self) -> &Address;

    /// Has `waker` woken when somebody may wait to be accepted: see [`Watch`]. `None` is what a backend says in which nobody can wait
    /// without blocking.
    ///
    /// # Errors
    /// [`crate::Error::Exhausted`].
    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        let _ = waker;
        Ok(None)
    }
}

/// A pipe is a connection too, for backends in which programs can reach one another by pipes.
/// Handles that come with a message are dropped.
///
/// ```
/// # use procbox_core::raw::{PipeConnection, RawConnection};
/// # use procbox_core::{Context, Result, Wait};
/// # let ctx = procbox_core::Context::local([])?;
/// let (a, b) = ctx.raw().pipe(true)?;
/// PipeConnection(a).send(b"hello", Wait::Forever)?;
/// let mut message = Vec::new();
/// PipeConnection(b).recv(&mut message, 100, Wait::Forever)?;
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[allow(missing_debug_implementations, reason = "a raw pipe has none")]
pub struct PipeConnection(pub Arc<dyn RawPipe>);

impl RawConnection for PipeConnection {
    fn send(&self, bytes: &[u8], wait: Wait) -> Result<()> {
        self.0.send(bytes, &[], wait)
    }

    fn recv(&self, into: &mut Vec<u8>, most: usize, wait: Wait) -> Result<()> {
        let mut message = Message { bytes: std::mem::take(into), handles: Vec::new() };
        let received = self.0.recv(&mut message, wait);
        *into = message.bytes;
        received?;
        if into.len() > most {
            return Err(Error::TooLarge { size: into.len(), limit: most });
        }
        Ok(())
    }

    fn poll(&self, wait: Wait) -> Result<()> {
        self.0.poll(wait)
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        self.0.watch(Side::Items, waker)
    }
}
