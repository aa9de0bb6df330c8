//! Connections and listeners for those who wait without a thread.

use super::{Connection, Listener, Values, handshake};
use crate::polled::until;
use crate::raw::RawConnection;
use crate::sync::lock;
use crate::{Error, Result, Wait};
use serde::de::DeserializeOwned;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

impl<T: DeserializeOwned> Connection<T> {
    /// Like `recv`, as a future: whoever polls it does not block while no message is there whole. Dropped
    /// before it is ready, it has received nothing. Inside a sandboxed process, and in a simulation, the
    /// poll blocks.
    ///
    /// ```no_run
    /// # async fn example(peer: procbox_core::Connection<String>) -> procbox_core::Result<()> {
    /// println!("{}", peer.recv_async().await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of `recv`, but for Ctrl-C; [`Error::Os`] if it cannot be watched.
    pub async fn recv_async(&self) -> Result<T> {
        let attempt = |wait| self.raw.recv_value(wait);
        until(attempt, |waker| self.raw.0.watch(waker)).await
    }
}

/// The outcome of a handshake, and who waits for it.
#[derive(Default)]
struct Shaken {
    outcome: Option<Result<()>>,
    waker: Option<Waker>,
}

impl Listener {
    /// Like [`Listener::accept`], as a future: whoever polls it does not block while nobody comes. The
    /// handshake has a thread for as long as it lasts: at most for the time of
    /// [`Listener::handshake_timeout`]. Dropped before it is ready, the future turns away at most the client that was at that.
    /// Inside a sandboxed process, and in a simulation, the poll blocks.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let listener = ctx.listen("greeter", b"secret")?;
    /// let peer = listener.accept_async::<String>().await?;
    /// println!("{}", peer.recv_async().await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Listener::accept`], but for Ctrl-C; [`Error::Os`] if it cannot be watched, or there can
    /// be no thread.
    pub async fn accept_async<T>(&self) -> Result<Connection<T>> {
        let attempt = |wait| self.raw.accept(wait);
        let peer = until(attempt, |waker| self.raw.watch(waker)).await?;
        self.admit(&peer).await?;
        Ok(Connection::new(peer))
    }

    /// Has the peer prove that it has the key.
    async fn admit(&self, peer: &Arc<dyn RawConnection>) -> Result<()> {
        let until = Wait::AtMost(self.handshake).deadline(&*self.sources.clock);
        if cfg!(target_family = "wasm") || self.sources.clock.is_virtual() {
            return handshake::admit(&**peer, &self.key, until, &self.sources);
        }
        let shaken = Arc::new(Mutex::new(Shaken::default()));
        let (peer, key, sources, tell) =
            (peer.clone(), self.key.clone(), self.sources.clone(), shaken.clone());
        let shake = move || {
            let outcome = handshake::admit(&*peer, &key, until, &sources);
            let mut shaken = lock(&tell);
            shaken.outcome = Some(outcome);
            let waker = shaken.waker.take();
            drop(shaken);
            waker.into_iter().for_each(Waker::wake);
        };
        let named = std::thread::Builder::new().name("procbox-accept".into());
        named.spawn(shake).map_err(|e| {
            Error::Exhausted(format!("threads: there is none for a handshake ({e})"))
        })?;
        poll_fn(|cx| {
            let mut shaken = lock(&shaken);
            match shaken.outcome.take() {
                Some(outcome) => Poll::Ready(outcome),
                None => {
                    shaken.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
