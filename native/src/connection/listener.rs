//! Listening sockets, and those who come to them.

use super::Socket;
use super::sockets::Place;
use crate::sync::poll::block;
use crate::syscalls::os;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, socket};
use procbox_core::raw::{RawConnection, RawListener, Watch};
use procbox_core::time::{Deadline, SystemClock};
use procbox_core::{Address, Error, Result, Wait};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// Names are in an abstract space that all programs of the machine share; this sets ours apart.
pub(super) const SPACE: &str = "procbox/";
/// A Unix socket whose backlog is full cannot be waited for; it is tried again after this.
const AGAIN: Duration = Duration::from_millis(2);

enum Listening {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// A listening socket.
pub(crate) struct NativeListener {
    socket: Listening,
    address: Address,
    /// Among the sockets that are watched.
    place: Place,
}

impl NativeListener {
    fn fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Listening::Unix(socket) => socket.as_fd(),
            Listening::Tcp(socket) => socket.as_fd(),
        }
    }

    /// Socket to poll while a client is awaited.
    pub(crate) fn awaited(&self) -> PollFd<'_> {
        PollFd::new(self.fd(), PollFlags::POLLIN)
    }

    /// True if somebody waits to be accepted.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(poll(&mut [self.awaited()], PollTimeout::ZERO), Ok(n) if n > 0)
    }
}

impl RawListener for NativeListener {
    fn accept(&self, wait: Wait) -> Result<Arc<dyn RawConnection>> {
        let until = wait.deadline(&SystemClock);
        loop {
            let came = match &self.socket {
                Listening::Unix(socket) => socket.accept().map(|(stream, _)| Socket::Unix(stream)),
                Listening::Tcp(socket) => socket.accept().map(|(stream, _)| Socket::Tcp(stream)),
            };
            match came {
                Ok(socket) => return socket.connection(),
                // A client that went away while it waited is nobody's fault.
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    block(vec![self.awaited()], until)?;
                }
                Err(e) => return Err(os("accept", e)),
            }
        }
    }

    fn address(&self) -> &Address {
        &self.address
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        self.place.watch(self.fd(), PollFlags::POLLIN, waker).map(Some)
    }
}

impl Drop for NativeListener {
    fn drop(&mut self) {
        self.place.close(self.fd());
        if let Address::Path(path) = &self.address {
            // It was made by us; if somebody else removed it, it is gone as it should be.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn unknown(address: &Address) -> Error {
    Error::Invalid(format!("{address} is not an address that a socket can have"))
}

/// The address of a Unix socket; `None` for TCP.
fn unix_address(address: &Address) -> Result<Option<SocketAddr>> {
    match address {
        Address::Name(name) => SocketAddr::from_abstract_name(format!("{SPACE}{name}")).map(Some),
        Address::Path(path) => SocketAddr::from_pathname(path).map(Some),
        _ => Ok(None),
    }
    .map_err(|_| unknown(address))
}

/// A listener under an address.
pub(crate) fn listen(address: &Address) -> Result<Arc<dyn RawListener>> {
    let failed = |e: std::io::Error| match e.kind() {
        ErrorKind::AddrInUse => Error::AddressInUse(address.to_string()),
        _ => os("listen", e),
    };
    let (socket, address) = match (unix_address(address)?, address) {
        (Some(at), _) => {
            let socket = UnixListener::bind_addr(&at).map_err(failed)?;
            socket.set_nonblocking(true).map_err(failed)?;
            (Listening::Unix(socket), address.clone())
        }
        (None, Address::Tcp(at)) => {
            let socket = TcpListener::bind(at).map_err(failed)?;
            socket.set_nonblocking(true).map_err(failed)?;
            let real = socket.local_addr().map_err(failed)?;
            (Listening::Tcp(socket), Address::Tcp(real))
        }
        (None, _) => return Err(unknown(address)),
    };
    Ok(Arc::new(NativeListener { socket, address, place: Place::default() }))
}

/// A connection to whoever listens under an address.
pub(crate) fn connect(address: &Address, wait: Wait) -> Result<Arc<dyn RawConnection>> {
    match (address, unix_address(address)?) {
        (_, Some(at)) => connect_unix(address, &at, wait.deadline(&SystemClock)),
        (Address::Tcp(at), None) => connect_tcp(address, at, wait.deadline(&SystemClock)),
        _ => Err(unknown(address)),
    }
}

fn connect_unix(
    address: &Address,
    at: &SocketAddr,
    until: Deadline,
) -> Result<Arc<dyn RawConnection>> {
    let raw = match (at.as_abstract_name(), at.as_pathname()) {
        (Some(name), _) => UnixAddr::new_abstract(name),
        (_, Some(path)) => UnixAddr::new(path),
        _ => return Err(unknown(address)),
    };
    let raw = raw.map_err(|_| unknown(address))?;
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    loop {
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)
            .map_err(|e| os("socket", e))?;
        match nix::sys::socket::connect(fd.as_raw_fd(), &raw) {
            Ok(()) => return Socket::Unix(fd.into()).connection(),
            Err(Errno::ECONNREFUSED | Errno::ENOENT) => {
                return Err(Error::ConnectionRefused(address.to_string()));
            }
            // The listener has as many waiting as it may.
            Err(Errno::EAGAIN) => {
                let again = until.min(Wait::AtMost(AGAIN).deadline(&SystemClock));
                if until.is_past(&SystemClock) {
                    return Err(Error::TimedOut);
                }
                match block(vec![PollFd::new(fd.as_fd(), PollFlags::empty())], again) {
                    Ok(()) | Err(Error::TimedOut) => {}
                    Err(e) => return Err(e),
                }
            }
            Err(Errno::EINTR) => {}
            Err(e) => return Err(os("connect", e)),
        }
    }
}

fn connect_tcp(
    address: &Address,
    at: &std::net::SocketAddr,
    until: Deadline,
) -> Result<Arc<dyn RawConnection>> {
    // On the loopback interface the answer comes at once, unless the backlog is full.
    let stream = match until.remaining(&SystemClock) {
        None => TcpStream::connect(at),
        Some(limit) => TcpStream::connect_timeout(at, limit.max(Duration::from_nanos(1))),
    };
    let stream = stream.map_err(|e| match e.kind() {
        ErrorKind::ConnectionRefused => Error::ConnectionRefused(address.to_string()),
        ErrorKind::TimedOut => Error::TimedOut,
        _ => os("connect", e),
    })?;
    Socket::Tcp(stream).connection()
}
