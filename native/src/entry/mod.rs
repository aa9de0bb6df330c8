//! The zygote: the program, executed once, that forks a process for each start.
//!
//! It has one thread and holds no lock when it forks, so the fork is safe, quick (it is small) and
//! the same each time. The new process is the child of the zygote's parent. The request is a slot
//! of the process table, where the parent has put the rest; docs/native.md has the protocol.

mod early;
mod first;
mod life;
mod reseed;

use crate::arena::Arena;
use crate::arena::slots::Claim;
use crate::start::request::{ENVIRONMENT, ForkRequest, HELLO, descriptors};
use crate::sync::thread;
use crate::syscalls::os;
use crate::syscalls::{self, Fork};
use crate::{kinds, signals};
use first::First;
use life::Start;
use nix::sys::prctl;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, send};
use procbox_core::Result;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

pub(crate) use early::keep;

/// Becomes a zygote if the environment says so; the zygote does not come back.
///
/// The loader calls it before `main`, so that nothing of the program's own runs in a zygote: neither
/// the `main` of a program that uses procbox in a library, nor a test harness.
fn enter() {
    let Ok(value) = std::env::var(ENVIRONMENT) else { return };
    if !syscalls::is_only_thread() {
        eprintln!("error: procbox: a constructor of this program started a thread");
        syscalls::exit_now(2);
    }
    // As the runtime does on the way to `main`: a write to a pipe that is gone is an error, not an end.
    signals::ignore_broken_pipes();
    // SAFETY: it was just made sure that there is no other thread.
    unsafe { syscalls::remove_env(ENVIRONMENT) };
    let Some((socket, arena)) = descriptors(&value) else {
        eprintln!("error: {ENVIRONMENT}={value} is not what procbox sets");
        syscalls::exit_now(2);
    };
    // SAFETY: the parent had this program inherit the two, which are different, and nobody in it knows
    // of them.
    let (socket, arena) = unsafe { (syscalls::own(socket), syscalls::own(arena)) };
    let code = match run(socket, arena) {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("error: procbox's zygote: {e}");
            1
        }
    };
    syscalls::exit_now(code);
}

fn run(socket: OwnedFd, arena: OwnedFd) -> Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    for fd in [&socket, &arena] {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|e| os("fcntl", e))?;
    }
    let arena = Arena::attach(arena, &kinds::ABOVE)?;
    // Ctrl-C goes to the whole group; the parent decides what becomes of it.
    signals::hold_interrupts();
    let _ = prctl::set_name(c"procbox-zygote");
    thread::before_fork();
    life::warm_up();
    reply(&socket, HELLO)?;
    while let Some(request) = next_request(&socket)? {
        let start = match request {
            Request::Fork(start) => start,
            Request::First(first) => {
                reply(&socket, first.run())?;
                continue;
            }
        };
        // SAFETY: there was one thread in `enter`, and a zygote starts none.
        match unsafe { syscalls::fork_sibling() } {
            Ok(Fork::Child) => {
                drop(socket);
                life::live(arena, start);
            }
            Ok(Fork::Parent(pid)) => reply(&socket, pid.into())?,
            Err(e) => reply(&socket, -i64::from(e.raw_os_error().unwrap_or(1)))?,
        }
    }
    Ok(())
}

/// What the parent wants.
enum Request {
    Fork(Start),
    First(First),
}

fn reply(socket: &OwnedFd, value: i64) -> Result<()> {
    match send(socket.as_raw_fd(), &value.to_ne_bytes(), MsgFlags::MSG_NOSIGNAL) {
        // A parent that is gone is found out by the next request that does not come.
        Ok(_) | Err(nix::errno::Errno::EPIPE) => Ok(()),
        Err(e) => Err(os("send", e)),
    }
}

/// The next request with the descriptors sent along; `None` when the parent is gone.
fn next_request(socket: &OwnedFd) -> Result<Option<Request>> {
    let mut request = [0; ForkRequest::SIZE];
    let mut bytes = [IoSliceMut::new(&mut request)];
    let mut control = nix::cmsg_space!([RawFd; 3]);
    let received = loop {
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(socket.as_raw_fd(), &mut bytes, Some(&mut control), flags) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(nix::errno::Errno::ECONNRESET) => return Ok(None),
            other => break other.map_err(|e| os("recvmsg", e))?,
        }
    };
    let mut fds = Vec::new();
    for message in received.cmsgs().map_err(|e| os("recvmsg", e))? {
        if let ControlMessageOwned::ScmRights(rights) = message {
            // SAFETY: the kernel has made them for this process with this message.
            fds.extend(rights.into_iter().map(|fd| unsafe { syscalls::own(fd) }));
        }
    }
    if received.bytes != request.len() {
        return Ok(None);
    }
    let request = ForkRequest::decode(request);
    let mut fds = fds.into_iter();
    let file = if request.first { fds.next() } else { None };
    let stdin = if request.stdin { fds.next() } else { None };
    let stdout = if request.stdout { fds.next() } else { None };
    let claim = Claim { slot: request.slot, generation: request.generation };
    Ok(Some(match file {
        Some(file) => Request::First(First { file, stdin, stdout }),
        None => Request::Fork(Start { claim, stdin, stdout }),
    }))
}
