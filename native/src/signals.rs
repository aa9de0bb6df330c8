//! The signals that this process handles, blocks and sends, and what for.
//!
//! | signal | what it says |
//! |---|---|
//! | SIGINT | Ctrl-C, from a terminal, from a `kill`, or passed on by procbox |
//! | SIGTERM, SIGHUP | to end, if they are answered |
//! | `SIGRTMAX - 5` | a parent interrupts its worker |
//! | `SIGRTMAX - 6` | the parent has died |
//! | SIGSEGV, SIGBUS | a crash, which is to be one |

use crate::sync::futex;
use crate::syscalls::pidfd_send_signal;
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Sends a signal to the process of a pidfd; nothing happens if it has ended.
pub(crate) fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: Signal) {
    pidfd_send_signal(pidfd, signal as i32, None);
}

/// Interrupts a worker.
pub(crate) fn pidfd_request_interrupt(pidfd: BorrowedFd<'_>) {
    pidfd_send_signal(pidfd, interrupt_request(), None);
}

/// Sends a SIGINT that says that procbox passes it on, so that a program of procbox's that had it
/// from the terminal too does not take it for a second one.
pub(crate) fn pidfd_interrupt(pidfd: BorrowedFd<'_>) {
    // SAFETY: all-zero is a valid value of it.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    info.si_signo = libc::SIGINT;
    info.si_code = libc::SI_QUEUE;
    pidfd_send_signal(pidfd, libc::SIGINT, Some(&info));
}

/// The signals that ask a program to end and are not Ctrl-C.
const TERMINATION: [Signal; 2] = [Signal::SIGTERM, Signal::SIGHUP];

/// Origin of a signal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A terminal, which sends it to all of its foreground group.
    Terminal,
    /// A `kill` by whoever, to this process or to a group.
    Other,
    /// procbox: [`pidfd_interrupt`].
    Procbox,
}

/// True if it is the signal of Ctrl-C.
pub(crate) fn is_sigint(signal: i32) -> bool {
    signal == libc::SIGINT
}

/// Handler of them: the signal's number, and where it came from.
type Handler = fn(i32, Sender);

static HANDLER: OnceLock<Handler> = OnceLock::new();

/// Installs the handler of Ctrl-C, once. Blocked system calls return `EINTR`.
///
/// # Safety
/// The handler makes async-signal-safe calls only, and does not panic.
pub(crate) unsafe fn on_sigint(handler: Handler) -> Result<(), Errno> {
    let _ = HANDLER.set(handler);
    // SAFETY: the caller promises it.
    unsafe { answer(Signal::SIGINT) }
}

/// Has SIGTERM and SIGHUP go to the handler of Ctrl-C. One that is ignored stays so: `nohup` means it.
///
/// # Safety
/// As [`on_sigint`], which comes before.
pub(crate) unsafe fn on_termination() -> Result<(), Errno> {
    for signal in TERMINATION {
        if !is_ignored(signal) {
            // SAFETY: the caller promises it.
            unsafe { answer(signal)? };
        }
    }
    Ok(())
}

/// Has a signal go to the handler.
///
/// # Safety
/// The handler makes async-signal-safe calls only, and does not panic.
unsafe fn answer(signal: Signal) -> Result<(), Errno> {
    extern "C" fn handle(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: with SA_SIGINFO the kernel passes a pointer to what it knows of the signal.
        let from = match unsafe { (*info).si_code } {
            libc::SI_QUEUE => Sender::Procbox,
            libc::SI_KERNEL => Sender::Terminal,
            _ => Sender::Other,
        };
        if let Some(handler) = HANDLER.get() {
            handler(signal, from);
        }
    }
    let action =
        SigAction::new(SigHandler::SigAction(handle), SaFlags::SA_SIGINFO, SigSet::empty());
    // SAFETY: the caller promises it of the one; the other only reads.
    unsafe { nix::sys::signal::sigaction(signal, &action) }.map(drop)
}

/// True if a signal is ignored; also in a process that is about to be executed.
fn is_ignored(signal: Signal) -> bool {
    // SAFETY: an async-signal-safe call that writes to a local.
    let action = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal as i32, std::ptr::null(), &mut action);
        action
    };
    action.sa_sigaction == libc::SIG_IGN
}

/// In a process that is about to be executed: SIGTERM and SIGHUP as they were before they were
/// answered here.
fn release_termination() {
    for signal in TERMINATION {
        if !is_ignored(signal) {
            default_action(signal);
        }
    }
    mask(libc::SIG_UNBLOCK, &TERMINATION.map(|signal| signal as i32));
}

/// Has a write to a pipe without a reader fail.
pub(crate) fn ignore_broken_pipes() {
    ignore(Signal::SIGPIPE);
}

