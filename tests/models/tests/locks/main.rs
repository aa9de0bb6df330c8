//! Robust locks: the production file, with threads for processes, a kernel that does for the dead what
//! Linux does, and a thread that is killed before each of its steps.
//!
//! Seen to fail when:
//!
//! - the lock is taken without acquire, at once or after a wait, or given back without release;
//! - `pending` is not set while it is taken or given back, or is cleared before it is on the list;
//! - it is not put on the list, or not taken off;
//! - who has slept does not note that others may; giving back wakes nobody;
//! - a death is not told, or not told again after a repair that failed;
//! - the recovery does not wake those who sleep.
//!
//! It does not fail when who takes the lock drops the mark of waiters that is on it after a death: the
//! one that the kernel has woken puts it there again.

#![cfg(loom)]

mod holders;
#[allow(dead_code, reason = "the backend uses all of it")]
mod sync;

mod syscalls {
    pub(crate) fn is_own_thread(_: u32) -> bool {
        true
    }
}
