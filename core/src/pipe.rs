//! A pipe of values between two processes.

mod polled;

use crate::codec::{deserialize_handle, serialize_handle};
use crate::queue::{Encoded, with_encoded_to, with_received};
use crate::raw::{Handle, RawPipe, Waitable};
use crate::{Error, Result, Wait};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// What values go through.
pub(crate) trait Values {
    fn send_value<T: Serialize + ?Sized>(&self, value: &T, wait: Wait) -> Result<()>;
    fn recv_value<T: DeserializeOwned>(&self, wait: Wait) -> Result<T>;
}

impl Values for Arc<dyn RawPipe> {
    #[inline]
    fn send_value<T: Serialize + ?Sized>(&self, value: &T, wait: Wait) -> Result<()> {
        let lender = |bytes, _| self.loan(bytes);
        with_encoded_to(value, &lender, |encoded, handles| match encoded {
            Encoded::Here(bytes) => self.send(bytes, handles, wait),
            Encoded::Lent(mut lent) => self.send_lent(&mut lent, handles, wait),
        })
    }

    #[inline]
    fn recv_value<T: DeserializeOwned>(&self, wait: Wait) -> Result<T> {
        with_received(|message| self.recv_lent(message, wait))
    }
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
            ///
            /// ```no_run
            #[doc = concat!("# use procbox_core::", stringify!($name), ";")]
            /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
            /// let (first, second) = ctx.raw().pipe(true)?;
            #[doc = concat!("let end = ", stringify!($name), "::<String>::from_raw(first);")]
            /// # drop((second, end));
            /// # Ok(()) }
            /// ```
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
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let (here, there) = ctx.pipe::<String>()?;
    /// there.send("ping")?;
    /// assert_eq!(here.recv()?, "ping");
    /// drop(there);
    /// assert_eq!(here.recv(), Err(procbox_core::Error::Closed));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    Pipe
}

end! {
    /// The receiving end of a simplex pipe.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let (from, to) = ctx.simplex_pipe::<u32>()?;
    /// to.send(&7)?;
    /// drop(to);
    /// assert_eq!(from.recv()?, 7); // what was sent before is there
    /// assert_eq!(from.recv(), Err(procbox_core::Error::Closed));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    Receiver
}

end! {
    /// The sending end of a simplex pipe.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let (from, to) = ctx.simplex_pipe::<u32>()?;
    /// drop(from);
    /// assert_eq!(to.send(&7), Err(procbox_core::Error::Closed));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    Sender
}

macro_rules! sends {
    ($name:ident) => {
        impl<T> $name<T> {
            /// Sends a value; waits while the pipe is full.
            ///
            /// ```no_run
            #[doc = concat!("# fn example(end: procbox_core::", stringify!($name), "<String>)")]
            /// # -> procbox_core::Result<()> {
            /// end.send("hello")?; // a `&str` for a `String`
            /// # Ok(()) }
            /// ```
            ///
            /// # Errors
            /// [`Error::Closed`] if the other end is gone, [`Error::TooLarge`], [`Error::Encode`],
            /// [`Error::ForeignHandle`], [`Error::Interrupted`].
            pub fn send<V: Serialize + ?Sized>(&self, value: &V) -> Result<()>
            where
                for<'a> &'a V: crate::worker::Arg<T>,
            {
                self.raw.send_value(value, Wait::Forever)
            }

            /// Like `send`, for at most `timeout`.
            ///
            /// ```no_run
            /// # use procbox_core::Error;
            /// # use std::time::Duration;
            #[doc = concat!("# fn example(end: procbox_core::", stringify!($name), "<String>)")]
            /// # -> procbox_core::Result<()> {
            /// match end.send_timeout("hello", Duration::from_secs(1)) {
            ///     Ok(()) => {}
            ///     Err(Error::TimedOut) => eprintln!("nobody receives"),
            ///     Err(e) => return Err(e),
            /// }
            /// # Ok(()) }
            /// ```
            ///
            /// # Errors
            /// Those of `send`, and [`Error::TimedOut`].
            pub fn send_timeout<V: Serialize + ?Sized>(
                &self,
                value: &V,
                timeout: Duration,
            ) -> Result<()>
            where
                for<'a> &'a V: crate::worker::Arg<T>,
            {
                self.raw.send_value(value, Wait::AtMost(timeout))
            }

            /// Like `send`, without waiting.
            ///
            /// ```no_run
            /// # use procbox_core::Error;
            #[doc = concat!("# fn example(end: procbox_core::", stringify!($name), "<String>)")]
            /// # -> procbox_core::Result<()> {
            /// if end.try_send("hello") == Err(Error::TimedOut) {
            ///     eprintln!("no room: dropped");
            /// }
            /// # Ok(()) }
            /// ```
            ///
            /// # Errors
            /// Those of `send`, and [`Error::TimedOut`].
            pub fn try_send<V: Serialize + ?Sized>(&self, value: &V) -> Result<()>
            where
                for<'a> &'a V: crate::worker::Arg<T>,
            {
                self.raw.send_value(value, Wait::Never)
            }
        }
    };
}

