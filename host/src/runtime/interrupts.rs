//! Ctrl-C as the threads that are blocked in calls into one sandbox see it.

use super::bell::Bell;
use crate::sync::lock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Wake;

/// The interrupt of one runtime.
#[derive(Default)]
pub(super) struct Interrupts {
    /// From an interrupt until it is cleared.
    on: AtomicBool,
    /// The bells of the answering threads that are blocked now.
    blocked: Mutex<Vec<Arc<Bell>>>,
}

impl Interrupts {
    /// Sets or clears it.
    pub(super) fn set(&self, on: bool) {
        self.on.store(on, Ordering::SeqCst);
        if on {
            lock(&self.blocked).iter().for_each(Wake::wake_by_ref);
        }
    }

    /// Has the bell rung on an interrupt for as long as the answer lives.
    pub(super) fn list<'a>(&'a self, bell: &'a Arc<Bell>) -> Listed<'a> {
        lock(&self.blocked).push(bell.clone());
        Listed { interrupts: self, bell }
    }
}

/// A bell's place among those of the blocked threads.
pub(super) struct Listed<'a> {
    interrupts: &'a Interrupts,
    bell: &'a Arc<Bell>,
}

impl Listed<'_> {
    /// Whether its thread is to stop waiting.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupts.on.load(Ordering::SeqCst)
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let mut blocked = lock(&self.interrupts.blocked);
        if let Some(at) = blocked.iter().position(|bell| Arc::ptr_eq(bell, self.bell)) {
            blocked.swap_remove(at);
        }
    }
}
