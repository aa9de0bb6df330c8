//! Ctrl-C as a sandboxed process sees it.
//!
//! A process that answers Ctrl-C has its blocked calls end with `Interrupted`, and every later one,
//! until it clears the interrupt. One that does not is ended by it, as the signal would end a native
//! one.

use crate::wait_list::WaitList;
use crate::waiting;
use procbox_core::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};

/// The interrupt of one process.
pub(crate) struct Interrupt {
    answers: AtomicBool,
    pending: AtomicBool,
    rung: WaitList,
}

impl Interrupt {
    pub(crate) fn new() -> Interrupt {
        Interrupt {
            answers: AtomicBool::new(false),
            pending: AtomicBool::new(false),
            rung: WaitList::new(),
        }
    }

    /// True if the process answers; then it is interrupted.
    pub(crate) fn raise(&self) -> bool {
        if !self.answers() {
            return false;
        }
        self.pending.store(true, Ordering::SeqCst);
        self.rung.wake(usize::MAX);
        true
    }

    pub(crate) fn answer(&self, yes: bool) {
        self.answers.store(yes, Ordering::SeqCst);
    }

    pub(crate) fn answers(&self) -> bool {
        self.answers.load(Ordering::SeqCst)
    }

    pub(crate) fn clear(&self) {
        self.pending.store(false, Ordering::SeqCst);
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.answers() && self.pending.load(Ordering::SeqCst)
    }

    /// Ends with [`Error::Interrupted`] when there is an interrupt.
    pub(crate) async fn raised<T>(&self) -> Result<T> {
        let pending = || self.is_pending().then_some(Err(Error::Interrupted));
        waiting::asleep_until(&self.rung, pending).await
    }
}
