//! The worker after which a zygote's processes begin, as the parent sees it: it is sent, and waited for
//! within its limits.

use super::request::{FirstRequest, ForkRequest, LEFT};
use super::zygote::Zygote;
use crate::limits::Limits;
use crate::program::Program;
use crate::stdio::Streams;
use crate::sync::interrupted;
use crate::syscalls::os;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procbox_core::raw::{Entry, Message, ProcessSpec};
use procbox_core::time::{Clock, SystemClock};
use procbox_core::{Bytes, Error, ExitStatus, Result};
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

/// Between two looks for Ctrl-C and at the limits.
const LOOK: Duration = Duration::from_millis(10);

/// Has a zygote run it, and waits until it has returned.
pub(super) fn run(zygote: &mut Zygote, program: &Program, spec: &ProcessSpec) -> Result<()> {
    let (Entry::Call(worker) | Entry::Serve(worker)) = &spec.entry else {
        return Err(Error::Unsupported("such an entry"));
    };
    let arguments = Bytes(spec.message.bytes.clone());
    let request = Message::of(&FirstRequest { worker: worker.clone(), arguments })?;
    let file = memfd_create(c"procbox-first", MFdFlags::MFD_CLOEXEC).map_err(|e| os("memfd", e))?;
    let mut file = File::from(file);
    file.write_all(&request.bytes).and_then(|()| file.rewind()).map_err(|e| os("memfd", e))?;
    let streams = Streams::of(spec)?;
    let (stdin, stdout) = (streams.stdin_fd(), streams.stdout_fd());
    let first = ForkRequest {
        first: true,
        slot: 0,
        generation: 0,
        stdin: stdin.is_some(),
        stdout: stdout.is_some(),
    };
    let fds: Vec<_> = [Some(file.as_raw_fd()), stdin, stdout].into_iter().flatten().collect();
    zygote.send(first, &fds)?;
    let limits = Limits::new(spec);
    let ended = match wait(zygote, &limits)? {
        Some(0) => return Ok(()),
        Some(code @ 1..) => ExitStatus::exited(code as i32),
        Some(left) => {
            let what = LEFT.get((-1 - left) as usize).copied().unwrap_or("something");
            let program = program.path().display().to_string();
            let why = format!("no process can begin after its worker: that still has {what}");
            return Err(Error::NotRunnable { program, why });
        }
        None => {
            let ended = zygote.wait().map_err(|e| os("wait", e))?;
            let signal = ended.signal().map(Signal::try_from).and_then(std::result::Result::ok);
            match (signal.and_then(|signal| limits.broken(signal)), ended.signal()) {
                (Some(limit), _) => ExitStatus::limited(limit),
                (None, Some(signal)) => ExitStatus::signaled(signal),
                (None, None) => ExitStatus::exited(ended.code().unwrap_or(1)),
            }
        }
    };
    let worker = spec.identity.name.clone();
    Err(Error::WorkerDied { worker, status: ended, attempts: 1, printed: None })
}

/// What the zygote answers; `None` if it has ended.
fn wait(zygote: &Zygote, limits: &Limits) -> Result<Option<i64>> {
    let socket = zygote.socket()?;
    let pid = zygote.pid();
    loop {
        if interrupted::watched().is_some() && interrupted::is_set() {
            // It goes with its link.
            return Err(Error::Interrupted);
        }
        let now = SystemClock.now();
        let (signal, next) = limits.look(pid, now);
        if let Some(signal) = signal {
            // It is this process's child, and was not reaped.
            let _ = kill(Pid::from_raw(pid), signal);
        }
        let pause = next.map_or(LOOK, |at| at.saturating_duration_since(now).min(LOOK));
        let pause = PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, pause) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(zygote.reply().ok()),
            Err(e) => return Err(os("poll", e)),
        }
    }
}
