//! A lock between processes that its holder's death gives back: a robust futex.
//!
//! It joins the list of robust locks that glibc registers with the kernel for each thread, so it
//! has the shape of a `pthread_mutex_t`: the word at 0, the list node's `prev` at 24 and `next` at
//! 32. When a thread dies the kernel walks the list and replaces the thread's id in each word by
//! `OWNER_DIED`, waking one waiter. `list_op_pending` names the lock that is being acquired, waited
//! for or released, so that no moment is left out: a waiter that is killed after it was woken makes
//! the kernel wake another (see `handle_futex_death` in the kernel's `futex/core.c`).
//!
//! The list is why a held lock must stay where it is: the thread's next acquire or release writes to
//! it, and at the thread's end the kernel does. Locks that are held for moments are held by
//! [`RobustLock::hold`], which sees to that; [`RobustLock::acquire`] leaves it to its caller.
//!
//! `tests/models` goes through the interleavings of this file, with a thread killed before each step.

use super::atomic::{AtomicU32, AtomicUsize, Ordering};
use super::futex::{self, Woke};
use super::patience::Patience;
use super::thread::{Head, me};
use crate::syscalls;
use nix::libc;
use procbox_core::time::{Deadline, SystemClock};
use procbox_core::{Error, Result, Wait};
use std::mem::offset_of;
use std::ptr;
use std::sync::atomic::compiler_fence;
use std::time::Duration;

const WAITERS: u32 = libc::FUTEX_WAITERS;
const OWNER_DIED: u32 = libc::FUTEX_OWNER_DIED;
const TID: u32 = libc::FUTEX_TID_MASK;
/// The first moments of a wait: after these it is looked whether it can end at all.
pub(crate) const FIRST: Duration = Duration::from_millis(100);
/// Number of times that a contended lock is tried before sleeping. The models' scheduler does that.
const SPINS: u32 = if cfg!(loom) { 0 } else { 100 };
/// From a list entry (the address of `next`) to its lock word.
pub(super) const WORD_FROM_ENTRY: isize =
    offset_of!(RobustLock, word) as isize - offset_of!(RobustLock, next) as isize;
/// From a list entry to its `prev`, in a lock and in glibc's thread descriptor alike.
const PREV_FROM_ENTRY: usize = size_of::<AtomicUsize>();

/// In place of a thread's id, above all of those: a process has it for somebody whom it runs. The rest is
/// the process's slot. No list leads to such a lock, so it is given back by the process's recovery.
const FOR_ANOTHER: u32 = 1 << 29;

/// A robust lock. All zero is unlocked.
#[repr(C, align(8))]
#[derive(Debug, Default)]
pub(crate) struct RobustLock {
    /// The holder's thread id, `WAITERS`, `OWNER_DIED`; 0 when free.
    word: AtomicU32,
    /// Other fields of a `pthread_mutex_t`; unused.
    unused: [AtomicU32; 5],
    /// List links, addresses in the holder's process; meaningful while held.
    prev: AtomicUsize,
    next: AtomicUsize,
}

// The models' atomics have other sizes.
const _: () = assert!(cfg!(loom) || (size_of::<RobustLock>() == 40 && WORD_FROM_ENTRY == -32));

/// The way in which a held lock is waited for.
#[derive(Clone, Copy)]
enum Waiting<'a> {
    /// As a call that waits for this very lock, which its holder may keep for as long as it likes. One
    /// without a bound is for the first moments only: see [`RobustLock::acquire`].
    AsCalled(Wait),
    /// The same, until the deadline, and until one of these words has another value than this.
    Watching(&'a [(&'a AtomicU32, u32)], Deadline),
    /// As a call that needs the lock for a moment, on its way to something else.
    ForMoments(&'a Patience),
}

/// The atomic at an address of this thread's robust list.
///
/// # Safety
/// The address is that of a link of a lock that this thread holds, or of its list head.
#[inline]
unsafe fn link(address: usize) -> &'static AtomicUsize {
    // SAFETY: by the caller's promise; held locks stay mapped.
    unsafe { &*ptr::with_exposed_provenance::<AtomicUsize>(address) }
}

impl RobustLock {
    #[inline]
    fn entry(&self) -> usize {
        ptr::from_ref(&self.next).expose_provenance()
    }

