//! Joinable queues for those who wait without a thread.

use super::rules::*;
use super::{JoinableQueue, Looked};
use crate::polled::until;
use crate::raw::{Message, Side};
use crate::{Error, Result, Wait};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Inside a sandboxed process, and in a simulation, the polls block.
impl<T> JoinableQueue<T> {
    /// Like [`JoinableQueue::put`], as a future. Dropped before it is ready, it has put nothing.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let q = ctx.joinable_queue::<String>(16)?;
    /// q.put_async("hello").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`JoinableQueue::put`], but for Ctrl-C; [`Error::Os`] if it cannot be watched.
    pub async fn put_async<V: Serialize + ?Sized>(&self, value: &V) -> Result<()>
    where
        for<'a> &'a V: crate::worker::Arg<T>,
    {
        let tell = Wait::Forever;
        let message = match self.tell(tell, || self.queue.put_as(value, Wait::Never))? {
            Err(Error::Full) => Message::of(value)?,
            put => return put,
        };
        let raw = self.queue.raw();
        let put = |wait| raw.put(&message.bytes, &message.handles, wait);
        let attempt = |wait: Wait| self.tell(tell, || put(wait))?;
        until(attempt, |waker| raw.watch(Side::Room, waker)).await
    }

    /// Like [`JoinableQueue::join`], as a future.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let q = ctx.joinable_queue::<String>(16)?;
    /// assert_eq!(q.join_async().await?, 0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Os`] if it cannot be watched.
    pub async fn join_async(&self) -> Result<usize> {
        self.ledger
            .polled(|_| {
                loop {
                    match self.look_if_done(Wait::Never)? {
                        Looked::Done(lost) => return Ok(Ok(lost)),
                        Looked::Again => {}
                        Looked::Sleep(seen) => return Ok(Err((ALL_DONE, seen))),
                    }
                }
            })
            .await
    }
}

impl<T: DeserializeOwned> JoinableQueue<T> {
    /// Like [`JoinableQueue::get`], as a future. Dropped before it is ready, it has taken nothing.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let q = ctx.joinable_queue::<String>(16)?;
    /// let text = q.get_async().await?;
    /// println!("{text}");
    /// q.task_done()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`JoinableQueue::get`], but for Ctrl-C; [`Error::Os`] if it cannot be watched.
    pub async fn get_async(&self) -> Result<T> {
        self.ledger
            .polled(|_| {
                let (got, seen) = self.take_one(Wait::Never)?;
                Ok(if matches!(got, Err(Error::Empty)) { Err((PUT, seen)) } else { Ok(got) })
            })
            .await?
    }
}
