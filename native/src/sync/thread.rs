//! What a thread knows of itself: its id, and the head of the list of robust locks that it holds, which
//! the kernel goes through at its end.

use super::robust::WORD_FROM_ENTRY;
use crate::syscalls;
use nix::libc;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The kernel's `struct robust_list_head`.
#[repr(C)]
pub(super) struct Head {
    pub(super) list: AtomicUsize,
    futex_offset: AtomicUsize,
    pub(super) pending: AtomicUsize,
    /// So that no reference to a head leaves its thread.
    stays: PhantomData<*const ()>,
}

/// A head for a thread that has none, with the `prev` that glibc has in front of its own.
#[repr(C)]
struct OwnHead {
    prev: AtomicUsize,
    head: Head,
}

thread_local! {
    /// The thread's id and its list head; `(0, null)` until first used.
    static ME: Cell<(u32, *const Head)> = const { Cell::new((0, ptr::null())) };
    static OWN: OwnHead = const {
        OwnHead {
            prev: AtomicUsize::new(0),
            head: Head {
                list: AtomicUsize::new(0),
                futex_offset: AtomicUsize::new(WORD_FROM_ENTRY as usize),
                pending: AtomicUsize::new(0),
                stays: PhantomData,
            },
        }
    };
}

/// The calling thread's id, and its list head.
#[inline]
pub(super) fn me() -> (u32, &'static Head) {
    let (mut tid, mut head) = ME.get();
    if head.is_null() {
        (tid, head) = first_use();
    }
    // SAFETY: the head is in the thread's descriptor or in thread-local storage without a destructor,
    // which live as long as the thread; it is not `Sync`, so the reference stays in it.
    (tid, unsafe { &*head })
}

#[cold]
fn first_use() -> (u32, *const Head) {
    let me = (thread_id(), register());
    ME.set(me);
    me
}

/// True on the thread that the process began with.
pub(crate) fn is_main_thread() -> bool {
    me().0 == syscalls::pid()
}

/// The calling thread's id.
pub(crate) fn my_id() -> u32 {
    me().0
}

fn thread_id() -> u32 {
    // SAFETY: it has no preconditions.
    unsafe { libc::gettid() as u32 }
}

/// The head that glibc registered, or else one of our own.
fn register() -> *const Head {
    let mut head: *const Head = ptr::null();
    let mut size: usize = 0;
    // SAFETY: it writes to two locals.
    unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &mut head, &mut size) };
    // SAFETY: null, or the address that this thread registered, which is still valid.
    let registered = unsafe { head.as_ref() };
    let same = |head: &&Head| head.futex_offset.load(Ordering::Relaxed) as isize == WORD_FROM_ENTRY;
    if let Some(head) = registered.filter(same) {
        return head;
    }
    OWN.with(|own| {
        let head = ptr::from_ref(&own.head);
        own.head.list.store(head as usize, Ordering::Relaxed);
        // SAFETY: the head is thread-local, without a destructor, and an empty list.
        unsafe { set_head(head) };
        head
    })
}

/// # Safety
/// The head lives as long as the calling thread, and is a valid list.
unsafe fn set_head(head: *const Head) {
    // SAFETY: the caller promises it.
    unsafe { libc::syscall(libc::SYS_set_robust_list, head, size_of::<Head>()) };
}

/// Forgets what the thread that was forked from knew, and registers its list head (which has the
/// same address here, and is empty: a zygote holds no lock when it forks) with the kernel again.
pub(crate) fn after_fork() {
    let (_, head) = me();
    head.list.store(ptr::from_ref(head) as usize, Ordering::Relaxed);
    head.pending.store(0, Ordering::Relaxed);
    // SAFETY: the head is this thread's own, and was made an empty list just now.
    unsafe { set_head(head) };
    ME.set((thread_id(), head));
}

/// Makes the thread find its list head, before a fork after which the kernel has none.
pub(crate) fn before_fork() {
    me();
}
