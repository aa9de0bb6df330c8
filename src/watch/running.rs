//! The side that looks.

use super::PREFIX;
use super::snapshot::Snapshot;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use std::io::{Error, ErrorKind, Read, Result};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

/// The time that a process has to answer: it may be stopped.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most that it may say.
const MOST: u64 = 64 << 20;
/// The flag of a socket in /proc/net/unix that listens.
const LISTENS: &str = "00010000";

/// An OS process that can be looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Running {
    pid: u32,
    user: u32,
    name: String,
}

/// The OS processes that this user can look at; root sees those of all users.
///
/// ```
/// for there in procbox::watch::running()? {
///     println!("{}", there.pid());
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// If /proc/net/unix cannot be read.
pub fn running() -> Result<Vec<Running>> {
    let me = geteuid().as_raw();
    let sockets = std::fs::read_to_string("/proc/net/unix")?;
    let mut found: Vec<_> = sockets
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, _, _, LISTENS, _, _, _, name] = fields[..] else { return None };
            let name = name.strip_prefix('@')?;
            let mut words = name.strip_prefix(PREFIX)?.strip_prefix('/')?.split('/');
            let user = words.next()?.parse().ok()?;
            let pid = words.next()?.parse().ok()?;
            (me == 0 || user == me).then(|| Running { pid, user, name: name.into() })
        })
        .collect();
    found.sort();
    Ok(found)
}

impl Running {
    /// The pid of the process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How things are there now.
    ///
    /// # Errors
    /// If it has gone, is of another user than its socket says, or does not answer, as one that is
    /// stopped.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let mut stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(&self.name)?)?;
        let who = getsockopt(&stream, PeerCredentials)?.uid();
        if who != self.user {
            return Err(Error::new(ErrorKind::PermissionDenied, "another user listens there"));
        }
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut text = Vec::new();
        (&mut stream).take(MOST).read_to_end(&mut text).map_err(|e| match e.kind() {
            ErrorKind::WouldBlock => Error::new(ErrorKind::TimedOut, "it does not answer"),
            _ => e,
        })?;
        Ok(serde_json::from_slice(&text)?)
    }
}
