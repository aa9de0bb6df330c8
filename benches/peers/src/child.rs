//! A second process for peers that are for several: a fork of this one, and memory that both have.

use anyhow::Context as _;
use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::ptr::NonNull;

/// A fork of this process that does one thing and ends. Dropped, it is killed if it has not.
pub(super) struct Child(Option<Pid>);

impl Child {
    /// Does `body` in a fork of this process.
    pub(super) fn start(body: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Child> {
        // SAFETY: other threads of this process hold no lock that the body needs: it is about memory and
        // descriptors that it alone uses, and the C library sees to its own locks when it forks.
        match unsafe { fork() }.context("fork")? {
            ForkResult::Parent { child } => Ok(Child(Some(child))),
            ForkResult::Child => {
                let ended = body();
                if let Err(e) = &ended {
                    eprintln!("a peer's process: {e:#}");
                }
                // SAFETY: nothing is left to be done: what is registered for the end is the parent's.
                unsafe { libc::_exit(i32::from(ended.is_err())) }
            }
        }
    }

    /// Waits for its end.
    pub(super) fn join(mut self) -> anyhow::Result<()> {
        let Some(pid) = self.0.take() else { return Ok(()) };
        match waitpid(pid, None)? {
            WaitStatus::Exited(_, 0) => Ok(()),
            other => anyhow::bail!("a peer's process ended by {other:?}"),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            let _ = waitpid(pid, None);
        }
    }
}

/// A page that this process and those that it forks have in common, with a `T` in it that is made of C's
/// own shared types.
pub(super) struct Shared<T>(NonNull<T>);

const PAGE: usize = 4096;

impl<T> Shared<T> {
    /// All zero.
    pub(super) fn new() -> anyhow::Result<Shared<T>> {
        anyhow::ensure!(size_of::<T>() <= PAGE, "it is larger than a page");
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, protection, flags, -1, 0) };
        anyhow::ensure!(page != libc::MAP_FAILED, "mmap");
        Ok(Shared(NonNull::new(page.cast()).context("mmap")?))
    }

    pub(super) fn get(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `new`, and nobody has a pointer there that outlives this.
        unsafe { libc::munmap(self.0.as_ptr().cast(), PAGE) };
    }
}
