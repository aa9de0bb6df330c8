//! Work that is put off: what a call would have to wait for too long, because a process is stopped that
//! holds a lock, is done by a thread in the background.

use super::Arena;
use super::slots::Claim;
use crate::sync::patience::Patience;
use procbox_core::{Error, Result};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two attempts, each of which waits for locks, too.
const PAUSE: Duration = Duration::from_millis(20);

/// One thing that is left to do.
#[derive(Clone, Copy)]
pub(crate) enum Left {
    /// A reference that this process gives back: the object, and the entry in the process's record.
    Held { offset: u64, entry: u64 },
    /// A block that this process has, by the entry in its record.
    Loan { entry: u64 },
    /// A process that is to be recovered.
    Dead(Claim),
}

impl Arena {
    fn left(&self) -> MutexGuard<'_, Vec<Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the background do something, and take apart what nobody refers to.
    pub(crate) fn put_off(&self, left: Option<Left>) {
        self.left().extend(left);
        if self.has_background.swap(true, Ordering::SeqCst) {
            return;
        }
        let Some(arena) = self.this.upgrade() else { return };
        let work = move || {
            while arena.finish().is_err() {
                std::thread::sleep(PAUSE);
            }
        };
        let thread = std::thread::Builder::new().name("procbox-put-off".into()).spawn(work);
        if thread.is_err() {
            // The next that is put off tries again.
            self.has_background.store(false, Ordering::SeqCst);
        }
    }

    /// Tries to do all that is left. With nothing left the thread is one no more.
    fn finish(self: &Arc<Arena>) -> Result<()> {
        let all = self.left().clone();
        let (mut done, mut failed) = (0, None);
        for left in all {
            match self.finish_one(left) {
                Err(e @ (Error::TimedOut | Error::Interrupted)) => {
                    failed = Some(e);
                    break;
                }
                // Other errors come of memory that was scribbled over.
                _ => done += 1,
            }
        }
        // What came meanwhile stands behind.
        self.left().drain(..done);
        if let Some(e) = failed {
            return Err(e);
        }
        // Lowered before the last look, so that what comes after it makes a new thread.
        self.has_background.store(false, Ordering::SeqCst);
        let reclaimed = self.try_reclaim(&Patience::brief());
        let more = matches!(reclaimed, Err(Error::TimedOut | Error::Interrupted))
            || !self.left().is_empty();
        if more && !self.has_background.swap(true, Ordering::SeqCst) {
            return Err(Error::TimedOut);
        }
        Ok(())
    }

    fn finish_one(self: &Arc<Arena>, left: Left) -> Result<()> {
        let patience = Patience::brief();
        match left {
            Left::Held { offset, entry } => self.give_back(offset, entry, &patience),
            Left::Loan { entry } => self.give_back_loan(entry, &patience),
            Left::Dead(claim) => (self.above.recover)(self, claim, &patience),
        }
    }
}
