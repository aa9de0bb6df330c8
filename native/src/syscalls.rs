//! The raw system calls that neither std nor nix offers in a safe form.

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use procbox_core::{Error, Usage};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// An error of the system, with its number.
pub(crate) fn os(operation: &'static str, error: impl Into<io::Error>) -> Error {
    Error::os(operation, error.into())
}

/// Side of a fork.
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The old one, with the new one's pid.
    Parent(libc::pid_t),
}

/// Forks a process that is the *sibling* of the calling one: a child of its parent.
///
/// glibc keeps the main thread's id in its thread descriptor, which its own `fork` renews. A raw
/// clone must do so itself: the kernel stores the id there (`CLONE_CHILD_SETTID`).
///
/// # Safety
/// The calling process has one thread: what another has locked would be locked in the child for ever.
pub(crate) unsafe fn fork_sibling() -> io::Result<Fork> {
    let tid = thread_id_field().ok_or_else(|| io::Error::other("no thread id in the TCB"))?;
    let flags =
        libc::CLONE_PARENT | libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
    let flags = flags as libc::c_ulong;
    // The last two arguments differ in order: the thread pointer, which is not set, is null.
    // SAFETY: like `fork`: without CLONE_VM the child has a copy of everything, on the same stack, and
    // by the caller's promise no lock of another thread is copied while held.
    #[cfg(target_arch = "x86_64")]
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, tid, 0) };
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, tid) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid as libc::pid_t)),
    }
}

/// Address where glibc keeps the calling thread's id: the one that the kernel clears at its end, or
/// else the one word near the beginning of the thread descriptor that has the id as its value.
fn thread_id_field() -> Option<*mut libc::pid_t> {
    // SAFETY: it has no preconditions.
    let mine = unsafe { libc::gettid() };
    let mut field: *mut libc::pid_t = std::ptr::null_mut();
    // SAFETY: it writes one pointer to a local.
    let asked = unsafe { libc::prctl(libc::PR_GET_TID_ADDRESS, &mut field) };
    // SAFETY: the kernel writes to that address at the thread's end, so it is mapped.
    if asked == 0 && !field.is_null() && unsafe { field.read_volatile() } == mine {
        return Some(field);
    }
    // SAFETY: it has no preconditions.
    let descriptor = unsafe { libc::pthread_self() } as *mut libc::pid_t;
    // SAFETY: glibc's `struct pthread` is more than 2 KiB and its `tid` within the first 1 KiB.
    let is_mine = |i: &usize| unsafe { descriptor.add(*i).read_volatile() } == mine;
    let mut found = (0..256).filter(is_mine);
    match (found.next(), found.next()) {
        // SAFETY: within the descriptor, as above.
        (Some(i), None) => Some(unsafe { descriptor.add(i) }),
        _ => None,
    }
}

/// A file descriptor that becomes readable when the process ends.
pub(crate) fn pidfd_open(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: it has no preconditions.
    match unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the kernel has just made it, for this call.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }),
    }
}

/// Sends a signal to the process of a pidfd; nothing happens if it has ended.
pub(crate) fn pidfd_send_signal(
    pidfd: BorrowedFd<'_>,
    signal: i32,
    info: Option<&libc::siginfo_t>,
) {
    let info = info.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the kernel reads the info, which is null or borrowed for the call.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) };
}

/// True if a descriptor has something to read now; a pidfd, if the process has ended.
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(n) if n > 0)
}

/// True if a process is gone, or a zombie.
pub(crate) fn has_ended(pid: libc::pid_t) -> bool {
    match pidfd_open(pid) {
        Ok(pidfd) => is_readable(pidfd.as_fd()),
        Err(e) => e.raw_os_error() == Some(libc::ESRCH),
    }
}

/// This process's pid.
pub(crate) fn pid() -> u32 {
    std::process::id()
}

/// The pid of the process that is this one's parent now.
pub(crate) fn parent() -> u32 {
    nix::unistd::getppid().as_raw().unsigned_abs()
}

/// True if a thread of this id is one of this process.
pub(crate) fn is_own_thread(tid: u32) -> bool {
    // SAFETY: signal 0 is only a question.
    unsafe { libc::syscall(libc::SYS_tgkill, pid(), tid, 0) == 0 }
}

/// True if the calling thread is the only one of its process.
pub(crate) fn is_only_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

/// Takes a descriptor that this process was given: by a message, by exec.
///
/// # Safety
/// The descriptor is open, and nobody owns it yet.
pub(crate) unsafe fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller promises it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Lets a command inherit descriptors that are close-on-exec everywhere else.
pub(crate) fn pass_fds(command: &mut Command, fds: Vec<RawFd>) {
    let pass = move || {
        for fd in &fds {
            // SAFETY: it changes a flag of a descriptor of the new process.
            if unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) } == -1 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: the closure makes async-signal-safe calls only.
    unsafe { command.pre_exec(pass) };
}

/// Has the command's process die with the thread that starts it.
pub(crate) fn die_with_parent(command: &mut Command) {
    let parent = std::process::id() as libc::pid_t;
    let ask = move || {
        // SAFETY: no pointer is passed.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it has no preconditions.
        if unsafe { libc::getppid() } != parent {
            exit_now(1);
        }
        Ok(())
    };
    // SAFETY: the closure makes async-signal-safe calls only.
    unsafe { command.pre_exec(ask) };
}

/// Ends the process without running anything of it.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: it has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Removes a variable from the environment.
///
/// # Safety
/// The calling process has one thread: another might read the environment meanwhile.
pub(crate) unsafe fn remove_env(name: &str) {
    // SAFETY: the caller promises it.
    unsafe { std::env::remove_var(name) };
}

/// Reaps a child that has ended, and says what it has used: it and those that it has waited for.
///
/// # Errors
/// Those of `waitid`.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Usage> {
    // SAFETY: both are plain numbers, for which zeroes are values.
    let (mut info, mut used): (libc::siginfo_t, libc::rusage) = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG;
    // The wrapper has no place for the usage.
    // SAFETY: the kernel writes the two structures, which live until it returns.
    let reaped = unsafe {
        libc::syscall(
            libc::SYS_waitid,
            libc::P_PIDFD,
            pidfd.as_raw_fd(),
            &raw mut info,
            options,
            &raw mut used,
        )
    };
    if reaped != 0 {
        return Err(io::Error::last_os_error());
    }
    let time = |time: libc::timeval| {
        let (seconds, micros) = (time.tv_sec.unsigned_abs(), time.tv_usec.unsigned_abs());
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    };
    let mut usage = Usage::default();
    usage.cpu_time = Some(time(used.ru_utime) + time(used.ru_stime));
    // It is in KiB.
    usage.peak_memory = Some(used.ru_maxrss.unsigned_abs() << 10);
    Ok(usage)
}
