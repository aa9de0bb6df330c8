//! Confinement of native processes by the kernel: what they may not do, whatever code runs in them.
//!
//! | restriction | by | since |
//! |---|---|---|
//! | memory, open files, file size, core files of each process | `setrlimit` | always |
//! | no new privileges | `prctl` | Linux 3.5 |
//! | files | Landlock, version 3 | Linux 6.2 |
//! | signals | Landlock, version 6 | Linux 6.12 |
//! | network, system calls | seccomp | Linux 3.17 |
//! | memory, processes and CPU of all of them together | a cgroup, version 2 | where it is delegated |
//!
//! It is put on between fork and exec of a program, or of the zygote, whose forks inherit it. All
//! that needs memory is made before the fork; what is left are system calls.

mod files;
mod filter;
mod group;

use crate::syscalls::os;
use files::Access;
use group::Group;
use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit};
use procbox_core::Result;
use seccompiler::BpfProgram;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::{fmt, io};

pub use group::GroupLimits;

/// Restrictions that the kernel puts on every process of a context, for code that is not trusted
/// enough to have all rights of its user, and not so little that it belongs into the sandbox.
///
/// None of them is silently missing: what this kernel does not offer is an error of
/// [`NativeBuilder::build`]. Whatever is chosen, processes get no new privileges (a set-user-ID
/// program runs as its caller) and write no core files.
///
/// It is not the sandbox: a process shares the kernel with all others, and the arena with those of
/// its context, which have to trust each other (see docs/native.md, Known limits).
///
/// ```
/// use procbox_native::{Confinement, Native, Program};
/// let confined = Confinement::new().memory(256 << 20).no_network();
/// let ctx = Native::builder().program(Program::open("/bin/sh")?).confine(confined).build()?;
/// let p = ctx.main(["-c", "ulimit -d"]).stdout(procbox_core::Output::Capture).start()?;
/// assert!(p.join()?.success());
/// assert_eq!(p.output()?, b"262144\n"); // in KiB
/// # Ok::<(), procbox_core::Error>(())
/// ```
///
/// [`NativeBuilder::build`]: crate::NativeBuilder::build
#[derive(Clone, Debug, Default)]
#[must_use = "it confines nothing until a builder has it"]
pub struct Confinement {
    memory: Option<u64>,
    open_files: Option<u64>,
    file_size: Option<u64>,
    files: Option<Vec<(PathBuf, Access)>>,
    own_signals: bool,
    no_network: bool,
    hardened: bool,
    group: Option<GroupLimits>,
}

