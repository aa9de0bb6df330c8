//! The side that is looked at.

use super::PREFIX;
use super::table::Table;
use nix::sys::socket::{Shutdown, getsockopt, shutdown, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use procbox_core::observe::{self, Subscription};
use std::fmt;
use std::io::{Error, ErrorKind, Result, Write};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The time that one who looks has to take what is told.
const PATIENCE: Duration = Duration::from_secs(1);
/// The names that are tried, if others have the first.
const NAMES: usize = 32;

/// A process that lets others look, until this is dropped.
#[must_use = "nobody can look once it is dropped"]
pub struct Offer {
    listener: Arc<UnixListener>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _subscription: Subscription,
}

/// Lets the same user, and root, look at what this process's contexts, pools and processes are at,
/// from now on: by `procbox top`, or by [`running`](super::running). Say it before you make contexts:
/// locks and queues that are older cannot be seen.
///
/// ```
/// let offer = procbox::watch::offer()?;
/// let me = procbox::watch::running()?.into_iter().find(|it| it.pid() == std::process::id());
/// assert_eq!(me.unwrap().snapshot()?.alive, 0);
/// drop(offer);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Those of the system when it makes a socket or a thread.
pub fn offer() -> Result<Offer> {
    let listener = Arc::new(bind()?);
    let table = Arc::new(Table::new());
    let ended = Arc::new(AtomicBool::new(false));
    let subscription = observe::subscribe(table.clone());
    let (accepts, over) = (listener.clone(), ended.clone());
    let work = move || answer_all(&accepts, &over, &table);
    let thread = std::thread::Builder::new().name("procbox-watch".into()).spawn(work)?;
    Ok(Offer { listener, ended, thread: Some(thread), _subscription: subscription })
}

/// A listener under a name of this process. Another user may have taken one, to be in the way.
fn bind() -> Result<UnixListener> {
    let name = format!("{PREFIX}/{}/{}", geteuid(), std::process::id());
    let mut refused = Error::from(ErrorKind::AddrInUse);
    for n in 0..NAMES {
        let name = if n == 0 { name.clone() } else { format!("{name}/{n}") };
        match UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?) {
            Err(e) if e.kind() == ErrorKind::AddrInUse => refused = e,
            bound => return bound,
        }
    }
    Err(refused)
}

fn answer_all(listener: &UnixListener, ended: &AtomicBool, table: &Table) {
    while !ended.load(Ordering::Acquire) {
        match listener.accept() {
            // Whoever asked may have gone, or take too long: that is its own affair.
            Ok((stream, _)) => drop(answer(&stream, table)),
            // As for want of descriptors, which may be there again in a moment.
            Err(_) if !ended.load(Ordering::Acquire) => std::thread::sleep(PATIENCE / 10),
            Err(_) => {}
        }
    }
}

fn answer(mut stream: &UnixStream, table: &Table) -> Result<()> {
    let asks = getsockopt(&stream, PeerCredentials)?.uid();
    if asks != geteuid().as_raw() && asks != 0 {
        return Ok(());
    }
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut text = serde_json::to_vec(&table.snapshot())?;
    text.push(b'\n');
    stream.write_all(&text)
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Offer")
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the thread out of `accept`.
        let _ = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}
