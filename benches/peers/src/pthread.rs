//! The C library's mutex, in shared memory and robust: as much as ours promises.

use crate::child::Shared;
use nix::libc;
use procbox_benches::{Case, timed};
use std::mem::MaybeUninit;
use std::time::Duration;

pub(super) fn cases() -> Vec<Case> {
    let (group, contender) = ("lock/uncontended", "pthread, robust");
    vec![Case { group, contender, ops: None, run: Box::new(lock) }]
}

fn lock(n: u64) -> anyhow::Result<Duration> {
    let mutex: Shared<libc::pthread_mutex_t> = Shared::new()?;
    let mut attributes = MaybeUninit::uninit();
    let attributes = attributes.as_mut_ptr();
    // SAFETY: the attributes are initialized first, the mutex after them and before it is used.
    unsafe {
        libc::pthread_mutexattr_init(attributes);
        libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST);
        libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED);
        libc::pthread_mutex_init(mutex.get(), attributes);
    }
    let took = timed(n, || {
        // SAFETY: it is initialized, and stays where it is until it is destroyed below.
        let failed = unsafe {
            libc::pthread_mutex_lock(mutex.get()) | libc::pthread_mutex_unlock(mutex.get())
        };
        anyhow::ensure!(failed == 0, "pthread_mutex_lock");
        Ok(())
    });
    // SAFETY: nobody has it.
    unsafe { libc::pthread_mutex_destroy(mutex.get()) };
    took
}