/// Ignores Ctrl-C, and keeps what comes for processes that are being forked until they can have it:
/// Linux keeps a blocked signal also while it is ignored.
pub(crate) fn hold_interrupts() {
    ignore(Signal::SIGINT);
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
        release_termination();
        Ok(())
    };
    // SAFETY: the closure makes async-signal-safe calls only.
    unsafe { command.pre_exec(block) };
}

/// Keeps what the handler is for from the calling thread and from what it forks.
pub(crate) fn block_answered() {
    mask(libc::SIG_BLOCK, &[libc::SIGINT, libc::SIGTERM, libc::SIGHUP]);
}

/// Has the command's process begin as one that a terminal starts: with Ctrl-C neither ignored, as it
/// may be here, nor blocked.
pub(crate) fn reset_interrupts_of(command: &mut Command) {
    let reset = || {
        default_action(Signal::SIGINT);
        // One that came since the fork is pending, and ends it now, as it should.
        mask(libc::SIG_UNBLOCK, &[libc::SIGINT]);
        release_termination();
        Ok(())
    };
    // SAFETY: the closure makes async-signal-safe calls only.
    unsafe { command.pre_exec(reset) };
}

/// Sets what a new worker process starts with: default crashes (std's handler would turn a stack
/// overflow into an abort), Ctrl-C as told, interrupts on request, nothing blocked.
///
/// # Safety
/// The handler makes async-signal-safe calls only, and does not panic.
pub(crate) unsafe fn reset_signals(answers_ctrl_c: bool, on_request: extern "C" fn(i32)) {
    reset_crash_signals();
    if answers_ctrl_c {
        default_action(Signal::SIGINT);
    }
    // SAFETY: the caller promises it.
    unsafe { handle(interrupt_request(), on_request, libc::SA_RESTART) };
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
///
/// # Safety
/// The handler makes async-signal-safe calls only, and does not panic.
unsafe fn handle(signal: i32, handler: extern "C" fn(i32), flags: i32) {
    // SAFETY: the caller promises it; the action is a local.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        action.sa_flags = flags;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

/// 1 once the parent has died.
static PARENT_DIED: AtomicU32 = AtomicU32::new(0);

/// Has this process learn of the death of its parent, unless that is another by now. A blocked system
/// call of the thread that the kernel chooses then returns `EINTR`; others wait for [`parent_word`].
pub(crate) fn watch_parent(parent: Option<u32>) {
    extern "C" fn note(_: i32) {
        let errno = Errno::last_raw();
        PARENT_DIED.store(1, Ordering::SeqCst);
        futex::wake_all(&PARENT_DIED);
        Errno::set_raw(errno);
    }
    // SAFETY: it stores to an atomic and makes a system call.
    unsafe { handle(parent_death(), note, 0) };
    // SAFETY: no pointer is passed.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, parent_death()) };
    // SAFETY: it has no preconditions.
    if parent.is_some_and(|parent| parent != unsafe { libc::getppid() } as u32) {
        PARENT_DIED.store(1, Ordering::SeqCst);
    }
}

/// True if this process's parent has died, as far as it was told.
pub(crate) fn parent_died() -> bool {
    PARENT_DIED.load(Ordering::Relaxed) != 0
}

/// The word that is 0 while the parent lives, as far as this process was told.
pub(crate) fn parent_word() -> &'static AtomicU32 {
    &PARENT_DIED
}

/// Gives the process a SIGINT of its own, from a signal handler: it ends it, unless it has a handler
/// for that. One that it ignores for its parent's sake ends it all the same.
pub(crate) fn raise_sigint() {
    if is_ignored(Signal::SIGINT) {
        default_action(Signal::SIGINT);
    }
    mask(libc::SIG_UNBLOCK, &[libc::SIGINT]);
    // SAFETY: they have no preconditions.
    unsafe { libc::kill(libc::getpid(), libc::SIGINT) };
}

/// Lets a crash be a crash: takes out the handler with which Rust turns a stack overflow into an
/// abort.
pub(crate) fn reset_crash_signals() {
    default_action(Signal::SIGSEGV);
    default_action(Signal::SIGBUS);
}

fn default_action(signal: Signal) {
    let action = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed.
    let _ = unsafe { nix::sys::signal::sigaction(signal, &action) };
}

fn ignore(signal: Signal) {
    let action = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed.
    let _ = unsafe { nix::sys::signal::sigaction(signal, &action) };
}

/// Makes an eventfd readable, from a signal handler.
pub(crate) fn signal_event(event: BorrowedFd<'_>) {
    let one = 1u64;
    // SAFETY: it reads 8 bytes of a local.
    unsafe { libc::write(event.as_raw_fd(), (&raw const one).cast(), 8) };
}

/// Kills a child, from a signal handler; 0 is no child.
///
/// # Safety
/// The pid is of a child that was not reaped: a free one may be another's by now.
pub(crate) unsafe fn kill_child(pid: libc::pid_t) {
    if pid > 0 {
        // SAFETY: it touches no memory; whom it kills the caller answers for.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
}