impl Confinement {
    /// No new privileges and no core files, and nothing else yet.
    ///
    /// ```
    /// use procbox_native::{Confinement, Native};
    /// let ctx = Native::builder().confine(Confinement::new()).build()?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn new() -> Confinement {
        Confinement::default()
    }

    /// The most memory of each process, in bytes: its heap and all else that is private and can be
    /// written, used or not (`RLIMIT_DATA`). At the limit an allocation fails, which ends a Rust
    /// program by signal 6. Two threads' stacks are 4 MiB of it.
    ///
    /// ```
    /// let confined = procbox_native::Confinement::new().memory(64 << 20);
    /// ```
    pub fn memory(mut self, bytes: u64) -> Confinement {
        self.memory = Some(bytes);
        self
    }

    /// The most descriptors that each process may have open (`RLIMIT_NOFILE`), standard streams
    /// and procbox's own few included. One more is the error `EMFILE`.
    ///
    /// ```
    /// let confined = procbox_native::Confinement::new().open_files(64);
    /// ```
    pub fn open_files(mut self, files: u64) -> Confinement {
        self.open_files = Some(files);
        self
    }

    /// The most bytes of each file that a process writes (`RLIMIT_FSIZE`). A write beyond ends it
    /// by signal 25 (SIGXFSZ).
    ///
    /// ```
    /// let confined = procbox_native::Confinement::new().file_size(1 << 30);
    /// ```
    pub fn file_size(mut self, bytes: u64) -> Confinement {
        self.file_size = Some(bytes);
        self
    }

    /// No files but those of [`read`](Confinement::read) and [`write`](Confinement::write), and what
    /// a program needs to be loaded and to run: its own file, the system's libraries, `/proc`, and
    /// `/dev`'s `null`, `zero`, `full`, `random` and `urandom`. Descriptors that it is given stay as
    /// they are. A program that has an interpreter needs that, too: `read("/usr")`.
    ///
    /// ```
    /// let confined = procbox_native::Confinement::new().files();
    /// ```
    pub fn files(mut self) -> Confinement {
        self.files.get_or_insert_default();
        self
    }

    /// Files or a directory's files to be read and executed; implies [`files`](Confinement::files).
    ///
    /// ```
    /// let confined = procbox_native::Confinement::new().read("/usr/share");
    /// ```
    pub fn read(mut self, path: impl Into<PathBuf>) -> Confinement {
        self.files.get_or_insert_default().push((path.into(), Access::Read));
        self
    }

    /// Files or a directory's files to be read, executed, written, made and removed, device files
    /// excepted; implies [`files`](Confinement::files).
    ///
    /// ```
    /// let scratch = tempfile::tempdir().unwrap();
    /// let confined = procbox_native::Confinement::new().write(scratch.path());
    /// ```
    pub fn write(mut self, path: impl Into<PathBuf>) -> Confinement {
        self.files.get_or_insert_default().push((path.into(), Access::Write));
        self
    }

    /// Signals reach the context's own processes alone. Else a process can kill whatever its user
    /// may, the parent and its terminal included.
    ///
    /// ```
    /// let confined = procbox_native::Confinement::new().own_signals();
    /// ```
    pub fn own_signals(mut self) -> Confinement {
        self.own_signals = true;
        self
    }

    /// No sockets but Unix ones, and no `io_uring`, which makes sockets past the filter. A call
    /// fails with `EPERM`.
    ///
    /// ```
    /// let confined = procbox_native::Confinement::new().no_network();
    /// ```
    pub fn no_network(mut self) -> Confinement {
        self.no_network = true;
        self
    }

    /// No system calls that look into or change other processes or the system (`ptrace`, `mount`,
    /// namespaces, `bpf`, `keyctl`, `io_uring`, modules, clocks and their kin, about sixty): a call
    /// fails with `EPERM`. These are where most holes of the kernel were, and hardly a program that
    /// computes needs one.
    ///
    /// ```
    /// let confined = procbox_native::Confinement::new().hardened();
    /// ```
    pub fn hardened(mut self) -> Confinement {
        self.hardened = true;
        self
    }

    /// Limits of all processes of the context together, by a cgroup of their own. When the context
    /// goes, the kernel kills whatever is left in it, also what has made itself independent.
    ///
    /// ```no_run
    /// use procbox_native::{Confinement, GroupLimits};
    /// let limits = GroupLimits::new().memory(1 << 30).processes(50);
    /// let confined = Confinement::new().group(limits);
    /// ```
    pub fn group(mut self, limits: GroupLimits) -> Confinement {
        self.group = Some(limits);
        self
    }

    /// Everything that can be made before a fork, for processes that run `program`.
    pub(crate) fn prepare(&self, program: &Path) -> Result<Confined> {
        let wanted = [
            (Resource::RLIMIT_CORE, Some(0)),
            (Resource::RLIMIT_DATA, self.memory),
            (Resource::RLIMIT_NOFILE, self.open_files),
            (Resource::RLIMIT_FSIZE, self.file_size),
        ];
        let limits = wanted.into_iter().filter_map(|(resource, most)| Some((resource, most?)));
        let limits = limits.map(|(resource, most)| {
            // What is lower already stays so: it could not be raised.
            let (_, hard) = getrlimit(resource).map_err(|e| os("getrlimit", e))?;
            let most = libc::rlim_t::min(most, hard);
            Ok((resource, libc::rlimit { rlim_cur: most, rlim_max: most }))
        });
        let confined = Confined {
            limits: limits.collect::<Result<_>>()?,
            files: files::ruleset(self.files.as_deref(), self.own_signals, program)?,
            filters: filter::programs(self.no_network, self.hardened)?,
            group: self.group.as_ref().map(Group::make).transpose()?,
        };
        Ok(confined)
    }
}

/// A confinement that is ready to be put on.
pub(crate) struct Confined {
    limits: Vec<(Resource, libc::rlimit)>,
    files: Option<OwnedFd>,
    filters: Vec<BpfProgram>,
    group: Option<Group>,
}

impl fmt::Debug for Confined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confined").finish_non_exhaustive()
    }
}

impl Confined {
    /// Has a command's process put it on before it is executed.
    pub(crate) fn put_on(self: &Arc<Confined>, command: &mut Command) {
        let confined = Arc::clone(self);
        // SAFETY: the closure makes system calls alone, on what was made before.
        unsafe { command.pre_exec(move || confined.begin()) };
    }

    /// In the new process: async-signal-safe.
    fn begin(&self) -> io::Result<()> {
        if let Some(group) = &self.group {
            group.enter()?;
        }
        for (resource, limit) in &self.limits {
            // SAFETY: the structure is only read.
            Errno::result(unsafe { libc::setrlimit(*resource as _, limit) })?;
        }
        // SAFETY: no pointer is passed.
        Errno::result(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
        if let Some(files) = &self.files {
            // SAFETY: it takes a descriptor and flags.
            let answer =
                unsafe { libc::syscall(libc::SYS_landlock_restrict_self, files.as_raw_fd(), 0) };
            Errno::result(answer)?;
        }
        // Last: the filters may forbid what the others need.
        self.filters.iter().try_for_each(|filter| {
            seccompiler::apply_filter(filter)
                .map_err(|_| io::Error::from(io::ErrorKind::PermissionDenied))
        })
    }
}
