//! Whether a guest's descriptor can be read or written now: what `poll_oneoff` asks.
//!
//! A file always can. The standard input of the embedding program can when something is there, or its
//! end; its standard output when there is room. What is not open, or not for that, is an error.

use super::files::both;
use crate::print::Stream;
use crate::state::State;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use procbox_core::raw::{Input, Output};
use std::os::fd::AsFd;
use wasmtime::Caller;
use wasmtime_wasi::cli::StdinStream;
use wasmtime_wasi::p1::wasi_snapshot_preview1::{fd_fdstat_get, fd_filestat_get, fd_tell};
use wiggle::GuestMemory;

const EBADF: u16 = 8;

/// Where the file type is in a `fdstat`, and where the size is in a `filestat`, of so many bytes.
const FDSTAT_TYPE: usize = 0;
const FILESTAT_SIZE: usize = 32;
const FILESTAT: usize = 64;
const REGULAR: u8 = 4;

/// What one wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Write,
}

/// How it stands with that.
#[derive(Clone, Copy, Debug)]
pub(super) enum Readiness {
    /// It can be done: with so many bytes, if that is known.
    Ready(u64),
    /// It cannot: an error number.
    Failed(u16),
    /// When the embedding program's stdin has something, or its end.
    Stdin,
    /// When this stream of the embedding program's has room.
    Room(Stream),
}

impl Readiness {
    /// It can be done, nobody knows with how many bytes.
    pub(super) const SOME: Readiness = Readiness::Ready(1);

    pub(super) fn is_known(&self) -> bool {
        matches!(self, Readiness::Ready(_) | Readiness::Failed(_))
    }

    /// Looks again, without waiting.
    pub(super) fn look(&mut self) {
        let can = match self {
            Readiness::Stdin => is_ready(std::io::stdin().as_fd(), PollFlags::POLLIN),
            Readiness::Room(Stream::Stdout) => {
                is_ready(std::io::stdout().as_fd(), PollFlags::POLLOUT)
            }
            Readiness::Room(Stream::Stderr) => {
                is_ready(std::io::stderr().as_fd(), PollFlags::POLLOUT)
            }
            Readiness::Ready(_) | Readiness::Failed(_) => return,
        };
        if can {
            *self = Readiness::SOME;
        }
    }

    /// Waits until the embedding program's stdin has something, or its end. It is read then, on a thread
    /// of wasmtime-wasi's, which keeps it for whoever reads.
    pub(super) async fn until_stdin() {
        std::io::stdin().p2_stream().ready().await;
    }
}

/// Whether the system would not have one wait. Of what it cannot tell the call itself does.
fn is_ready(fd: std::os::fd::BorrowedFd<'_>, flags: PollFlags) -> bool {
    let mut fds = [PollFd::new(fd, flags)];
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(_) => fds[0].revents().is_none_or(|events| !events.is_empty()),
        Err(_) => true,
    }
}

/// How it stands with a descriptor of a guest's.
///
/// # Errors
/// Those of wasmtime-wasi that are traps.
pub(super) async fn fd_readiness(
    caller: &mut Caller<'_, State>,
    fd: i32,
    way: Way,
) -> wasmtime::Result<Readiness> {
    let state = caller.data();
    // In a simulation the embedding program's streams are no part of what happens.
    let is_virtual = state.process.runtime.clock().is_virtual();
    let of_host = |output: Output, own: Stream| match output {
        _ if is_virtual => Readiness::SOME,
        Output::Inherit => Readiness::Room(own),
        Output::Stderr => Readiness::Room(Stream::Stderr),
        _ => Readiness::SOME,
    };
    let stdio = state.stdio.iter().position(|own| *own == fd && fd >= 0);
    match (stdio, way) {
        (Some(0), Way::Read) if !is_virtual && matches!(state.spec.stdin, Input::Inherit) => {
            return Ok(Readiness::Stdin);
        }
        (Some(0), Way::Read) => return Ok(Readiness::SOME),
        (Some(1), Way::Write) => return Ok(of_host(state.spec.stdout, Stream::Stdout)),
        (Some(2), Way::Write) => return Ok(of_host(state.spec.stderr, Stream::Stderr)),
        (Some(_), _) => return Ok(Readiness::Failed(EBADF)),
        (None, _) => {}
    }
    let (wasi, _) = both(caller);
    // A memory of our own, for the answers.
    let mut own = [0; FILESTAT];
    let answer = fd_fdstat_get(wasi, &mut GuestMemory::Unshared(&mut own), fd, 0).await?;
    if answer != 0 {
        return Ok(Readiness::Failed(u16::try_from(answer).unwrap_or(EBADF)));
    }
    if way == Way::Write || own[FDSTAT_TYPE] != REGULAR {
        return Ok(Readiness::SOME);
    }
    let answer = fd_filestat_get(wasi, &mut GuestMemory::Unshared(&mut own), fd, 0).await?;
    let size = number(&own, FILESTAT_SIZE).filter(|_| answer == 0);
    let answer = fd_tell(wasi, &mut GuestMemory::Unshared(&mut own), fd, 0)?;
    let at = number(&own, 0).filter(|_| answer == 0);
    let left = size.zip(at).map(|(size, at)| size.saturating_sub(at));
    Ok(left.map_or(Readiness::SOME, Readiness::Ready))
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}
