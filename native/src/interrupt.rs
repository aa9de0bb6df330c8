//! Ctrl-C, and the signals that are answered as it is: the handler, the word that blocked calls
//! watch, and the callbacks of other backends.
//!
//! The handler only sets a word, wakes its waiters and writes to an eventfd. A second Ctrl-C kills
//! the children that are on record here and exits with 130, with async-signal-safe calls alone.

use crate::signals::{self, Sender};
use crate::sync::{futex, interrupted as state};
use crate::syscalls;
use crate::syscalls::os;
use nix::errno::Errno;
use procbox_core::{Result, local};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// True if it came from a terminal, which sends it to the other programs there too.
static FROM_TERMINAL: AtomicBool = AtomicBool::new(false);
/// True once somebody other than procbox has sent one since the last [`clear_interrupt`].
static ASKED: AtomicBool = AtomicBool::new(false);
/// Number of times that it has come; for the thread that calls the hooks.
static TIMES: AtomicU32 = AtomicU32::new(0);
/// The signal that was answered first, or 0; not forgotten by [`clear_interrupt`].
static SIGNAL: AtomicI32 = AtomicI32::new(0);
static HOOKS: Mutex<Vec<fn(bool)>> = Mutex::new(Vec::new());
/// True if handler and thread are there.
static INSTALLED: Mutex<bool> = Mutex::new(false);
/// The children to kill on the second Ctrl-C: pids, 0 for none. Those beyond are left to die of
/// their parent's death if they are daemons.
static CHILDREN: [AtomicI32; 4096] = [const { AtomicI32::new(0) }; 4096];

/// Answers Ctrl-C from now on: a blocked call of the calling thread returns
/// [`procbox_core::Error::Interrupted`], and so does every later one until [`clear_interrupt`]. A second Ctrl-C
/// before that kills all child processes and exits with status 130.
///
/// ```
/// use procbox_core::Error;
/// procbox_native::answer_ctrl_c()?;
/// let ctx = procbox_native::context()?;
/// let q = ctx.queue::<u32>(1)?;
/// # nix::sys::signal::raise(nix::sys::signal::Signal::SIGINT).unwrap();
/// assert_eq!(q.get(), Err(Error::Interrupted)); // if Ctrl-C comes and nothing else
/// # Ok::<(), procbox_core::Error>(())
/// ```
///
/// # Errors
/// [`procbox_core::Error::Os`].
pub fn answer_ctrl_c() -> Result<()> {
    if local::answer_interrupts() {
        // A worker on a thread is interrupted by who has started it.
        return Ok(());
    }
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if *installed {
        state::watch();
        return Ok(());
    }
    state::prepare()?;
    hooks().push(local::interrupt);
    std::thread::Builder::new()
        .name("procbox-ctrl-c".into())
        .spawn(call_hooks)
        .map_err(|e| os("thread", e))?;
    // SAFETY: the handler sets atomics, and writes, wakes, kills and exits by system calls alone.
    unsafe { signals::on_sigint(on_signal) }.map_err(|e| os("sigaction", e))?;
    *installed = true;
    state::watch();
    Ok(())
}

/// Answers SIGTERM and SIGHUP as Ctrl-C from now on, except one that is ignored at this time, as by
/// `nohup`. For commands that run others, which are to leave nothing behind. A second one only of
/// these two changes nothing: `timeout` and terminals send several.
///
/// ```
/// use procbox_core::Error;
/// procbox_native::answer_termination()?;
/// let ctx = procbox_native::context()?;
/// let q = ctx.queue::<u32>(1)?;
/// # nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM).unwrap();
/// assert_eq!(q.get(), Err(Error::Interrupted)); // after a SIGTERM
/// # Ok::<(), procbox_core::Error>(())
/// ```
///
/// # Errors
/// [`procbox_core::Error::Os`].
pub fn answer_termination() -> Result<()> {
    answer_ctrl_c()?;
    // SAFETY: the handler is that of Ctrl-C, which is installed.
    unsafe { signals::on_termination() }.map_err(|e| os("sigaction", e))
}

/// The number of the first signal that was answered, if any was: also after [`clear_interrupt`]. For
/// the exit status, 128 and this number.
///
/// ```
/// procbox_native::answer_ctrl_c()?;
/// assert_eq!(procbox_native::answered_signal(), None);
/// # nix::sys::signal::raise(nix::sys::signal::Signal::SIGINT).unwrap();
/// # let ctrl_c_came = true;
/// if ctrl_c_came {
///     assert_eq!(procbox_native::answered_signal(), Some(2));
/// }
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub fn answered_signal() -> Option<i32> {
    match SIGNAL.load(Ordering::SeqCst) {
        0 => None,
        signal => Some(signal),
    }
}