    /// Takes the lock; true if the last holder died with it. A wait without a bound runs out after
    /// [`FIRST`]: the caller goes on by [`RobustLock::acquire_watching`].
    ///
    /// # Safety
    /// The lock stays mapped where it is until the calling thread has released it or has ended.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::AlreadyHeld`], [`Error::Interrupted`].
    // Always: the fast path of a lock is not worth a call.
    #[inline(always)]
    pub(crate) unsafe fn acquire(&self, wait: Wait) -> Result<bool> {
        // SAFETY: the caller promises it.
        unsafe { self.acquire_as(Waiting::AsCalled(wait)) }
    }

    /// The same, until the deadline, and until one of these words has another value than this.
    ///
    /// # Safety
    /// As for [`RobustLock::acquire`].
    ///
    /// # Errors
    /// As for [`RobustLock::acquire`]; [`Error::TimedOut`] too if the word has changed.
    pub(crate) unsafe fn acquire_watching(
        &self,
        words: &[(&AtomicU32, u32)],
        until: Deadline,
    ) -> Result<bool> {
        // SAFETY: the caller promises it.
        unsafe { self.acquire_as(Waiting::Watching(words, until)) }
    }

    /// # Safety
    /// As for [`RobustLock::acquire`].
    #[inline(always)]
    unsafe fn acquire_as(&self, waiting: Waiting<'_>) -> Result<bool> {
        // The fast path ends here: a result that is carried on costs more than the lock.
        // SAFETY: the caller promises it.
        if unsafe { self.acquire_free() } {
            return Ok(false);
        }
        // SAFETY: as above.
        unsafe { self.acquire_otherwise(waiting) }
    }

