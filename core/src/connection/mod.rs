//! Connections between programs that were not started by one another: a listener under an address,
//! clients that go there, and a key that both have to have.

mod handshake;
mod polled;

use self::handshake::Sources;
use crate::pipe::{Values, receives, sends};
use crate::queue::{with_encoded, with_received};
use crate::raw::{Address, MAX_MESSAGE, RawConnection, RawListener, Waitable};
use crate::{Bytes, Context, Error, Result, Wait};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// The time that a peer has to prove that it has the key, by default: 5 seconds.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// A connection whose peer has proved itself, as the typed methods use it.
struct Admitted(Arc<dyn RawConnection>);

impl Admitted {
    fn poll(&self, wait: Wait) -> Result<()> {
        self.0.poll(wait)
    }
}

impl Values for Admitted {
    fn send_value<T: Serialize + ?Sized>(&self, value: &T, wait: Wait) -> Result<()> {
        with_encoded(value, |bytes, handles| {
            if !handles.is_empty() {
                // What a handle stands for is not there for a program of another family.
                return Err(Error::ForeignHandle);
            }
            if bytes.len() > MAX_MESSAGE {
                return Err(Error::TooLarge { size: bytes.len(), limit: MAX_MESSAGE });
            }
            self.0.send(bytes, wait)
        })
    }

    fn recv_value<T: DeserializeOwned>(&self, wait: Wait) -> Result<T> {
        with_received(|message| {
            message.handles.clear();
            self.0.recv(&mut message.bytes, MAX_MESSAGE, wait).map(|()| None)
        })
    }
}

/// One end of a connection between two programs that have the same key. Message boundaries are
/// kept. Unlike a [`crate::Pipe`] it carries no handles, and does not travel.
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let to_server = ctx.connect::<String>("greeter", b"a shared secret")?;
/// to_server.send("hello")?;
/// println!("{}", to_server.recv()?);
/// # Ok(()) }
/// ```
pub struct Connection<T> {
    raw: Admitted,
    of: PhantomData<fn(T) -> T>,
}

sends!(Connection);
receives!(Connection);

impl<T> Connection<T> {
    /// For [`crate::ready`]: ready when a `recv` would not block.
    ///
    /// ```no_run
    /// # use procbox_core::{Connection, Context, Listener, Result, Wait, ready};
    /// # fn example(ctx: Context, listener: Listener, client: Connection<String>) -> Result<()> {
    /// for index in ready(&ctx, &[listener.waitable(), client.waitable()], Wait::Forever)? {
    ///     match index {
    ///         0 => drop(listener.accept::<String>()?),
    ///         _ => println!("{}", client.recv()?),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn waitable(&self) -> Waitable {
        Waitable::Connection(self.raw.0.clone())
    }

    fn new(raw: Arc<dyn RawConnection>) -> Connection<T> {
        Connection { raw: Admitted(raw), of: PhantomData }
    }
}

impl<T> fmt::Debug for Connection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

/// A listener, to which clients come. One that does not have the key is refused, and the next may
/// come.
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let listener = ctx.listen("greeter", b"a shared secret")?;
/// loop {
///     match listener.accept::<String>() {
///         Ok(client) => client.send(&format!("you said {}", client.recv()?))?,
///         Err(procbox_core::Error::AuthenticationFailed(why)) => eprintln!("refused: {why}"),
///         Err(e) => return Err(e),
///     }
/// }
/// # }
/// ```
pub struct Listener {
    raw: Arc<dyn RawListener>,
    key: Bytes,
    handshake: Duration,
    sources: Sources,
}

impl Listener {
    /// The time that a client has to prove that it has the key. Default: 5 seconds. Clients are
    /// heard one after another, so a silent one keeps the next waiting for as long.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let listener = ctx.listen("greeter", b"a shared secret")?;
    /// let listener = listener.handshake_timeout(Duration::from_millis(100));
    /// let client = listener.accept::<String>()?;
    /// # drop(client);
    /// # Ok(()) }
    /// ```
    pub fn handshake_timeout(mut self, timeout: Duration) -> Listener {
        self.handshake = timeout;
        self
    }

    /// The address under which it listens.
    ///
    /// ```no_run
    /// # use procbox_core::Address;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let listener = ctx.listen(([127, 0, 0, 1], 0), b"a shared secret")?;
    /// let Address::Tcp(address) = listener.address() else { unreachable!() };
    /// assert_ne!(address.port(), 0); // a free one was found
    /// # Ok(()) }
    /// ```
    pub fn address(&self) -> &Address {
        self.raw.address()
    }

    /// For [`crate::ready`]: ready when somebody has come, whoever that is.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// use procbox_core::{Wait, ready};
    /// let listener = ctx.listen("greeter", b"a shared secret")?;
    /// ready(&ctx, &[listener.waitable()], Wait::Forever)?;
    /// let client = listener.try_accept::<String>()?;
    /// # drop(client);
    /// # Ok(()) }
    /// ```
    pub fn waitable(&self) -> Waitable {
        Waitable::Listener(self.raw.clone())
    }

