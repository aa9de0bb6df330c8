//! The worker after which a zygote's processes begin: the zygote calls it, once, before it forks any.
//!
//! Whatever it leaves in memory they have, each a copy of its own. What else it leaves they would not
//! have, or all have one: a thread, a process, an open file. Then none begins.

use super::{life, reseed};
use crate::start::request::{FILE, FirstRequest, PROCESS, THREAD};
use crate::syscalls::os;
use crate::{ambient, syscalls};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use procbox_core::Result;
use procbox_core::raw::Message;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

/// What it is sent with.
pub(super) struct First {
    pub(super) file: OwnedFd,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
}

impl First {
    /// Runs it. The answer is 0 if processes can begin, else its exit code, or below 0 what it left.
    pub(super) fn run(self) -> i64 {
        // It may never end, and whoever waits for it may be killed.
        let watched = prctl::set_pdeathsig(Signal::SIGKILL);
        let ended = watched.map_err(|e| os("prctl", e)).and_then(|()| self.call());
        let _ = prctl::set_pdeathsig(None);
        match ended {
            Ok(Ok(0)) => {
                reseed::find();
                0
            }
            Ok(Ok(code)) => code.into(),
            Ok(Err(left)) => -1 - left as i64,
            Err(e) => {
                eprintln!("error: {e}");
                1
            }
        }
    }

    /// Its exit code, or what it left.
    fn call(self) -> Result<std::result::Result<i32, usize>> {
        let mut bytes = Vec::new();
        File::from(self.file).read_to_end(&mut bytes).map_err(|e| os("read", e))?;
        let request: FirstRequest = Message { bytes, handles: Vec::new() }.into_value()?;
        let before = open_files()?;
        let (input, output) = (std::io::stdin(), std::io::stdout());
        let own = [dup(input.as_fd())?, dup(output.as_fd())?];
        if let Some(fd) = self.stdin {
            nix::unistd::dup2_stdin(fd).map_err(|e| os("dup2", e))?;
        }
        if let Some(fd) = self.stdout {
            nix::unistd::dup2_stdout(fd).map_err(|e| os("dup2", e))?;
        }
        ambient::withhold(true);
        let code = life::call_first(&request.worker, request.arguments.0);
        ambient::withhold(false);
        let _ = std::io::stdout().flush();
        let [input, output] = own;
        nix::unistd::dup2_stdin(input).map_err(|e| os("dup2", e))?;
        nix::unistd::dup2_stdout(output).map_err(|e| os("dup2", e))?;
        let code = code?;
        Ok(match () {
            () if code != 0 => Ok(code),
            () if !syscalls::is_only_thread() => Err(THREAD),
            () if has_children() => Err(PROCESS),
            () if !open_files()?.is_subset(&before) => Err(FILE),
            () => Ok(0),
        })
    }
}

fn dup(fd: impl AsFd) -> Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned().map_err(|e| os("dup", e))
}

/// The numbers of the descriptors that are open, but for those that are there for the look alone.
fn open_files() -> Result<BTreeSet<i32>> {
    let number = |name: std::ffi::OsString| name.to_str()?.parse().ok();
    let entries = std::fs::read_dir("/proc/self/fd").map_err(|e| os("/proc/self/fd", e))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let names = names.collect::<std::io::Result<Vec<_>>>().map_err(|e| os("/proc/self/fd", e))?;
    let numbers = names.into_iter().filter_map(number);
    // The one of the directory is closed again.
    Ok(numbers.filter(|fd| std::path::Path::new(&format!("/proc/self/fd/{fd}")).exists()).collect())
}

/// Whether it has children; those that have ended are reaped.
fn has_children() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return true,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}
