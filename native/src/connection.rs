//! Connections between programs: Unix and loopback TCP sockets, with messages as frames.
//!
//! A frame is a message's length, four bytes little-endian, and its bytes. Sockets never block: a
//! call does what it can, and then polls until there is more to do, the wait ran out, or Ctrl-C. So a
//! peer that stops in the middle of a frame keeps nobody for longer than they would wait.

mod listener;
mod sockets;

pub(crate) use listener::{NativeListener, connect, listen};

use crate::sync::poll::block;
use crate::syscalls::os;
use nix::poll::{PollFd, PollFlags};
use procbox_core::raw::{MAX_MESSAGE, RawConnection, Watch};
use procbox_core::time::{Deadline, SystemClock};
use procbox_core::{Error, Result, Wait};
use sockets::Place;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// Most that one read takes.
const PER_READ: usize = 64 << 10;
/// Time that an end which is dropped tries to send the rest of a message.
const LINGER: Duration = Duration::from_secs(1);
/// The bytes of a frame before the message.
const HEADER: usize = 4;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket that does not block, used by several threads at once.
enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Socket {
    fn connection(self) -> Result<Arc<dyn RawConnection>> {
        let prepared = match &self {
            Socket::Unix(stream) => stream.set_nonblocking(true),
            Socket::Tcp(stream) => {
                stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true))
            }
        };
        prepared.map_err(|e| os("socket", e))?;
        let (incoming, unsent, place) = Default::default();
        Ok(Arc::new(NativeConnection { socket: self, incoming, unsent, place }))
    }

    fn read(&self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Socket::Unix(stream) => Read::read(&mut &*stream, into),
            Socket::Tcp(stream) => Read::read(&mut &*stream, into),
        }
    }

    fn write(&self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Socket::Unix(stream) => Write::write(&mut &*stream, bytes),
            Socket::Tcp(stream) => Write::write(&mut &*stream, bytes),
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Unix(stream) => stream.as_fd(),
            Socket::Tcp(stream) => stream.as_fd(),
        }
    }
}

/// The first frame that was not taken, as far as it was received.
#[derive(Default)]
struct Incoming {
    bytes: Vec<u8>,
    /// The peer is gone.
    ended: bool,
}

impl Incoming {
    /// The length of the message, once that is known.
    fn announced(&self) -> Option<usize> {
        self.bytes.first_chunk().map(|length| u32::from_le_bytes(*length) as usize)
    }

    fn is_complete(&self) -> bool {
        self.announced().is_some_and(|length| self.bytes.len() == HEADER + length)
    }

    /// Reads until the frame is complete, it is longer than `most`, or there is nothing to read.
    /// What is kept is never more than what came: a length alone reserves nothing.
    fn read(&mut self, from: &Socket, most: usize) -> Result<()> {
        let mut buffer = [0; PER_READ];
        loop {
            let whole = match self.announced() {
                None => HEADER,
                // It stays, and says so again: what follows cannot be told apart from a frame.
                Some(size) if size > most => return Err(Error::TooLarge { size, limit: most }),
                Some(length) => HEADER + length,
            };
            if self.ended || self.bytes.len() == whole {
                return Ok(());
            }
            let wanted = (whole - self.bytes.len()).min(PER_READ);
            match from.read(&mut buffer[..wanted]) {
                Ok(0) => self.ended = true,
                Ok(n) => self.bytes.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => self.ended = true,
            }
        }
    }
}

/// One end of a connection.
pub(crate) struct NativeConnection {
    socket: Socket,
    incoming: Mutex<Incoming>,
    /// The rest of a message that was sent in part.
    unsent: Mutex<Vec<u8>>,
    /// Among the sockets that are watched.
    place: Place,
}

