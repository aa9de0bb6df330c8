//! The group of a context's processes: a cgroup of version 2.
//!
//! Control groups: <https://docs.kernel.org/admin-guide/cgroup-v2.html>.

use crate::syscalls::os;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use procbox_core::time::{Clock, SystemClock};
use procbox_core::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Period of a limit of CPU time, in microseconds: the kernel's own default.
const PERIOD: u64 = 100_000;

/// How long a group that was told to die may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Limits of all processes of a context together.
///
/// They need a cgroup of version 2 in which this process may make others: that of a systemd service
/// or scope with `Delegate=yes`, of a container that has its own, or any as root.
///
/// ```no_run
/// use procbox_native::{Confinement, GroupLimits, Native};
/// let limits = GroupLimits::new().memory(512 << 20).processes(20).cpus(1.5);
/// let ctx = Native::builder().confine(Confinement::new().group(limits)).build()?;
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it limits nothing until a confinement has it"]
pub struct GroupLimits {
    within: Option<PathBuf>,
    memory: Option<u64>,
    processes: Option<u64>,
    cpus: Option<f64>,
}

impl GroupLimits {
    /// A group without limits: it still ends as a whole.
    ///
    /// ```
    /// let limits = procbox_native::GroupLimits::new();
    /// ```
    pub fn new() -> GroupLimits {
        GroupLimits::default()
    }

    /// The cgroup to make it in; by default this process's own.
    ///
    /// ```
    /// let path = "/sys/fs/cgroup/system.slice/judge.service/runs";
    /// let limits = procbox_native::GroupLimits::new().within(path);
    /// ```
    pub fn within(mut self, cgroup: impl Into<PathBuf>) -> GroupLimits {
        self.within = Some(cgroup.into());
        self
    }

    /// The most memory of all together, in bytes, without swap. Beyond it, all are killed.
    ///
    /// ```
    /// let limits = procbox_native::GroupLimits::new().memory(1 << 30);
    /// ```
    pub fn memory(mut self, bytes: u64) -> GroupLimits {
        self.memory = Some(bytes);
        self
    }

    /// The most processes and threads at once. One more is an error of who starts it.
    ///
    /// ```
    /// let limits = procbox_native::GroupLimits::new().processes(100);
    /// ```
    pub fn processes(mut self, processes: u64) -> GroupLimits {
        self.processes = Some(processes);
        self
    }

    /// The CPUs' worth of time that all together may use.
    ///
    /// ```
    /// let limits = procbox_native::GroupLimits::new().cpus(0.5); // half of one
    /// ```
    pub fn cpus(mut self, cpus: f64) -> GroupLimits {
        self.cpus = Some(cpus);
        self
    }

    /// The files to write, each with the controller that it is of.
    fn settings(&self) -> Vec<(&'static str, &'static str, String)> {
        let mut settings = Vec::new();
        if let Some(bytes) = self.memory {
            settings.push(("memory", "memory.max", bytes.to_string()));
            settings.push(("memory", "memory.oom.group", "1".into()));
        }
        if let Some(processes) = self.processes {
            settings.push(("pids", "pids.max", processes.to_string()));
        }
        if let Some(cpus) = self.cpus {
            let quota = (cpus * PERIOD as f64).max(1000.0) as u64;
            settings.push(("cpu", "cpu.max", format!("{quota} {PERIOD}")));
        }
        settings
    }
}

/// A group that was made. Dropped, it kills what is in it.
pub(super) struct Group {
    path: PathBuf,
    /// Where a process writes itself into it.
    door: File,
}

