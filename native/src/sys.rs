//! The raw system calls that neither std nor nix offers in a safe form.

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which side of a fork this is.
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
pub(crate) fn fork_sibling() -> io::Result<Fork> {
    let tid = thread_id_field().ok_or_else(|| io::Error::other("no thread id in the TCB"))?;
    let flags =
        libc::CLONE_PARENT | libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
    let flags = flags as libc::c_ulong;
    // The last two arguments differ in order: the thread pointer, which is not set, is null.
    // SAFETY: like `fork`: without CLONE_VM the child has a copy of everything, on the same stack.
    // The zygote that calls it has one thread, so no lock of another thread is copied while held.
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

/// Where glibc keeps the calling thread's id: the address that the kernel clears at its end, or
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
        fd => Ok(own(fd as RawFd)),
    }
}

/// Whether a process is gone, or a zombie.
pub(crate) fn has_ended(pid: libc::pid_t) -> bool {
    match pidfd_open(pid) {
        Ok(pidfd) => {
            let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
            matches!(poll(&mut fds, PollTimeout::ZERO), Ok(n) if n > 0)
        }
        Err(e) => e.raw_os_error() == Some(libc::ESRCH),
    }
}

/// Sends a signal to the process of a pidfd; nothing happens if it has ended.
pub(crate) fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: Signal) {
    send(pidfd, signal as i32, None);
}

/// Interrupts a worker.
pub(crate) fn pidfd_request_interrupt(pidfd: BorrowedFd<'_>) {
    send(pidfd, interrupt_request(), None);
}

/// Sends a SIGINT that says that procbox passes it on, so that a program of procbox's that had it
/// from the terminal too does not take it for a second one.
pub(crate) fn pidfd_interrupt(pidfd: BorrowedFd<'_>) {
    // SAFETY: all-zero is a valid value of it.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    info.si_signo = libc::SIGINT;
    info.si_code = libc::SI_QUEUE;
    send(pidfd, libc::SIGINT, Some(&info));
}

fn send(pidfd: BorrowedFd<'_>, signal: i32, info: Option<&libc::siginfo_t>) {
    let info = info.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the kernel reads the info, which is null or borrowed for the call.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) };
}

/// Takes a descriptor that this process was given: by a message, by exec, by the kernel.
pub(crate) fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the callers pass each descriptor once, and nobody else owns it.
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

/// Where a SIGINT came from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sigint {
    /// A terminal, which sends it to all of its foreground group.
    Terminal,
    /// A `kill` by whoever, to this process or to a group.
    Killed,
    /// procbox: [`pidfd_interrupt`].
    Passed,
}

/// Who handles SIGINT.
type SigintHandler = fn(Sigint);

static ON_SIGINT: OnceLock<SigintHandler> = OnceLock::new();

/// Installs the handler of Ctrl-C, once. Blocked system calls return `EINTR`.
pub(crate) fn on_sigint(handler: SigintHandler) -> Result<(), Errno> {
    extern "C" fn handle(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: with SA_SIGINFO the kernel passes a pointer to what it knows of the signal.
        let from = match unsafe { (*info).si_code } {
            libc::SI_QUEUE => Sigint::Passed,
            libc::SI_KERNEL => Sigint::Terminal,
            _ => Sigint::Killed,
        };
        if let Some(handler) = ON_SIGINT.get() {
            handler(from);
        }
    }
    let _ = ON_SIGINT.set(handler);
    let handler = SigHandler::SigAction(handle);
    let action = SigAction::new(handler, SaFlags::SA_SIGINFO, SigSet::empty());
    // SAFETY: the handler makes async-signal-safe calls only.
    unsafe { nix::sys::signal::sigaction(Signal::SIGINT, &action) }.map(drop)
}

/// Ignores Ctrl-C, and keeps what comes for processes that are being forked until they can have it:
/// Linux keeps a blocked signal also while it is ignored.
pub(crate) fn hold_interrupts() {
    set_action(Signal::SIGINT, SigHandler::SigIgn);
    block_interrupts();
}

/// Keeps Ctrl-C, requests and the parent's death pending.
fn block_interrupts() {
    mask(libc::SIG_BLOCK, &[libc::SIGINT, interrupt_request(), parent_death()]);
}

/// Blocks or unblocks signals of the calling thread; also from a signal handler.
fn mask(how: i32, signals: &[i32]) {
    // SAFETY: async-signal-safe calls that write to and read from a local.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in signals {
            libc::sigaddset(&mut set, *signal);
        }
        libc::pthread_sigmask(how, &set, std::ptr::null_mut());
    }
}

/// Has the command's process begin with Ctrl-C blocked: one that is about to become a zygote is not to
/// be ended by it on the way.
pub(crate) fn hold_interrupts_of(command: &mut Command) {
    let block = || {
        block_interrupts();
        Ok(())
    };
    // SAFETY: the closure makes async-signal-safe calls only.
    unsafe { command.pre_exec(block) };
}

