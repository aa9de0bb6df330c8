//! Pipes for those who wait without a thread: futures of `send` and `recv`.

use super::{Pipe, Receiver, Sender, Values};
use crate::polled::until;
use crate::raw::{Message, RawPipe, Side};
use crate::{Error, Result, Wait};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

async fn send<V: Serialize + ?Sized>(raw: &Arc<dyn RawPipe>, value: &V) -> Result<()> {
    let message = match raw.send_value(value, Wait::Never) {
        Err(Error::TimedOut) => Message::of(value)?,
        sent => return sent,
    };
    let attempt = |wait| raw.send(&message.bytes, &message.handles, wait);
    until(attempt, |waker| raw.watch(Side::Room, waker)).await
}

macro_rules! sends {
    ($name:ident) => {
        impl<T> $name<T> {
            /// Like `send`, as a future: whoever polls it does not block while the pipe is full. Dropped
            /// before it is ready, it has sent nothing. Inside a sandboxed process, and in a simulation,
            /// the poll blocks.
            ///
            /// ```no_run
            #[doc = concat!("# async fn example(end: procbox_core::", stringify!($name), "<String>)")]
            /// # -> procbox_core::Result<()> {
            /// end.send_async("hello").await?;
            /// # Ok(()) }
            /// ```
            ///
            /// # Errors
            /// Those of `send`, but for Ctrl-C; [`Error::Os`] if it cannot be watched.
            pub async fn send_async<V: Serialize + ?Sized>(&self, value: &V) -> Result<()>
            where
                for<'a> &'a V: crate::worker::Arg<T>,
            {
                send(&self.raw, value).await
            }
        }
    };
}

macro_rules! receives {
    ($name:ident) => {
        impl<T: DeserializeOwned> $name<T> {
            /// Like `recv`, as a future: whoever polls it does not block while there is nothing. Dropped
            /// before it is ready, it has received nothing. Inside a sandboxed process, and in a
            /// simulation, the poll blocks.
            ///
            /// ```no_run
            #[doc = concat!("# async fn example(end: procbox_core::", stringify!($name), "<String>)")]
            /// # -> procbox_core::Result<()> {
            /// println!("{}", end.recv_async().await?);
            /// # Ok(()) }
            /// ```
            ///
            /// # Errors
            /// Those of `recv`, but for Ctrl-C; [`Error::Os`] if it cannot be watched.
            pub async fn recv_async(&self) -> Result<T> {
                let attempt = |wait| self.raw.recv_value(wait);
                until(attempt, |waker| self.raw.watch(Side::Items, waker)).await
            }
        }
    };
}

sends!(Pipe);
receives!(Pipe);
sends!(Sender);
receives!(Receiver);