    /// Waits for a client and lets it in.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let listener = ctx.listen("greeter", b"a shared secret")?;
    /// let client = listener.accept::<String>()?;
    /// client.send("welcome")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::AuthenticationFailed`] if it did not prove in time that it has the key: it is gone,
    /// and the listener goes on. [`Error::Interrupted`] on Ctrl-C, [`Error::Os`].
    pub fn accept<T>(&self) -> Result<Connection<T>> {
        self.accept_within(Wait::Forever)
    }

    /// Like [`Listener::accept`], for a client that comes within `timeout`. The time that it then has
    /// to prove itself comes on top.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let listener = ctx.listen("greeter", b"a shared secret")?;
    /// let client = listener.accept_timeout::<String>(Duration::from_millis(10));
    /// assert_eq!(client.err(), Some(Error::TimedOut)); // nobody came
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Listener::accept`], and [`Error::TimedOut`].
    pub fn accept_timeout<T>(&self, timeout: Duration) -> Result<Connection<T>> {
        self.accept_within(Wait::AtMost(timeout))
    }

    /// Like [`Listener::accept`], for a client that has come already.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let listener = ctx.listen("greeter", b"a shared secret")?;
    /// while let Ok(client) = listener.try_accept::<String>() {
    ///     client.send("welcome")?;
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Listener::accept`], and [`Error::TimedOut`].
    pub fn try_accept<T>(&self) -> Result<Connection<T>> {
        self.accept_within(Wait::Never)
    }

    fn accept_within<T>(&self, wait: Wait) -> Result<Connection<T>> {
        let peer = self.raw.accept(wait)?;
        let until = Wait::AtMost(self.handshake).deadline(&*self.sources.clock);
        handshake::admit(&*peer, &self.key, until, &self.sources)?;
        Ok(Connection::new(peer))
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.address())
    }
}

/// A key that proves nothing is a mistake of whoever wrote it.
fn check_key(key: &[u8]) -> Result<()> {
    if key.is_empty() { Err(Error::Invalid("the authkey is empty".into())) } else { Ok(()) }
}

impl Context {
    /// A listener under an address, for clients that have this key. Without a better one take
    /// [`crate::raw::Identity::authkey`], which the processes of one program share.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let key = ctx.current_process().authkey;
    /// let listener = ctx.listen("greeter", &key)?;
    /// let second = ctx.listen("greeter", &key);
    /// assert_eq!(second.err(), Some(Error::AddressInUse("greeter".into())));
    /// # drop(listener);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::AddressInUse`], [`Error::NotGranted`] in the sandbox for an address that is not a
    /// name, [`Error::Invalid`] for an empty key or an address that makes no sense, [`Error::Os`].
    pub fn listen(&self, address: impl Into<Address>, key: &[u8]) -> Result<Listener> {
        check_key(key)?;
        let raw = self.raw().listen(&address.into().checked()?)?;
        Ok(Listener {
            raw,
            key: Bytes(key.to_vec()),
            handshake: HANDSHAKE,
            sources: Sources::of(self),
        })
    }

    /// A connection to whoever listens under an address and has the same key. Waits for its turn.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let refused = ctx.connect::<String>("nobody", b"a shared secret");
    /// assert_eq!(refused.err(), Some(Error::ConnectionRefused("nobody".into())));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ConnectionRefused`] if nobody listens there, [`Error::AuthenticationFailed`] if one
    /// side does not accept the other, [`Error::Interrupted`] on Ctrl-C, and those of
    /// [`Context::listen`].
    pub fn connect<T>(&self, address: impl Into<Address>, key: &[u8]) -> Result<Connection<T>> {
        self.connect_within(&address.into(), key, Wait::Forever)
    }

    /// Like [`Context::connect`], for at most `timeout`.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let (key, soon) = (b"a shared secret", Duration::from_millis(10));
    /// let listener = ctx.listen("greeter", key)?; // but it accepts nobody
    /// let late = ctx.connect_timeout::<String>("greeter", key, soon);
    /// assert_eq!(late.err(), Some(Error::TimedOut));
    /// # drop(listener);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Context::connect`], and [`Error::TimedOut`] if the listener did not turn to it.
    pub fn connect_timeout<T>(
        &self,
        address: impl Into<Address>,
        key: &[u8],
        timeout: Duration,
    ) -> Result<Connection<T>> {
        self.connect_within(&address.into(), key, Wait::AtMost(timeout))
    }

    fn connect_within<T>(
        &self,
        address: &Address,
        key: &[u8],
        wait: Wait,
    ) -> Result<Connection<T>> {
        check_key(key)?;
        let sources = Sources::of(self);
        let until = wait.deadline(&*sources.clock);
        let peer = self.raw().connect(&address.clone().checked()?, until.wait(&*sources.clock))?;
        handshake::apply(&*peer, key, until, HANDSHAKE, &sources)?;
        Ok(Connection::new(peer))
    }
}
