//! The state of Ctrl-C: the word and the descriptor that blocked calls watch.
//!
//! Only threads that answer Ctrl-C watch them. What is done about it is said in `interrupt`.

use crate::signals;
use crate::syscalls::os;
use nix::sys::eventfd::{EfdFlags, EventFd};
use procbox_core::Result;
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// 1 from Ctrl-C until it is cleared.
static INTERRUPTED: AtomicU32 = AtomicU32::new(0);
/// Readable while interrupted; none in a process that does not answer.
static EVENT: OnceLock<EventFd> = OnceLock::new();

thread_local! {
    static ANSWERS: Cell<bool> = const { Cell::new(false) };
}

/// Makes the descriptor, so that this process answers from now on.
pub(crate) fn prepare() -> Result<()> {
    if EVENT.get().is_none() {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let event = EventFd::from_flags(flags).map_err(|e| os("eventfd", e))?;
        EVENT.get_or_init(|| event);
    }
    Ok(())
}

/// True if this process answers Ctrl-C, so that its children need not.
pub(crate) fn answers() -> bool {
    EVENT.get().is_some()
}

/// Has the calling thread watch from now on.
pub(crate) fn watch() {
    ANSWERS.set(true);
}

/// The word to watch while blocked, if the calling thread answers Ctrl-C.
pub(crate) fn watched() -> Option<&'static AtomicU32> {
    ANSWERS.get().then_some(&INTERRUPTED)
}

/// Descriptor that becomes readable on Ctrl-C, if the calling thread answers it.
pub(crate) fn watched_fd() -> Option<BorrowedFd<'static>> {
    if ANSWERS.get() { EVENT.get().map(|event| event.as_fd()) } else { None }
}

/// True if it came and was not cleared.
pub(crate) fn is_set() -> bool {
    INTERRUPTED.load(Ordering::SeqCst) != 0
}

/// Sets it, from a signal handler; whether it was not set before. Who is blocked has to be woken, too.
pub(crate) fn set() -> bool {
    INTERRUPTED.swap(1, Ordering::SeqCst) == 0
}

/// The word, for waking those who wait for it.
pub(crate) fn word() -> &'static AtomicU32 {
    &INTERRUPTED
}

/// Makes the descriptor readable, from a signal handler.
pub(crate) fn signal() {
    if let Some(event) = EVENT.get() {
        signals::signal_event(event.as_fd());
    }
}

/// Makes the descriptor unreadable again.
pub(crate) fn drain() {
    if let Some(event) = EVENT.get() {
        // It fails only when there is nothing to read.
        let _ = event.read();
    }
}

/// Clears it.
pub(crate) fn clear() {
    INTERRUPTED.store(0, Ordering::SeqCst);
}