impl NativeConnection {
    /// Socket, and what to poll it for while a message is awaited: what is unsent may be awaited by the
    /// peer.
    pub(crate) fn awaited(&self) -> PollFd<'_> {
        PollFd::new(self.socket.fd(), self.awaited_events())
    }

    fn awaited_events(&self) -> PollFlags {
        let mut events = PollFlags::POLLIN;
        if !lock(&self.unsent).is_empty() {
            events |= PollFlags::POLLOUT;
        }
        events
    }

    /// True if a `recv` would not block, after reading what has come so far.
    pub(crate) fn is_ready(&self) -> bool {
        self.poll(Wait::Never) != Err(Error::TimedOut)
    }

    /// Sends what can be sent of `unsent`; whether that was all.
    fn flush(&self, unsent: &mut Vec<u8>) -> Result<bool> {
        let mut written = 0;
        let all = loop {
            if written == unsent.len() {
                break Ok(true);
            }
            match self.socket.write(&unsent[written..]) {
                Ok(n) => written += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break Ok(false),
                Err(_) => break Err(Error::Closed),
            }
        };
        unsent.drain(..written);
        all
    }

    /// Waits until all was sent.
    fn drain(&self, until: Deadline) -> Result<()> {
        while !self.flush(&mut lock(&self.unsent))? {
            block(vec![PollFd::new(self.socket.fd(), PollFlags::POLLOUT)], until)?;
        }
        Ok(())
    }

    /// Waits until `found` has an answer in what was received, of which no message may be longer
    /// than `most`.
    fn until_received<T>(
        &self,
        most: usize,
        wait: Wait,
        mut found: impl FnMut(&mut Incoming) -> Option<T>,
    ) -> Result<T> {
        let until = wait.deadline(&SystemClock);
        loop {
            {
                let mut incoming = lock(&self.incoming);
                incoming.read(&self.socket, most)?;
                if let Some(found) = found(&mut incoming) {
                    return Ok(found);
                }
            }
            // The peer may wait for the rest. If it takes no more it may still have sent something.
            if self.flush(&mut lock(&self.unsent)).is_err() {
                lock(&self.unsent).clear();
            }
            block(vec![self.awaited()], until)?;
        }
    }
}

impl RawConnection for NativeConnection {
    fn send(&self, bytes: &[u8], wait: Wait) -> Result<()> {
        let size = bytes.len();
        let length = u32::try_from(size).ok().filter(|_| size <= MAX_MESSAGE);
        let length = length.ok_or(Error::TooLarge { size, limit: MAX_MESSAGE })?;
        let until = wait.deadline(&SystemClock);
        loop {
            {
                let mut unsent = lock(&self.unsent);
                if self.flush(&mut unsent)? {
                    unsent.extend_from_slice(&length.to_le_bytes());
                    unsent.extend_from_slice(bytes);
                    let before = unsent.len();
                    if self.flush(&mut unsent)? {
                        return Ok(());
                    }
                    if unsent.len() < before {
                        break;
                    }
                    unsent.clear();
                }
            }
            block(vec![PollFd::new(self.socket.fd(), PollFlags::POLLOUT)], until)?;
        }
        // A part is on its way. The rest goes now if there is time, or else with the next call.
        match self.drain(until) {
            Err(Error::TimedOut | Error::Interrupted) => Ok(()),
            drained => drained,
        }
    }

    fn recv(&self, into: &mut Vec<u8>, most: usize, wait: Wait) -> Result<()> {
        self.until_received(most, wait, |incoming| {
            if incoming.is_complete() {
                into.clear();
                into.extend_from_slice(&incoming.bytes[HEADER..]);
                incoming.bytes.clear();
                incoming.bytes.shrink_to(PER_READ);
                return Some(Ok(()));
            }
            incoming.ended.then_some(Err(Error::Closed))
        })?
    }

    fn poll(&self, wait: Wait) -> Result<()> {
        let ready = |incoming: &mut Incoming| incoming.is_complete() || incoming.ended;
        let polled =
            self.until_received(MAX_MESSAGE, wait, |incoming| ready(incoming).then_some(()));
        match polled {
            // The next `recv` says so.
            Err(Error::TooLarge { .. }) => Ok(()),
            polled => polled,
        }
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        self.place.watch(self.socket.fd(), self.awaited_events(), waker).map(Some)
    }
}

impl Drop for NativeConnection {
    fn drop(&mut self) {
        // What `send` took is sent, if the peer takes it.
        let _ = self.drain(Wait::AtMost(LINGER).deadline(&SystemClock));
        self.place.close(self.socket.fd());
    }
}

#[cfg(test)]
mod tests;
