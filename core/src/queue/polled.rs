//! Queues for those who wait without a thread: futures of `put` and `get`.

use super::{Queue, put_value, with_received};
use crate::polled::until;
use crate::raw::{Message, RawQueue, Side};
use crate::{Error, Result, Wait};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Puts a value, which is encoded once more at most if there is no room at once.
async fn put<V: Serialize + ?Sized>(raw: &dyn RawQueue, value: &V) -> Result<()> {
    let message = match put_value(raw, value, Wait::Never) {
        Err(Error::Full) => Message::of(value)?,
        put => return put,
    };
    let attempt = |wait| raw.put(&message.bytes, &message.handles, wait);
    until(attempt, |waker| raw.watch(Side::Room, waker)).await
}

impl<T> Queue<T> {
    /// Like [`Queue::put`], as a future: whoever polls it does not block while the queue is full. Dropped
    /// before it is ready, it has put nothing. It needs no runtime of a certain make. Inside a sandboxed
    /// process, which has one thread, and in a simulation, the poll blocks.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let q = ctx.queue::<String>(1)?;
    /// q.put_async("hello").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Queue::put`], but for Ctrl-C; [`Error::Os`] if it cannot be watched.
    pub async fn put_async<V: Serialize + ?Sized>(&self, value: &V) -> Result<()>
    where
        for<'a> &'a V: crate::worker::Arg<T>,
    {
        put(&**self.raw(), value).await
    }
}

impl<T: DeserializeOwned> Queue<T> {
    /// Like [`Queue::get`], as a future: whoever polls it does not block while the queue is empty. Dropped
    /// before it is ready, it has taken nothing. It needs no runtime of a certain make. Inside a sandboxed
    /// process, which has one thread, and in a simulation, the poll blocks.
    ///
    /// Of those who wait so for one queue, one is woken for a message. It polls, or is dropped: until then
    /// the message may lie there.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let q = ctx.queue::<String>(16)?;
    /// while let Ok(text) = q.get_async().await {
    ///     println!("{text}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Queue::get`], but for Ctrl-C; [`Error::Os`] if it cannot be watched.
    pub async fn get_async(&self) -> Result<T> {
        let attempt = |wait| with_received(|message| self.raw().get_lent(message, wait));
        until(attempt, |waker| self.raw().watch(Side::Items, waker)).await
    }
}