macro_rules! receives {
    ($name:ident) => {
        impl<T: DeserializeOwned> $name<T> {
            /// Receives a value; waits until there is one.
            ///
            /// ```no_run
            /// # use procbox_core::Error;
            #[doc = concat!("# fn example(end: procbox_core::", stringify!($name), "<String>)")]
            /// # -> procbox_core::Result<()> {
            /// loop {
            ///     match end.recv() {
            ///         Ok(text) => println!("{text}"),
            ///         Err(Error::Closed) => break, // nothing is left
            ///         Err(e) => return Err(e),
            ///     }
            /// }
            /// # Ok(()) }
            /// ```
            ///
            /// # Errors
            /// [`Error::Closed`] if nothing is left and the other end is gone, [`Error::Decode`],
            /// [`Error::Interrupted`].
            pub fn recv(&self) -> Result<T> {
                self.raw.recv_value(Wait::Forever)
            }

            /// Like `recv`, for at most `timeout`.
            ///
            /// ```no_run
            /// # use procbox_core::Error;
            /// # use std::time::Duration;
            #[doc = concat!("# fn example(end: procbox_core::", stringify!($name), "<String>)")]
            /// # -> procbox_core::Result<()> {
            /// match end.recv_timeout(Duration::from_secs(1)) {
            ///     Ok(text) => println!("{text}"),
            ///     Err(Error::TimedOut) => println!("nothing for a second"),
            ///     Err(e) => return Err(e),
            /// }
            /// # Ok(()) }
            /// ```
            ///
            /// # Errors
            /// Those of `recv`, and [`Error::TimedOut`].
            pub fn recv_timeout(&self, timeout: Duration) -> Result<T> {
                self.raw.recv_value(Wait::AtMost(timeout))
            }

            /// Like `recv`, without waiting.
            ///
            /// ```no_run
            #[doc = concat!("# fn example(end: procbox_core::", stringify!($name), "<String>)")]
            /// # -> procbox_core::Result<()> {
            /// while let Ok(text) = end.try_recv() {
            ///     println!("{text}");
            /// }
            /// # Ok(()) }
            /// ```
            ///
            /// # Errors
            /// Those of `recv`, and [`Error::TimedOut`].
            pub fn try_recv(&self) -> Result<T> {
                self.raw.recv_value(Wait::Never)
            }
        }

        impl<T> $name<T> {
            /// `true` if a `recv` would not block: now, or before `timeout` has passed.
            ///
            /// ```no_run
            /// # use std::time::Duration;
            #[doc = concat!("# fn example(end: procbox_core::", stringify!($name), "<String>)")]
            /// # -> procbox_core::Result<()> {
            /// if end.poll(Duration::ZERO)? {
            ///     println!("{}", end.recv()?);
            /// }
            /// # Ok(()) }
            /// ```
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
            ///
            /// ```no_run
            /// # use procbox_core::{Context, Result, Wait, ready};
            #[doc = concat!("# use procbox_core::", stringify!($name), ";")]
            #[doc = concat!("# fn example(ctx: Context, end: ", stringify!($name), "<String>)")]
            /// # -> Result<()> {
            /// let q = ctx.queue::<String>(16)?;
            /// match ready(&ctx, &[end.waitable(), q.waitable()], Wait::Forever)?[0] {
            ///     0 => println!("{}", end.recv()?),
            ///     _ => println!("{}", q.get()?),
            /// }
            /// # Ok(()) }
            /// ```
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