/// True if Ctrl-C arrived and was not cleared.
///
/// ```
/// procbox_native::answer_ctrl_c()?;
/// # nix::sys::signal::raise(nix::sys::signal::Signal::SIGINT).unwrap();
/// while !procbox_native::interrupted() {
///     println!("one more round");
/// }
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub fn interrupted() -> bool {
    local::interrupted().unwrap_or_else(state::is_set)
}

/// Forgets a Ctrl-C, so that calls block again.
///
/// ```
/// # procbox_native::answer_ctrl_c()?;
/// # nix::sys::signal::raise(nix::sys::signal::Signal::SIGINT).unwrap();
/// if procbox_native::interrupted() {
///     println!("saving what there is");
///     procbox_native::clear_interrupt(); // from here on Ctrl-C may come again
/// }
/// assert!(!procbox_native::interrupted());
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub fn clear_interrupt() {
    if local::clear_interrupt() {
        return;
    }
    // Held, so that a hook that is late is not called for what was cleared.
    let hooks = hooks();
    hooks.iter().for_each(|hook| hook(false));
    FROM_TERMINAL.store(false, Ordering::SeqCst);
    ASKED.store(false, Ordering::SeqCst);
    state::drain();
    // One that comes until here finds the state set, and one from here on sets it anew.
    state::clear();
    if ASKED.load(Ordering::SeqCst) {
        note();
    }
}

/// True if the Ctrl-C that [`interrupted`] tells of came from a terminal. Then the programs that were
/// started there have it too; after a `kill -INT` they may not.
///
/// ```
/// assert!(!procbox_native::interrupted_by_terminal());
/// ```
pub fn interrupted_by_terminal() -> bool {
    interrupted() && FROM_TERMINAL.load(Ordering::SeqCst)
}

/// Has `hook` called whenever Ctrl-C arrives after [`answer_ctrl_c`], with `true`, on a thread of
/// procbox's own, and whenever it is cleared, with `false`, by who clears it. Never both at once, and
/// never with `true` for what was cleared. Hooks stay for the life of the process.
///
/// ```
/// procbox_native::on_interrupt(|came| {
///     if came {
///         eprintln!("Ctrl-C: press it again to end at once");
///     }
/// });
/// procbox_native::answer_ctrl_c()?;
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub fn on_interrupt(hook: fn(bool)) {
    hooks().push(hook);
}

fn hooks() -> MutexGuard<'static, Vec<fn(bool)>> {
    HOOKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts a child on record for the second Ctrl-C.
pub(crate) fn record_child(pid: i32) {
    let free = |slot: &&AtomicI32| {
        slot.compare_exchange(0, pid, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    };
    let _ = CHILDREN.iter().find(free);
}

/// Takes a child off the record, before it is reaped and its pid free for others.
pub(crate) fn forget_child(pid: i32) {
    let mine = |slot: &&AtomicI32| {
        slot.compare_exchange(pid, 0, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    };
    let _ = CHILDREN.iter().find(mine);
}

/// Notes an interrupt and wakes who is blocked; may be called from a signal handler.
fn note() {
    let errno = Errno::last_raw();
    if state::set() {
        futex::wake_all(state::word());
        TIMES.fetch_add(1, Ordering::SeqCst);
        futex::wake_all(&TIMES);
        state::signal();
    }
    Errno::set_raw(errno);
}

/// In a worker: its parent asks for it to be interrupted.
pub(crate) extern "C" fn requested(_: i32) {
    if state::answers() {
        note();
    } else {
        signals::raise_sigint();
    }
}

fn on_signal(signal: i32, from: Sender) {
    FROM_TERMINAL.fetch_or(from == Sender::Terminal, Ordering::SeqCst);
    let _ = SIGNAL.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
    note();
    // One that procbox passes on is one that this process may have had itself, before or after. Who
    // closes a terminal or runs into a time limit does not ask twice, however many signals that makes.
    let again = from != Sender::Procbox && ASKED.swap(true, Ordering::SeqCst);
    if !again || !signals::is_sigint(signal) {
        return;
    }
    for pid in &CHILDREN {
        // SAFETY: a pid is taken off the record before its process is reaped.
        unsafe { signals::kill_child(pid.load(Ordering::SeqCst)) };
    }
    syscalls::exit_now(130);
}

fn call_hooks() {
    let forever = procbox_core::time::Deadline::from(None);
    let mut seen = 0;
    loop {
        while TIMES.load(Ordering::SeqCst) == seen {
            futex::wait_plain(&TIMES, seen, forever);
        }
        seen = TIMES.load(Ordering::SeqCst);
        let hooks = hooks();
        if interrupted() {
            hooks.iter().for_each(|hook| hook(true));
        }
    }
}
