//! The futex system calls: wait for one word or for several, and wake.
//!
//! A wait of the thread that answers Ctrl-C also watches the process-private interrupt word, with
//! `futex_waitv` (Linux 5.16); where there is none, it sleeps for moments. All words of the arena are
//! shared between processes.

use super::interrupted;
use nix::errno::Errno;
use nix::libc;
use procbox_core::Wait;
use procbox_core::time::{Deadline, SystemClock};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The most queues and pipes of one [`wait_many`]: the kernel's 128 words less one each for Ctrl-C,
/// for children, for the parent's death, and for sockets that another thread looks at.
pub(crate) const MOST_WORDS: usize = 124;

/// Where the kernel cannot wait for several words, they are looked at so often.
const LOOK: Duration = Duration::from_millis(5);

/// End of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woke {
    /// Woken, or the word had another value, or for no reason: look again.
    Look,
    /// The deadline passed.
    TimedOut,
    /// Ctrl-C, on the thread that answers it.
    Interrupted,
}

/// Timeouts longer than this are for ever (the kernel's clock would overflow on larger ones).
const LONGEST: Duration = Duration::from_secs(1 << 32);

/// Wakes up to `most` threads that wait for `word`, in all processes.
pub(crate) fn wake(word: &AtomicU32, most: i32) {
    // SAFETY: the kernel uses the address as a key only.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, most) };
}

/// Wakes all threads that wait for `word`.
pub(crate) fn wake_all(word: &AtomicU32) {
    wake(word, i32::MAX);
}

/// Waits while `word` is `expected`, until a wake, the deadline, or Ctrl-C.
pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Deadline) -> Woke {
    if interrupted::watched().is_some() {
        return wait_many(&[(word, expected)], deadline);
    }
    wait_plain(word, expected, deadline)
}

/// Like [`wait`], but deaf to Ctrl-C: for locks that are held for moments only.
pub(crate) fn wait_plain(word: &AtomicU32, expected: u32, deadline: Deadline) -> Woke {
    let timeout = match remaining(deadline) {
        Some(d) if d.is_zero() => return Woke::TimedOut,
        other => other.map(timespec),
    };
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the word is alive for the call, and the timeout is null or points at a local.
    let result = unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, timeout)
    };
    if result == -1 && Errno::last() == Errno::ETIMEDOUT { Woke::TimedOut } else { Woke::Look }
}

#[repr(C)]
struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

const SIZE_U32: u32 = 2;

/// Waits while every word has its expected value. At most [`MOST_WORDS`] words.
pub(crate) fn wait_many(words: &[(&AtomicU32, u32)], deadline: Deadline) -> Woke {
    let watched = interrupted::watched();
    if watched.is_some_and(|word| word.load(Ordering::SeqCst) != 0) {
        return Woke::Interrupted;
    }
    let shared = words.iter().map(|(word, value)| waiter(word, *value, SIZE_U32));
    // Not marked as private, though it is: the wake is not either, and the kernel tells them apart.
    let interrupt = watched.map(|word| waiter(word, 0, SIZE_U32));
    let waiters: Vec<Waiter> = shared.chain(interrupt).collect();
    let timeout = match remaining(deadline) {
        Some(d) if d.is_zero() => return Woke::TimedOut,
        other => other.map(|d| timespec(now() + d)),
    };
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the list is alive for the call and has the length given, each word in it is alive
    // for the call, and the timeout is null or points at a local.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            waiters.as_ptr(),
            waiters.len(),
            0,
            timeout,
            libc::CLOCK_MONOTONIC,
        )
    };
    let error = if result == -1 { Errno::last() } else { Errno::UnknownErrno };
    if matches!(error, Errno::ENOSYS | Errno::EPERM) {
        // Before Linux 5.16, or a filter that does not know the call. The caller looks again.
        if let [(word, value), ..] = words {
            let limit = deadline.min(Wait::AtMost(LOOK).deadline(&SystemClock));
            wait_plain(word, *value, limit);
        }
    }
    if watched.is_some_and(|word| word.load(Ordering::SeqCst) != 0) {
        Woke::Interrupted
    } else if error == Errno::ETIMEDOUT {
        Woke::TimedOut
    } else {
        Woke::Look
    }
}

fn waiter(word: &AtomicU32, value: u32, flags: u32) -> Waiter {
    Waiter { value: value.into(), address: word.as_ptr() as u64, flags, reserved: 0 }
}

fn remaining(deadline: Deadline) -> Option<Duration> {
    deadline.remaining(&SystemClock).filter(|d| *d < LONGEST)
}

fn timespec(d: Duration) -> libc::timespec {
    libc::timespec { tv_sec: d.as_secs() as libc::time_t, tv_nsec: d.subsec_nanos().into() }
}

/// The time by the kernel's monotonic clock, which is the same in all processes.
pub(crate) fn now() -> Duration {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes to a local.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut at) };
    Duration::new(at.tv_sec as u64, at.tv_nsec as u32)
}
