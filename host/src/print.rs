//! The embedding program's stdout and stderr, written to without ever holding a thread.
//!
//! Nobody may read them: a pipe fills up, a terminal is stopped. Then the guest that prints is
//! suspended, and looks again a little later; whatever ends it, ends it there.

use crate::runtime::Runtime;
use crate::sync::lock;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{SFlag, fstat};
use procbox_core::{Wait, printable};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The most that is written at once. A pipe that can be written to takes so much, whole.
pub(crate) const PIECE: usize = 4096;
/// How long one waits who finds no room, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(10));
/// How long a process that has ended waits for its last words to be taken.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// One of the two.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// One piece at a time, so that there is room for it when it is written.
static TURN: Mutex<()> = Mutex::new(());

impl Stream {
    pub(crate) fn is_terminal(self) -> bool {
        match self {
            Stream::Stdout => io::IsTerminal::is_terminal(&io::stdout()),
            Stream::Stderr => io::IsTerminal::is_terminal(&io::stderr()),
        }
    }

    /// Writes as much of it as there is room for, piece by piece: how much.
    ///
    /// # Errors
    /// Those of the write.
    pub(crate) fn print_now(self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        for piece in bytes.chunks(PIECE) {
            let of_piece = self.try_print(piece)?;
            written += of_piece;
            if of_piece < piece.len() {
                break;
            }
        }
        Ok(written)
    }

    /// Writes some of it, at least a byte, suspended for as long as there is no room: how much. Up to
    /// 4096 bytes into a pipe are one write, so lines stay whole.
    ///
    /// # Errors
    /// Those of the write.
    pub(crate) async fn print_some(
        self,
        runtime: &Arc<Runtime>,
        bytes: &[u8],
    ) -> io::Result<usize> {
        let mut pause = PAUSE.0;
        loop {
            let written = self.try_print(&bytes[..bytes.len().min(PIECE)])?;
            if written > 0 || bytes.is_empty() {
                return Ok(written);
            }
            runtime.sleep_until(Wait::AtMost(pause).deadline(&**runtime.clock())).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Writes as much of a piece as there is room for, which may be nothing.
    fn try_print(self, piece: &[u8]) -> io::Result<usize> {
        let _turn = lock(&TURN);
        let written = match self {
            Stream::Stdout => write(io::stdout().as_fd(), piece),
            Stream::Stderr => write(io::stderr().as_fd(), piece),
        };
        match written {
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            written => Ok(written?),
        }
    }
}

fn write(fd: BorrowedFd<'_>, piece: &[u8]) -> nix::Result<usize> {
    match SFlag::from_bits_truncate(fstat(fd)?.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFSOCK => send(fd.as_raw_fd(), piece, MsgFlags::MSG_DONTWAIT),
        SFlag::S_IFIFO => {
            let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
            poll(&mut fds, PollTimeout::ZERO)?;
            // An error shows in the write.
            if fds[0].revents().is_some_and(|events| !events.is_empty()) {
                nix::unistd::write(fd, piece)
            } else {
                Err(Errno::EAGAIN)
            }
        }
        // A terminal may take less than a piece, and hold who writes more: but not through an opening
        // of our own. Other devices, such as the null device, and files take all at once.
        SFlag::S_IFCHR if io::IsTerminal::is_terminal(&fd) => match terminal(fd) {
            Ok(own) => nix::unistd::write(own, piece),
            Err(_) => nix::unistd::write(fd, piece),
        },
        _ => nix::unistd::write(fd, piece),
    }
}

/// The same terminal, opened so that a write never waits.
fn terminal(fd: BorrowedFd<'_>) -> io::Result<File> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    std::fs::OpenOptions::new().write(true).custom_flags(flags).open(path)
}

/// How a process ended that could not say it itself: a line, and indented lines behind it, so that
/// none of the guest's making looks like another's.
pub(crate) fn last_words(name: &str, message: &str) -> String {
    let lines: Vec<_> = message.lines().map(|line| printable(line.trim())).collect();
    let mut text = format!("{}: {}", printable(name), lines.join("\n  "));
    text.truncate(text.floor_char_boundary(PIECE - 1));
    text.push('\n');
    text
}

/// Says on stderr how a process ended, if there is room for that now.
pub(crate) fn complain_now(name: &str, message: &str) {
    // If stderr is gone there is nobody to tell.
    let _ = Stream::Stderr.try_print(last_words(name, message).as_bytes());
}

/// Says on stderr how a process ended that could not say it itself.
pub(crate) async fn complain(runtime: &Arc<Runtime>, name: &str, message: &str) {
    let text = last_words(name, message);
    let deadline = Wait::AtMost(LAST_WORDS).deadline(&**runtime.clock());
    let mut pause = PAUSE.0;
    // If stderr is gone, or nobody reads it, there is nobody to tell.
    while let Ok(0) = Stream::Stderr.try_print(text.as_bytes()) {
        if deadline.is_past(&**runtime.clock()) {
            return;
        }
        runtime.sleep_until(Wait::AtMost(pause).deadline(&**runtime.clock())).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}
