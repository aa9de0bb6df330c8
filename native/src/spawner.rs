//! The parent's side of starting: a thread that starts programs, and the link to the zygote.
//!
//! The death signal that ends daemons fires when the *thread* that forked dies, so all forks are
//! done by one thread that lives as long as the context. It execs the zygote; the zygote makes the
//! worker processes, on requests that any thread of the parent may send.

use crate::program::Program;
use crate::sys;
use crate::zygote::{ENVIRONMENT, HAS_STDIN, HAS_STDOUT};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, setsockopt,
    socketpair, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use procbox_core::{Error, Result};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError, mpsc};

/// How long a program has to become a zygote. One that never calls `init` would not.
const HELLO_SECONDS: i64 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// The thread that forks.
pub(crate) struct Spawner {
    jobs: Mutex<mpsc::Sender<Job>>,
}

impl Spawner {
    pub(crate) fn new() -> Result<Spawner> {
        let (sender, jobs) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("procbox-spawner".into())
            .spawn(move || {
                // What it forks is not to run this program's handler before it is executed.
                sys::block_sigint();
                jobs.into_iter().for_each(|job| job());
            })
            .map_err(|e| Error::os("thread", e))?;
        Ok(Spawner { jobs: Mutex::new(sender) })
    }

    /// Starts a command on the thread.
    pub(crate) fn spawn(&self, program: &Program, mut command: Command) -> Result<Child> {
        let (sender, result) = mpsc::channel();
        let job: Job = Box::new(move || {
            let _ = sender.send(command.spawn());
        });
        let gone = || Error::os("spawner", "its thread is gone");
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.send(job).map_err(|_| gone())?;
        drop(jobs);
        result.recv().map_err(|_| gone())?.map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound(program.path().to_path_buf()),
            std::io::ErrorKind::OutOfMemory | std::io::ErrorKind::WouldBlock => {
                Error::Exhausted("processes".into())
            }
            _ => {
                let program = program.path().display().to_string();
                Error::NotRunnable { program, why: e.to_string() }
            }
        })
    }
}

/// A running zygote.
pub(crate) struct Zygote {
    socket: Option<OwnedFd>,
    process: Child,
}

impl Zygote {
    /// Executes the program as a zygote and waits for its hello.
    pub(crate) fn start(
        spawner: &Spawner,
        program: &Program,
        environment: &[(String, String)],
        arena: RawFd,
    ) -> Result<Zygote> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .map_err(|e| Error::os("socketpair", e))?;
        let mut command = Command::new(program.path());
        command.arg("--procbox-zygote").envs(environment.iter().cloned());
        command.env(ENVIRONMENT, format!("{},{arena}", theirs.as_raw_fd()));
        sys::hold_interrupts_of(&mut command);
        sys::pass_fds(&mut command, vec![theirs.as_raw_fd(), arena]);
        let process = spawner.spawn(program, command)?;
        drop(theirs);
        let mut zygote = Zygote { socket: Some(ours), process };
        zygote.expect_hello(program)?;
        Ok(zygote)
    }

    fn expect_hello(&mut self, program: &Program) -> Result<()> {
        let Some(socket) = &self.socket else { return Err(Error::Closed) };
        let patience = TimeVal::seconds(HELLO_SECONDS);
        setsockopt(socket, sockopt::ReceiveTimeout, &patience)
            .map_err(|e| Error::os("setsockopt", e))?;
        if self.reply() == Ok(0) {
            let Some(socket) = &self.socket else { return Err(Error::Closed) };
            return setsockopt(socket, sockopt::ReceiveTimeout, &TimeVal::zero())
                .map_err(|e| Error::os("setsockopt", e));
        }
        let _ = self.process.kill();
        Err(Error::NotRunnable {
            program: program.path().display().to_string(),
            why: "it did not call procbox's init first in main".into(),
        })
    }

    /// Has the zygote make a process for a slot; its pid, or what the zygote's kernel said.
    /// An error means that the zygote is gone.
    pub(crate) fn fork(
        &mut self,
        slot: u32,
        stdin: Option<RawFd>,
        stdout: Option<RawFd>,
    ) -> Result<std::result::Result<i32, std::io::Error>> {
        let Some(socket) = &self.socket else { return Err(Error::Closed) };
        let flag = |fd: Option<RawFd>, flag| if fd.is_some() { flag } else { 0 };
        let flags = flag(stdin, HAS_STDIN) | flag(stdout, HAS_STDOUT);
        let request = (u64::from(flags) << 32 | u64::from(slot)).to_ne_bytes();
        let fds: Vec<RawFd> = stdin.into_iter().chain(stdout).collect();
        let rights = [ControlMessage::ScmRights(&fds)];
        let control = if fds.is_empty() { &[][..] } else { &rights[..] };
        let bytes = [IoSlice::new(&request)];
        sendmsg::<()>(socket.as_raw_fd(), &bytes, control, MsgFlags::MSG_NOSIGNAL, None)
            .map_err(|e| Error::os("zygote", e))?;
        Ok(match self.reply()? {
            error if error < 0 => Err(std::io::Error::from_raw_os_error(-error as i32)),
            pid => Ok(pid as i32),
        })
    }

    fn reply(&self) -> Result<i64> {
        let Some(socket) = &self.socket else { return Err(Error::Closed) };
        let mut reply = [0; 8];
        loop {
            match recv(socket.as_raw_fd(), &mut reply, MsgFlags::empty()) {
                Ok(8) => return Ok(i64::from_ne_bytes(reply)),
                Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return Err(Error::os("zygote", "it ended unexpectedly")),
                Err(e) => return Err(Error::os("zygote", e)),
            }
        }
    }
}

impl Drop for Zygote {
    /// The zygote ends when its socket does; it is reaped here.
    fn drop(&mut self) {
        self.socket = None;
        let _ = self.process.wait();
    }
}
