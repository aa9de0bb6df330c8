//! Waiting for descriptors, and for Ctrl-C on a thread that answers it.

use super::interrupted;
use crate::syscalls::os;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use procbox_core::time::{Deadline, SystemClock};
use procbox_core::{Error, Result};
use std::time::Duration;

/// A year is the longest that the kernel is asked for; the caller asks again.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Blocks until one of these has what is polled for, it is time to look again, or Ctrl-C.
///
/// # Errors
/// [`Error::TimedOut`] if the deadline has passed already, [`Error::Interrupted`], [`Error::Os`].
pub(crate) fn block(mut fds: Vec<PollFd<'_>>, until: Deadline) -> Result<()> {
    if until.is_past(&SystemClock) {
        return Err(Error::TimedOut);
    }
    let watched = interrupted::watched_fd();
    fds.extend(watched.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
    let timeout = until.remaining(&SystemClock).map(|d| TimeSpec::from(d.min(LONGEST)));
    match ppoll(&mut fds, timeout, None) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(e) => return Err(os("poll", e)),
    }
    if watched.is_some() && interrupted::is_set() { Err(Error::Interrupted) } else { Ok(()) }
}
