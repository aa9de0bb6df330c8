//! The standard streams that a process is started with. What it is given and what it prints are files
//! in memory: no thread, and no pipe that fills up.

use crate::syscalls::os;
use nix::sys::memfd::{MFdFlags, memfd_create};
use procbox_core::raw::ProcessSpec;
use procbox_core::{Error, Input, Output, Result};
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// The streams of one process: its input, where that is not empty, and its output, where that is not
/// its parent's.
pub(crate) struct Streams {
    stdin: Option<File>,
    stdout: Option<File>,
    /// Of a `main` alone.
    stderr: Option<File>,
    /// Whether each of the two is kept.
    captures: [bool; 2],
}

impl Streams {
    /// Those that a process is to have.
    ///
    /// # Errors
    /// [`procbox_core::Error::Os`].
    pub(crate) fn of(spec: &ProcessSpec) -> Result<Streams> {
        Ok(Streams {
            stdin: stdin(&spec.stdin)?,
            stdout: output(spec.stdout)?,
            // It is the parent's standard error already.
            stderr: if spec.stderr == Output::Stderr { None } else { output(spec.stderr)? },
            captures: [spec.stdout, spec.stderr].map(|output| output == Output::Capture),
        })
    }

    /// The descriptor of the input, to be passed on.
    pub(crate) fn stdin_fd(&self) -> Option<RawFd> {
        self.stdin.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// The descriptor of the output, to be passed on.
    pub(crate) fn stdout_fd(&self) -> Option<RawFd> {
        self.stdout.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Has a command's process begin with them.
    ///
    /// # Errors
    /// [`procbox_core::Error::Os`].
    pub(crate) fn give_to(&self, command: &mut Command) -> Result<()> {
        let again = |file: &File| file.try_clone().map_err(|e| os("dup", e));
        command.stdin(match &self.stdin {
            Some(file) => Stdio::from(again(file)?),
            None => Stdio::null(),
        });
        if let Some(file) = &self.stdout {
            command.stdout(Stdio::from(again(file)?));
        }
        if let Some(file) = &self.stderr {
            command.stderr(Stdio::from(again(file)?));
        }
        Ok(())
    }

    /// Output and error output of the process, if they are captured.
    pub(crate) fn captured(self) -> [Option<Captured>; 2] {
        let [stdout, stderr] = self.captures;
        let kept = |file: Option<File>, is_kept: bool| {
            Some(Captured(Mutex::new((file.filter(|_| is_kept)?, 0))))
        };
        [kept(self.stdout, stdout), kept(self.stderr, stderr)]
    }
}

/// Output of a process, and how much of it was read.
pub(crate) struct Captured(Mutex<(File, u64)>);

impl Captured {
    /// Bytes that were not read yet.
    pub(crate) fn read(&self) -> Vec<u8> {
        let mut captured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, taken) = &mut *captured;
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let mut bytes = vec![0; size.saturating_sub(*taken) as usize];
        let mut read = 0;
        while read < bytes.len() {
            match file.read_at(&mut bytes[read..], *taken + read as u64) {
                Ok(count) if count > 0 => read += count,
                _ => break,
            }
        }
        bytes.truncate(read);
        *taken += read as u64;
        bytes
    }
}

/// A nameless file in memory.
fn memory_file() -> Result<File> {
    memfd_create(c"procbox-stdio", MFdFlags::MFD_CLOEXEC)
        .map(|fd: OwnedFd| File::from(fd))
        .map_err(|e| os("memfd_create", e))
}

fn null() -> Result<File> {
    File::options().read(true).write(true).open("/dev/null").map_err(|e| os("open", e))
}

fn stdin(input: &Input) -> Result<Option<File>> {
    match input {
        Input::Inherit => match std::io::stdin().as_fd().try_clone_to_owned() {
            Ok(fd) => Ok(Some(fd.into())),
            // The parent has none.
            Err(e) if e.raw_os_error() == Some(nix::libc::EBADF) => Ok(None),
            Err(e) => Err(os("dup", e)),
        },
        Input::Null => Ok(None),
        Input::Bytes(bytes) => {
            let mut file = memory_file()?;
            file.write_all(bytes).and_then(|()| file.rewind()).map_err(|e| os("write", e))?;
            Ok(Some(file))
        }
        _ => Err(Error::Unsupported("such a standard input")),
    }
}

fn output(output: Output) -> Result<Option<File>> {
    match output {
        Output::Inherit => Ok(None),
        Output::Null => null().map(Some),
        Output::Stderr => {
            let own = std::io::stderr().as_fd().try_clone_to_owned();
            own.map(|fd| Some(fd.into())).map_err(|e| os("dup", e))
        }
        Output::Capture => memory_file().map(Some),
        _ => Err(Error::Unsupported("such a standard output")),
    }
}
