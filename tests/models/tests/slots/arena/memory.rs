//! The memory that the processes share, and its atomics: flat, as an arena is, and all of it zero when a
//! run begins.
//!
//! What is read by others without the arena's lock is the process table; so an access to its words is a
//! step of its own, and each write of a transaction that is committed.

use crate::arena::layout::{HEAP, Header, LogEntry, TABLE};
use procbox_models::explore::{self, mix, saw, step};
use std::cell::{Cell, RefCell};
use std::mem::offset_of;

/// The table's beginning and heap enough for a few processes.
pub(crate) const SIZE: u64 = HEAP + (256 << 10);

const WORDS: usize = SIZE as usize / 8;

const LOG_LENGTH: u64 = offset_of!(Header, log_length) as u64;
const LOG: u64 = offset_of!(Header, log) as u64;

thread_local! {
    static BASE: *mut u64 = Box::leak(vec![0_u64; WORDS].into_boxed_slice()).as_mut_ptr();
    /// The words that were written in this run.
    static WRITTEN: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    static DIGEST: Cell<u64> = const { Cell::new(0) };
}

/// The beginning of the memory of this thread's runs.
pub(crate) fn base() -> *mut u8 {
    BASE.with(|base| base.cast())
}

/// Makes all of it zero.
pub(crate) fn clear() {
    for offset in WRITTEN.take() {
        raw(offset).store(0, Ordering::Relaxed);
    }
    DIGEST.set(0);
}

fn raw(offset: u64) -> &'static std::sync::atomic::AtomicU64 {
    assert!(offset < SIZE && offset.is_multiple_of(8));
    // SAFETY: inside of the memory, which is never freed.
    unsafe { &*base().add(offset as usize).cast() }
}

/// A word as it is, for those who look from outside.
pub(crate) fn peek(offset: u64) -> u64 {
    raw(offset).load(Ordering::Relaxed)
}

/// Writes a word, without a step.
pub(crate) fn poke(offset: u64, value: u64) {
    let before = raw(offset).swap(value, Ordering::Relaxed);
    if is_log(offset) {
        WRITTEN.with_borrow_mut(|written| written.push(offset));
        return;
    }
    if before == 0 {
        WRITTEN.with_borrow_mut(|written| written.push(offset));
    }
    let of = |value| if value == 0 { 0 } else { mix(offset, value) };
    DIGEST.set(DIGEST.get() ^ of(before) ^ of(value));
}

/// A digest of all words but the log's.
pub(crate) fn digest() -> u64 {
    DIGEST.get()
}

/// A digest of all words, with the log if it is committed.
pub(crate) fn digest_with_log() -> u64 {
    let committed = peek(LOG_LENGTH) * size_of::<LogEntry>() as u64 / 8;
    (0..committed).fold(digest(), |digest, i| mix(digest, peek(LOG + 8 * i)))
}

fn is_log(offset: u64) -> bool {
    offset >= LOG && offset < size_of::<Header>() as u64
}

/// Whether an access is a step of its own.
fn is_step(offset: u64) -> bool {
    offset == LOG_LENGTH || (TABLE..crate::arena::layout::WAITS).contains(&offset)
}

fn offset_of_word<T>(word: &T) -> Option<u64> {
    let offset = (std::ptr::from_ref(word).addr()).wrapping_sub(base().addr()) as u64;
    (offset < SIZE).then_some(offset)
}

pub(crate) use std::sync::atomic::Ordering;

/// A word of that memory.
#[repr(transparent)]
#[derive(Default)]
pub(crate) struct AtomicU64(std::sync::atomic::AtomicU64);

impl AtomicU64 {
    pub(crate) fn load(&self, _: Ordering) -> u64 {
        let offset = offset_of_word(self).expect("a word of the memory");
        if is_step(offset) && !crate::sync::robust::is_in_transaction() {
            step("a load of the table");
        }
        let value = peek(offset);
        saw(value);
        value
    }

    pub(crate) fn store(&self, value: u64, _: Ordering) {
        let offset = offset_of_word(self).expect("a word of the memory");
        // Of a transaction that is committed, each write is one.
        if is_step(offset) || peek(LOG_LENGTH) != 0 {
            step("a store");
        }
        poke(offset, value);
    }
}

/// Half a word: those that the protocol of slots does not use.
#[repr(transparent)]
#[derive(Default)]
pub(crate) struct AtomicU32(std::sync::atomic::AtomicU32);

impl AtomicU32 {
    pub(crate) fn load(&self, _: Ordering) -> u32 {
        0
    }

    pub(crate) fn store(&self, value: u32, _: Ordering) {
        assert_eq!(value, 0, "nobody takes permits");
    }

    pub(crate) fn fetch_add(&self, by: u32, _: Ordering) -> u32 {
        assert!(explore::current().is_some());
        by
    }
}
