//! Robust locks: the production file, with threads for processes, a kernel that does for the dead what
//! Linux does, and a thread that is killed before each of its steps.

#![cfg(loom)]

mod holders;
#[allow(dead_code, reason = "the backend uses all of it")]
mod sync;

mod syscalls {
    pub(crate) fn is_own_thread(_: u32) -> bool {
        true
    }
}
