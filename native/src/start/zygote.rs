//! The link to a zygote, which makes the worker processes on requests that any thread of the parent
//! may send.

use super::request::{ENVIRONMENT, ForkRequest, HELLO, environment};
use super::settle::Answer;
use super::spawner::Spawner;
use super::{Setup, first};
use crate::arena::slots::Claim;
use crate::program::Program;
use crate::syscalls::os;
use crate::{signals, syscalls};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, setsockopt,
    socketpair, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use procbox_core::{Error, Result};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::{Child, ExitStatus, Stdio};

/// Seconds that a program has to become a zygote: its constructors run before.
const HELLO_SECONDS: i64 = 10;

/// Seconds that a zygote has to fork. One that takes longer is stopped, and is replaced.
const FORK_SECONDS: i64 = 2;

/// A running zygote.
pub(crate) struct Zygote {
    socket: Option<OwnedFd>,
    process: Child,
}

impl Zygote {
    /// Executes the program as a zygote and waits for its hello.
    pub(crate) fn start(spawner: &Spawner, setup: &Setup, arena: RawFd) -> Result<Zygote> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .map_err(|e| os("socketpair", e))?;
        let mut command = setup.command();
        command.arg("--procbox-zygote");
        command.env(ENVIRONMENT, environment(theirs.as_raw_fd(), arena));
        // What it forks has this input, unless it is given another.
        command.stdin(Stdio::null());
        signals::hold_interrupts_of(&mut command);
        syscalls::pass_fds(&mut command, vec![theirs.as_raw_fd(), arena]);
        setup.confine(&mut command);
        let process = spawner.spawn(&setup.program, command)?;
        drop(theirs);
        let mut zygote = Zygote { socket: Some(ours), process };
        zygote.expect_hello(&setup.program)?;
        if let Some(first) = &setup.first {
            first::run(&mut zygote, &setup.program, first)?;
        }
        Ok(zygote)
    }

    /// The socket to it.
    pub(super) fn socket(&self) -> Result<&OwnedFd> {
        self.socket.as_ref().ok_or(Error::Closed)
    }

    /// Its number; it was not reaped.
    pub(super) fn pid(&self) -> i32 {
        self.process.id() as i32
    }

    /// How it has ended, when it has.
    pub(super) fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.process.wait()
    }

    /// Sends a request with these descriptors.
    pub(super) fn send(&self, request: ForkRequest, fds: &[RawFd]) -> Result<()> {
        let request = request.encode();
        let rights = [ControlMessage::ScmRights(fds)];
        let control = if fds.is_empty() { &[][..] } else { &rights[..] };
        let bytes = [IoSlice::new(&request)];
        let socket = self.socket()?.as_raw_fd();
        let sent = sendmsg::<()>(socket, &bytes, control, MsgFlags::MSG_NOSIGNAL, None);
        sent.map(drop).map_err(|e| os("zygote", e))
    }

    fn expect_hello(&mut self, program: &Program) -> Result<()> {
        let Some(socket) = &self.socket else { return Err(Error::Closed) };
        let patience = TimeVal::seconds(HELLO_SECONDS);
        setsockopt(socket, sockopt::ReceiveTimeout, &patience).map_err(|e| os("setsockopt", e))?;
        if self.reply() == Ok(HELLO) {
            let Some(socket) = &self.socket else { return Err(Error::Closed) };
            let patience = TimeVal::seconds(FORK_SECONDS);
            return setsockopt(socket, sockopt::ReceiveTimeout, &patience)
                .map_err(|e| os("setsockopt", e));
        }
        let _ = self.process.kill();
        Err(Error::NotRunnable {
            program: program.path().display().to_string(),
            why: "procbox did not take over before its main".into(),
        })
    }

    /// Has the zygote make a process for a slot; its pid, or what the zygote's kernel said.
    /// An error means that the zygote is gone, or stopped, and is to be dropped; it may have made the
    /// process before.
    pub(crate) fn fork(
        &mut self,
        claim: Claim,
        stdin: Option<RawFd>,
        stdout: Option<RawFd>,
    ) -> Answer {
        let request = ForkRequest {
            first: false,
            slot: claim.slot,
            generation: claim.generation,
            stdin: stdin.is_some(),
            stdout: stdout.is_some(),
        };
        let fds: Vec<RawFd> = stdin.into_iter().chain(stdout).collect();
        self.send(request, &fds)?;
        Ok(match self.reply()? {
            error if error < 0 => Err(std::io::Error::from_raw_os_error(-error as i32)),
            pid => Ok(pid as i32),
        })
    }

    /// Its next answer.
    pub(super) fn reply(&self) -> Result<i64> {
        let Some(socket) = &self.socket else { return Err(Error::Closed) };
        let mut reply = [0; 8];
        loop {
            match recv(socket.as_raw_fd(), &mut reply, MsgFlags::empty()) {
                Ok(8) => return Ok(i64::from_ne_bytes(reply)),
                Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return Err(Error::os("zygote", "it ended unexpectedly")),
                Err(e) => return Err(os("zygote", e)),
            }
        }
    }
}

impl Drop for Zygote {
    /// Ends the zygote, which has nothing to clean up and may be stopped, and reaps it.
    fn drop(&mut self) {
        self.socket = None;
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