/// Keeps SIGINT from the calling thread and from what it forks.
pub(crate) fn block_sigint() {
    mask(libc::SIG_BLOCK, &[libc::SIGINT]);
}

/// Has the command's process begin as one that a terminal starts: with Ctrl-C neither ignored, as it
/// may be here, nor blocked.
pub(crate) fn reset_interrupts_of(command: &mut Command) {
    let reset = || {
        set_action(Signal::SIGINT, SigHandler::SigDfl);
        // One that came since the fork is pending, and ends it now, as it should.
        mask(libc::SIG_UNBLOCK, &[libc::SIGINT]);
        Ok(())
    };
    // SAFETY: the closure makes async-signal-safe calls only.
    unsafe { command.pre_exec(reset) };
}

/// What a new worker process starts with: default crashes (std's handler would turn a stack
/// overflow into an abort), Ctrl-C as told, interrupts on request, nothing blocked.
pub(crate) fn reset_signals(answers_ctrl_c: bool, on_request: extern "C" fn(i32)) {
    reset_crash_signals();
    if answers_ctrl_c {
        set_action(Signal::SIGINT, SigHandler::SigDfl);
    }
    handle(interrupt_request(), on_request, libc::SA_RESTART);
    let _ = nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// The signal that asks a worker to be interrupted. Not SIGINT: a worker whose parent answers Ctrl-C
/// ignores that one, since the terminal sends it to the whole group.
fn interrupt_request() -> i32 {
    libc::SIGRTMAX() - 5
}

/// The signal that a process which outlives its parent gets at its death.
fn parent_death() -> i32 {
    libc::SIGRTMAX() - 6
}

/// Installs a handler of a real-time signal, of which nix knows nothing.
fn handle(signal: i32, handler: extern "C" fn(i32), flags: i32) {
    // SAFETY: the handlers make async-signal-safe calls only.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        action.sa_flags = flags;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

static PARENT_DIED: AtomicBool = AtomicBool::new(false);

/// Has this process learn of the death of its parent, unless that is another by now. A blocked system
/// call then returns `EINTR`.
pub(crate) fn watch_parent(parent: Option<u32>) {
    extern "C" fn note(_: i32) {
        PARENT_DIED.store(true, Ordering::SeqCst);
    }
    handle(parent_death(), note, 0);
    // SAFETY: no pointer is passed.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, parent_death()) };
    // SAFETY: it has no preconditions.
    if parent.is_some_and(|parent| parent != unsafe { libc::getppid() } as u32) {
        PARENT_DIED.store(true, Ordering::SeqCst);
    }
}

/// Whether this process's parent has died, as far as it was told.
pub(crate) fn parent_died() -> bool {
    PARENT_DIED.load(Ordering::Relaxed)
}

/// Gives the process a SIGINT of its own, from a signal handler: it ends it, unless it has a handler
/// for that. One that it ignores for its parent's sake ends it all the same.
pub(crate) fn raise_sigint() {
    // SAFETY: an async-signal-safe call that writes to a local.
    let action = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGINT, std::ptr::null(), &mut action);
        action
    };
    if action.sa_sigaction == libc::SIG_IGN {
        set_action(Signal::SIGINT, SigHandler::SigDfl);
    }
    mask(libc::SIG_UNBLOCK, &[libc::SIGINT]);
    // SAFETY: they have no preconditions.
    unsafe { libc::kill(libc::getpid(), libc::SIGINT) };
}

/// Lets a crash be a crash: takes out the handler with which Rust turns a stack overflow into an
/// abort.
pub(crate) fn reset_crash_signals() {
    set_action(Signal::SIGSEGV, SigHandler::SigDfl);
    set_action(Signal::SIGBUS, SigHandler::SigDfl);
}

fn set_action(signal: Signal, handler: SigHandler) {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler of ours is installed.
    let _ = unsafe { nix::sys::signal::sigaction(signal, &action) };
}

/// Makes an eventfd readable, from a signal handler.
pub(crate) fn signal_event(fd: RawFd) {
    let one = 1u64;
    // SAFETY: it reads 8 bytes of a local.
    unsafe { libc::write(fd, (&raw const one).cast(), 8) };
}

/// Kills a child, from a signal handler; 0 is no child.
pub(crate) fn kill_child(pid: libc::pid_t) {
    if pid > 0 {
        // SAFETY: it has no preconditions; the pid is of a child that was not reaped.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
}

/// Removes a variable from the environment of a process that has one thread.
pub(crate) fn remove_env(name: &str) {
    // SAFETY: a zygote calls this first thing in `main`, before there is another thread.
    unsafe { std::env::remove_var(name) };
}
