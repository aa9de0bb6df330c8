//! A pipe of values between two processes.

use crate::codec::{deserialize_handle, serialize_handle};
use crate::queue::{with_encoded, with_received};
use crate::{Error, Handle, Message, Result, Wait, Waitable};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// What a backend implements for one end of a pipe.
///
/// An end is *gone* when no process holds a handle of it any more: all were dropped, or their
/// holders ended or were killed.
pub trait RawPipe: Any + Send + Sync {
    /// Sends a message to the other end.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Closed`] if the other end is gone or this end cannot send,
    /// [`Error::TooLarge`], [`Error::ForeignHandle`], [`Error::Interrupted`].
    fn send(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()>;

    /// Receives a message, in place of what `into` held.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Closed`] if nothing is left and the other end is gone,
    /// [`Error::Interrupted`].
    fn recv(&self, into: &mut Message, wait: Wait) -> Result<()>;

    /// Waits until a `recv` would not block: a message is there, or the other end is gone.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Interrupted`].
    fn poll(&self, wait: Wait) -> Result<()>;
}

macro_rules! end {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name<T> {
            raw: Arc<dyn RawPipe>,
            of: PhantomData<fn(T) -> T>,
        }

        impl<T> $name<T> {
            /// Wraps what a backend made.
            pub fn from_raw(raw: Arc<dyn RawPipe>) -> Self {
                $name { raw, of: PhantomData }
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                $name { raw: self.raw.clone(), of: PhantomData }
            }
        }

        impl<T> Serialize for $name<T> {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                serialize_handle(Handle::Pipe(self.raw.clone()), s)
            }
        }

        impl<'de, T> Deserialize<'de> for $name<T> {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                match deserialize_handle(d)? {
                    Handle::Pipe(raw) => Ok($name::from_raw(raw)),
                    other => Err(serde::de::Error::custom(format!("a {} is not a pipe", other.kind()))),
                }
            }
        }
    };
}

end! {
    /// One end of a duplex pipe: it sends and receives. Message boundaries are kept.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let (here, there) = ctx.pipe::<String>()?;
    /// there.send("ping")?;
    /// assert_eq!(here.recv()?, "ping");
    /// drop(there);
    /// assert_eq!(here.recv(), Err(procbox_core::Error::Closed));
    /// # Ok(()) }
    /// ```
    Pipe
}

end! {
    /// The receiving end of a simplex pipe.
    Receiver
}

end! {
    /// The sending end of a simplex pipe.
    Sender
}

macro_rules! sends {
    ($name:ident) => {
        impl<T> $name<T> {
            /// Sends a value; waits while the pipe is full.
            ///
            /// # Errors
            /// [`Error::Closed`] if the other end is gone, [`Error::TooLarge`], [`Error::Encode`],
            /// [`Error::ForeignHandle`], [`Error::Interrupted`].
            pub fn send<V: Serialize + ?Sized>(&self, value: &V) -> Result<()>
            where
                for<'a> &'a V: crate::Arg<T>,
            {
                with_encoded(value, |bytes, handles| self.raw.send(bytes, handles, Wait::Forever))
            }

            /// Like `send`, for at most `timeout`.
            ///
            /// # Errors
            /// Those of `send`, and [`Error::TimedOut`].
            pub fn send_timeout<V: Serialize + ?Sized>(
                &self,
                value: &V,
                timeout: Duration,
            ) -> Result<()>
            where
                for<'a> &'a V: crate::Arg<T>,
            {
                with_encoded(value, |bytes, handles| {
                    self.raw.send(bytes, handles, Wait::AtMost(timeout))
                })
            }

            /// Like `send`, without waiting.
            ///
            /// # Errors
            /// Those of `send`, and [`Error::TimedOut`].
            pub fn try_send<V: Serialize + ?Sized>(&self, value: &V) -> Result<()>
            where
                for<'a> &'a V: crate::Arg<T>,
            {
                with_encoded(value, |bytes, handles| self.raw.send(bytes, handles, Wait::Never))
            }
        }
    };
}

macro_rules! receives {
    ($name:ident) => {
        impl<T: DeserializeOwned> $name<T> {
            /// Receives a value; waits until there is one.
            ///
            /// # Errors
            /// [`Error::Closed`] if nothing is left and the other end is gone, [`Error::Decode`],
            /// [`Error::Interrupted`].
            pub fn recv(&self) -> Result<T> {
                with_received(|m| self.raw.recv(m, Wait::Forever))
            }

            /// Like `recv`, for at most `timeout`.
            ///
            /// # Errors
            /// Those of `recv`, and [`Error::TimedOut`].
            pub fn recv_timeout(&self, timeout: Duration) -> Result<T> {
                with_received(|m| self.raw.recv(m, Wait::AtMost(timeout)))
            }

            /// Like `recv`, without waiting.
            ///
            /// # Errors
            /// Those of `recv`, and [`Error::TimedOut`].
            pub fn try_recv(&self) -> Result<T> {
                with_received(|m| self.raw.recv(m, Wait::Never))
            }
        }

        impl<T> $name<T> {
            /// Whether a `recv` would not block: now, or before `timeout` has passed.
            ///
            /// # Errors
            /// [`Error::Interrupted`] on Ctrl-C.
            pub fn poll(&self, timeout: Duration) -> Result<bool> {
                match self.raw.poll(Wait::AtMost(timeout)) {
                    Ok(()) => Ok(true),
                    Err(Error::TimedOut) => Ok(false),
                    Err(e) => Err(e),
                }
            }
        }
    };
}

pub(crate) use {receives, sends};

macro_rules! waitable {
    ($name:ident) => {
        impl<T> $name<T> {
            /// For [`crate::ready`].
            pub fn waitable(&self) -> Waitable {
                Waitable::Pipe(self.raw.clone())
            }
        }
    };
}

sends!(Pipe);
receives!(Pipe);
waitable!(Pipe);
sends!(Sender);
receives!(Receiver);
waitable!(Receiver);
