//! The patience of a call: how long it waits for the locks that others hold for moments only.
//!
//! The holder of such a lock may be stopped (SIGSTOP, a debugger), and then a moment lasts. So each call
//! has one patience for all the locks on its way: that of its own wait, but long enough that a holder
//! who is merely slow is not taken for a stopped one.

use super::futex::{self, Woke};
use procbox_core::Wait;
use procbox_core::time::{Deadline, SystemClock};
use std::cell::Cell;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// The least that a lock is waited for, also by a call that does not wait. So long a call is deaf to
/// Ctrl-C, too: one that has come does not make calls fail that need not wait for anything else.
const LEAST: Duration = Duration::from_millis(200);

/// One call's wait, begun when it first has to.
pub(crate) struct Patience {
    wait: Wait,
    /// True for what cannot be left undone, nor put off.
    deaf: bool,
    /// When the wait is over, and until when locks are waited for all the same.
    begun: Cell<Option<(Deadline, Deadline)>>,
}

impl Patience {
    /// That of a call that waits so long.
    #[inline]
    pub(crate) const fn new(wait: Wait) -> Patience {
        Patience { wait, deaf: false, begun: Cell::new(None) }
    }

    /// That of a call that has no bound: Ctrl-C ends it.
    pub(crate) const fn forever() -> Patience {
        Patience::new(Wait::Forever)
    }

    /// That of a call that does not wait, or whose work can be put off.
    pub(crate) const fn brief() -> Patience {
        Patience::new(Wait::Never)
    }

    /// That of a call that nothing ends.
    pub(crate) const fn deaf() -> Patience {
        Patience { wait: Wait::Forever, deaf: true, begun: Cell::new(None) }
    }

    fn begin(&self) -> (Deadline, Deadline) {
        let begun = self.begun.get().unwrap_or_else(|| {
            (self.wait.deadline(&SystemClock), Wait::AtMost(LEAST).deadline(&SystemClock))
        });
        self.begun.set(Some(begun));
        begun
    }

    /// The end of the call's own wait.
    pub(crate) fn until(&self) -> Deadline {
        self.begin().0
    }

    /// True if the call does not wait but for locks.
    #[inline]
    pub(crate) fn is_never(&self) -> bool {
        self.wait.is_never()
    }

    /// Waits while a lock's word is `expected`.
    pub(super) fn wait(&self, word: &AtomicU32, expected: u32) -> Woke {
        let (until, least) = self.begin();
        if !least.is_past(&SystemClock) {
            futex::wait_plain(word, expected, least);
            return Woke::Look;
        }
        if self.deaf {
            futex::wait_plain(word, expected, until)
        } else {
            futex::wait(word, expected, until)
        }
    }
}