    /// Takes the lock if it is free and nobody died with it; whether it did.
    ///
    /// # Safety
    /// As for [`RobustLock::acquire`].
    #[inline(always)]
    pub(crate) unsafe fn acquire_free(&self) -> bool {
        let (tid, head) = me();
        head.pending.store(self.entry(), Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        let free = self.word.compare_exchange(0, tid, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if free {
            // SAFETY: this thread has just taken it, and the head is its own.
            unsafe { self.enqueue(head) };
        }
        compiler_fence(Ordering::SeqCst);
        head.pending.store(0, Ordering::Relaxed);
        free
    }

    /// Takes the lock if it was not to be had like that.
    ///
    /// # Safety
    /// As for [`RobustLock::acquire`].
    #[cold]
    #[inline(never)]
    unsafe fn acquire_otherwise(&self, waiting: Waiting<'_>) -> Result<bool> {
        let (tid, head) = me();
        head.pending.store(self.entry(), Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        let acquired = self.acquire_slowly(tid, waiting);
        if acquired.is_ok() {
            // SAFETY: as above.
            unsafe { self.enqueue(head) };
        }
        compiler_fence(Ordering::SeqCst);
        head.pending.store(0, Ordering::Relaxed);
        acquired
    }

    fn acquire_slowly(&self, tid: u32, waiting: Waiting<'_>) -> Result<bool> {
        let mut spins = SPINS;
        let mut deadline: Option<Deadline> = None;
        // Set once this thread has slept: others may sleep still, and whoever unlocks must know.
        let mut others = 0;
        loop {
            let word = self.word.load(Ordering::Relaxed);
            if let Waiting::Watching(words, _) = waiting
                && words.iter().any(|(word, before)| word.load(Ordering::SeqCst) != *before)
            {
                // The wake that may have been meant for this thread goes to another.
                futex::wake(&self.word, 1);
                return Err(Error::TimedOut);
            }
            if word & TID == 0 {
                let mine = tid | others | (word & WAITERS);
                let swap =
                    self.word.compare_exchange(word, mine, Ordering::Acquire, Ordering::Relaxed);
                if swap.is_ok() {
                    return Ok(word & OWNER_DIED != 0);
                }
                continue;
            }
            if word & TID == tid {
                return Err(Error::AlreadyHeld);
            }
            if spins > 0 {
                spins -= 1;
                std::hint::spin_loop();
                continue;
            }
            if matches!(waiting, Waiting::AsCalled(wait) if wait.is_never()) {
                return Err(Error::TimedOut);
            }
            let expected = word | WAITERS;
            if word != expected
                && self
                    .word
                    .compare_exchange(word, expected, Ordering::Relaxed, Ordering::Relaxed)
                    .is_err()
            {
                continue;
            }
            let woke = match waiting {
                Waiting::AsCalled(wait) => {
                    let wait = if wait == Wait::Forever { Wait::AtMost(FIRST) } else { wait };
                    let until = *deadline.get_or_insert_with(|| wait.deadline(&SystemClock));
                    futex::wait(&self.word, expected, until)
                }
                Waiting::Watching(words, until) => {
                    futex::wait_many(&[&[(&self.word, expected)], words].concat(), until)
                }
                Waiting::ForMoments(patience) => patience.wait(&self.word, expected),
            };
            match woke {
                Woke::Look => others = WAITERS,
                Woke::TimedOut => return Err(Error::TimedOut),
                Woke::Interrupted => {
                    // The wake that was meant for this thread goes to another.
                    futex::wake(&self.word, 1);
                    return Err(Error::Interrupted);
                }
            }
        }
    }

    /// # Safety
    /// The calling thread holds the lock, which is not on its list yet, and the head is its own.
    #[inline]
    unsafe fn enqueue(&self, head: &Head) {
        let first = head.list.load(Ordering::Relaxed);
        self.next.store(first, Ordering::Relaxed);
        self.prev.store(ptr::from_ref(head).expose_provenance(), Ordering::Relaxed);
        // SAFETY: `first` is the head, or the entry of a lock that this thread holds (bit 0 is
        // glibc's mark of a priority-inheriting one); both have a `prev` in front.
        unsafe { link((first & !1) - PREV_FROM_ENTRY) }.store(self.entry(), Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        head.list.store(self.entry(), Ordering::Relaxed);
    }

    /// # Safety
    /// The calling thread holds the lock, which is on its list.
    #[inline]
    unsafe fn dequeue(&self) {
        let next = self.next.load(Ordering::Relaxed);
        let prev = self.prev.load(Ordering::Relaxed);
        // SAFETY: the neighbours are the head or locks that this thread holds.
        unsafe { link((next & !1) - PREV_FROM_ENTRY) }.store(prev, Ordering::Relaxed);
        // SAFETY: as above; an entry is the address of its own `next`.
        unsafe { link(prev & !1) }.store(next, Ordering::Relaxed);
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// [`Error::NotHolder`] if the calling thread does not hold it.
    #[inline]
    pub(crate) fn release(&self) -> Result<()> {
        self.release_as(0)
    }

    /// Gives the lock back, with this as its word.
    #[inline(always)]
    fn release_as(&self, free: u32) -> Result<()> {
        let (tid, head) = me();
        if self.word.load(Ordering::Relaxed) & TID != tid {
            return Err(Error::NotHolder);
        }
        head.pending.store(self.entry(), Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        // SAFETY: by its word, this thread holds it, and puts each lock that it takes on its list.
        unsafe { self.dequeue() };
        compiler_fence(Ordering::SeqCst);
        if self.word.swap(free, Ordering::Release) & WAITERS != 0 {
            futex::wake(&self.word, 1);
        }
        compiler_fence(Ordering::SeqCst);
        head.pending.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Holds the lock while `work` runs, which is told whether the last holder died; for locks that
    /// are held for moments only. If `work` fails after a death, the next holder is told of it again.
    ///
    /// # Errors
    /// [`Error::TimedOut`] and [`Error::Interrupted`] if the patience ends before the lock is to be had,
    /// [`Error::AlreadyHeld`], and those of `work`.
    #[inline]
    pub(crate) fn hold<R>(
        &self,
        patience: &Patience,
        work: impl FnOnce(bool) -> Result<R>,
    ) -> Result<R> {
        // SAFETY: the lock is borrowed for longer than this call, whose last act, also in a panic, is
        // to release it.
        let owner_died = unsafe { self.acquire_as(Waiting::ForMoments(patience)) }?;
        self.work(owner_died, work)
    }

    /// Holds the lock for a few loads and stores; `None`, without them, if it is not free or its last
    /// holder died with it. It does not join the thread's list: meanwhile it is the one lock that
    /// `list_op_pending` names, at which the kernel looks just so when the thread dies.
    ///
    /// # Safety
    /// `work` takes no other robust lock, and does not panic.
    #[inline(always)]
    pub(crate) unsafe fn hold_shortly<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        let (tid, head) = me();
        head.pending.store(self.entry(), Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        let free = self.word.compare_exchange(0, tid, Ordering::Acquire, Ordering::Relaxed).is_ok();
        let done = free.then(|| {
            let done = work();
            if self.word.swap(0, Ordering::Release) & WAITERS != 0 {
                futex::wake(&self.word, 1);
            }
            done
        });
        compiler_fence(Ordering::SeqCst);
        head.pending.store(0, Ordering::Relaxed);
        done
    }

    /// Like [`RobustLock::hold`], but `None`, without `work`, if somebody holds it now.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) fn try_hold<R>(&self, work: impl FnOnce(bool) -> Result<R>) -> Result<Option<R>> {
        // SAFETY: as in `hold`.
        match unsafe { self.acquire_as(Waiting::AsCalled(Wait::Never)) } {
            Ok(owner_died) => self.work(owner_died, work).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Works, and releases the lock, which this thread holds.
    #[inline]
    fn work<R>(&self, owner_died: bool, work: impl FnOnce(bool) -> Result<R>) -> Result<R> {
        let mut held = Holding { lock: self, unrepaired: owner_died };
        let done = work(owner_died);
        if owner_died {
            held.unrepaired = done.is_err();
        }
        done
    }

    /// Takes the lock, if it is free, for somebody whom the process in this slot runs; true if the last
    /// holder died with it, `None` if it is taken.
    pub(crate) fn acquire_for(&self, slot: u32) -> Option<bool> {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & TID == 0 {
            let taken = FOR_ANOTHER | slot | word & WAITERS;
            match self.word.compare_exchange(word, taken, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(word & OWNER_DIED != 0),
                Err(now) => word = now,
            }
        }
        None
    }

    /// Gives back what was taken so for somebody; `died` is what the next holder is told.
    ///
    /// # Errors
    /// [`Error::NotHolder`] if it was not.
    pub(crate) fn release_for(&self, slot: u32, died: bool) -> Result<()> {
        let held = self.slot();
        if held != Some(slot) {
            return Err(Error::NotHolder);
        }
        let free = if died { OWNER_DIED } else { 0 };
        // Whoever is killed before the wake is made up for by the recovery of its process.
        if self.word.swap(free, Ordering::Release) & WAITERS != 0 {
            futex::wake(&self.word, 1);
        }
        Ok(())
    }

    /// The slot of the process that has it for somebody, if it is held so.
    pub(crate) fn slot(&self) -> Option<u32> {
        let holder = self.word.load(Ordering::Acquire) & TID;
        (holder & FOR_ANOTHER != 0).then_some(holder & !FOR_ANOTHER)
    }

    /// True if a thread of this process holds it, on whose list it is then.
    pub(crate) fn is_held_here(&self) -> bool {
        let holder = self.word.load(Ordering::Acquire) & TID;
        // One that is gone by the time of the question has been taken off its list by the kernel.
        holder != 0 && syscalls::is_own_thread(holder)
    }

    /// The id of the thread that holds it now, if any.
    pub(crate) fn holder(&self) -> Option<u32> {
        Some(self.word.load(Ordering::SeqCst) & TID).filter(|tid| *tid != 0)
    }

    /// True if nobody holds it, or who did has died.
    pub(crate) fn is_free(&self) -> bool {
        self.word.load(Ordering::Acquire) & TID == 0
    }

    /// Says that somebody is going to sleep until it is given back: the value while its word has which to
    /// sleep. `None` if it is free, or who held it has died.
    pub(crate) fn want(&self) -> Option<u32> {
        loop {
            let word = self.word.load(Ordering::Relaxed);
            if word & TID == 0 {
                return None;
            }
            let wanted = word | WAITERS;
            let order = Ordering::Relaxed;
            if word == wanted || self.word.compare_exchange(word, wanted, order, order).is_ok() {
                return Some(wanted);
            }
        }
    }

    /// The word on which to sleep.
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.word
    }

    /// Hands on a wake to one who sleeps until it is given back.
    pub(crate) fn wake_one(&self) {
        futex::wake(&self.word, 1);
    }

    /// Makes all who sleep look again: for a process that died when it had been woken, or before it
    /// woke. The kernel wakes another in its place, but not if somebody took the lock in between
    /// without having slept.
    pub(crate) fn wake_all(&self) {
        futex::wake_all(&self.word);
    }
}

/// Releases a lock that this thread holds when dropped, in a panic too.
struct Holding<'a> {
    lock: &'a RobustLock,
    /// What the last holder left is not repaired, so the next one has to be told.
    unrepaired: bool,
}

impl Drop for Holding<'_> {
    #[inline]
    fn drop(&mut self) {
        // It fails only when the thread does not hold the lock, which `hold` rules out.
        let _ = self.lock.release_as(if self.unrepaired { OWNER_DIED } else { 0 });
    }
}