impl Group {
    pub(super) fn make(limits: &GroupLimits) -> Result<Group> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let within = limits.within.clone().map_or_else(own, Ok)?;
        let settings = limits.settings();
        for (controller, ..) in &settings {
            delegate(&within, controller)?;
        }
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = within.join(format!("procbox-{}-{number}", std::process::id()));
        fs::create_dir(&path).map_err(|e| failed(&path, "cannot be made", &e))?;
        let door = OpenOptions::new().write(true).open(path.join("cgroup.procs"));
        let door = door.map_err(|e| failed(&path, "is no cgroup of version 2", &e));
        // From here on it is taken away again, whatever happens.
        let group = match door {
            Ok(door) => Group { path, door },
            Err(e) => {
                let _ = fs::remove_dir(&path);
                return Err(e);
            }
        };
        for (_, file, value) in settings {
            let file = group.path.join(file);
            fs::write(&file, value).map_err(|e| failed(&file, "cannot be set", &e))?;
        }
        if limits.memory.is_some() {
            // Where the kernel has no swap, it has no such file.
            match fs::write(group.path.join("memory.swap.max"), "0") {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(os("cgroup", e)),
                _ => {}
            }
        }
        Ok(group)
    }

    /// In a new process: has it and what it starts be of the group. Async-signal-safe.
    pub(super) fn enter(&self) -> io::Result<()> {
        (&self.door).write_all(b"0")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
        let late = SystemClock.now() + PATIENCE;
        let Ok(events) = File::open(self.path.join("cgroup.events")) else { return };
        while let Err(e) = fs::remove_dir(&self.path) {
            let left = late.saturating_duration_since(SystemClock.now());
            if e.raw_os_error() != Some(nix::libc::EBUSY) || left.is_zero() {
                return;
            }
            // The kernel tells of its last process's end. It may have ended before this: a short wait.
            let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
            let wait = left.min(Duration::from_millis(10));
            let _ = poll(&mut fds, PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO));
        }
    }
}

/// The cgroup of this process.
fn own() -> Result<PathBuf> {
    let none = || Error::os("cgroup", "there is no cgroup of version 2 here; see docs/native.md");
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|e| os("mountinfo", e))?;
    let groups = fs::read_to_string("/proc/self/cgroup").map_err(|e| os("cgroup", e))?;
    let root = mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then(|| mount.split(' ').nth(4))?
    });
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    Ok(Path::new(root.ok_or_else(none)?).join(group.ok_or_else(none)?))
}

/// Sees to it that groups within this one have a controller.
fn delegate(within: &Path, controller: &str) -> Result<()> {
    let has = |file: &str| {
        let said = fs::read_to_string(within.join(file)).unwrap_or_default();
        said.split_whitespace().any(|one| one == controller)
    };
    if has("cgroup.subtree_control") {
        return Ok(());
    }
    if !has("cgroup.controllers") {
        let what = format!("{} does not offer `{controller}`", within.display());
        return Err(Error::os("cgroup", what));
    }
    let file = within.join("cgroup.subtree_control");
    fs::write(&file, format!("+{controller}"))
        .map_err(|e| failed(&file, &format!("does not take `+{controller}`"), &e))
}

fn failed(path: &Path, what: &str, why: &io::Error) -> Error {
    Error::os("cgroup", format!("{} {what}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_offered_is_an_error_that_names_it() {
        let here = tempfile::tempdir().unwrap();
        fs::write(here.path().join("cgroup.controllers"), "cpu io").unwrap();
        let limits = GroupLimits::new().within(here.path()).memory(1 << 20);
        let why = Group::make(&limits).err().map(|e| e.to_string());
        assert!(why.is_some_and(|why| why.contains("does not offer `memory`")));
        let limits = GroupLimits::new().within(here.path());
        let why = Group::make(&limits).err().map(|e| e.to_string());
        assert!(why.is_some_and(|why| why.contains("is no cgroup of version 2")));
        assert_eq!(fs::read_dir(here.path()).unwrap().count(), 1);
    }

    #[test]
    fn limits_are_written_as_the_kernel_reads_them() {
        let limits = GroupLimits::new().memory(4096).processes(7).cpus(1.5);
        let settings = limits.settings();
        let files: Vec<_> = settings.iter().map(|(_, file, value)| (*file, &**value)).collect();
        let due = [
            ("memory.max", "4096"),
            ("memory.oom.group", "1"),
            ("pids.max", "7"),
            ("cpu.max", "150000 100000"),
        ];
        assert_eq!(files, due);
    }
}
