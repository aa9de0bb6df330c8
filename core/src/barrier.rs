//! A barrier: a number of parties, each of which waits for all others. `barrier/rules.rs` says when they
//! go on, and what breaks it.

mod polled;
mod rules;

use crate::ledger::{Ledger, travels};
use crate::raw::{MAX_PERMITS, Page};
use crate::{Error, Result, Wait};
use rules::*;
use std::time::Duration;

/// A place at which a number of parties, processes or threads of them, wait for each other.
///
/// When the last one comes all go on, and it can be used again. If one of them dies there, gives up
/// because its wait ran out or was interrupted, or somebody says [`Barrier::abort`], the barrier is
/// broken: all who wait and all who come get [`Error::BrokenBarrier`], until [`Barrier::reset`].
/// Of a party that dies elsewhere, before it comes, a barrier knows nothing: who might have to reckon
/// with that waits with a bound, or has whoever joins it abort the barrier.
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let barrier = ctx.barrier(3)?;
/// // each of three processes, which were given it:
/// let passed = barrier.wait()?;
/// println!("number {}", passed.index());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Barrier {
    ledger: Ledger,
}

travels!(Barrier);

/// The outcome of a wait at a [`Barrier`]: all have come.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let passed = ctx.barrier(1)?.wait()?;
/// assert_eq!((passed.index(), passed.is_last()), (0, true));
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    index: usize,
    is_last: bool,
}

impl Passed {
    /// The number of parties that had come before.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.barrier(1)?.wait()?.index(), 0);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn index(&self) -> usize {
        self.index
    }

    /// `true` for one party of each round: the one that came last.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// if ctx.barrier(1)?.wait()?.is_last() {
    ///     println!("said once in each round");
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn is_last(&self) -> bool {
        self.is_last
    }
}

/// Something to do for the last one who comes.
type Action<'a> = Option<&'a mut dyn FnMut() -> Result<()>>;

/// The last one's turn to act. If it does not come to an end, in a panic, the barrier is broken.
struct Acting<'a> {
    barrier: &'a Barrier,
    is_done: bool,
}

impl Drop for Acting<'_> {
    fn drop(&mut self) {
        let state = if self.is_done { DRAINING } else { BROKEN };
        // It fails only if shared memory was scribbled over.
        let _ = self.barrier.ledger.update(|page| {
            repair(page);
            if page.words[STATE] == ACTING {
                become_state(page, state);
            }
            if !self.is_done {
                leave(page);
            }
        });
    }
}

impl Barrier {
    fn of(ledger: Ledger) -> Barrier {
        Barrier { ledger }
    }

    pub(crate) fn new(ledger: Ledger, parties: usize) -> Result<Barrier> {
        if parties == 0 || parties > MAX_PERMITS {
            let why = format!("a barrier is for 1 to {MAX_PERMITS} parties, not {parties}");
            return Err(Error::Invalid(why));
        }
        ledger.update(|page| page.words[PARTIES] = parties as u64)?;
        Ok(Barrier { ledger })
    }

    fn pass(&self, wait: Wait, action: Action<'_>) -> Result<Passed> {
        let acts = action.is_some();
        // Who would not wait comes in only if it is the last.
        let only_last = wait.is_never();
        let entered = self.ledger.until(wait, |page| come_in(page, only_last, acts))?;
        let Entered::At { index, is_last } = entered else { return Err(Error::BrokenBarrier) };
        if is_last && let Some(action) = action {
            let mut acting = Acting { barrier: self, is_done: false };
            action()?;
            acting.is_done = true;
        }
        // The last one does not wait: it is time to leave.
        let rest = if is_last { Wait::Forever } else { wait };
        let all_came = match self.ledger.until(rest, leave_in_turn) {
            Ok(all_came) => all_came,
            Err(e) => self.ledger.update(give_up)?.ok_or(e)?,
        };
        if all_came {
            Ok(Passed { index: usize::try_from(index).unwrap_or(usize::MAX), is_last })
        } else {
            Err(Error::BrokenBarrier)
        }
    }

    /// Waits until all parties have come.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let barrier = ctx.barrier(1)?;
    /// barrier.wait()?;
    /// barrier.wait()?; // the next round
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::BrokenBarrier`]; [`Error::Interrupted`] on Ctrl-C and [`Error::Deadlock`], which break it.
    pub fn wait(&self) -> Result<Passed> {
        self.pass(Wait::Forever, None)
    }

    /// Like [`Barrier::wait`], for at most `timeout`. One that runs out breaks the barrier: the others
    /// would wait in vain.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let barrier = ctx.barrier(2)?;
    /// assert_eq!(barrier.wait_timeout(Duration::from_millis(10)), Err(Error::TimedOut));
    /// assert_eq!(barrier.wait(), Err(Error::BrokenBarrier));
    /// barrier.reset()?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Barrier::wait`], and [`Error::TimedOut`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Passed> {
        self.pass(Wait::AtMost(timeout), None)
    }

    /// Goes on with all others if this is the last party to come; if not, it has not come at all, and
    /// nothing is broken.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.barrier(2)?.try_wait(), Err(Error::TimedOut));
    /// assert!(ctx.barrier(1)?.try_wait().is_ok());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TimedOut`] if it is not the last, [`Error::BrokenBarrier`].
    pub fn try_wait(&self) -> Result<Passed> {
        self.pass(Wait::Never, None)
    }

    /// Like [`Barrier::wait`]; the last one to come does something, and all go on when that is done. All
    /// parties say what that is: it cannot be known who comes last.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let barrier = ctx.barrier(1)?;
    /// barrier.wait_then(|| Ok(println!("all are here")))?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Barrier::wait`], and what the action says, which breaks the barrier for the others.
    pub fn wait_then(&self, mut action: impl FnMut() -> Result<()>) -> Result<Passed> {
        self.pass(Wait::Forever, Some(&mut action))
    }

    /// [`Barrier::wait_then`], for at most `timeout`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// ctx.barrier(1)?.wait_timeout_then(Duration::from_secs(1), || Ok(()))?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Barrier::wait_timeout`] and of the action.
    pub fn wait_timeout_then(
        &self,
        timeout: Duration,
        mut action: impl FnMut() -> Result<()>,
    ) -> Result<Passed> {
        self.pass(Wait::AtMost(timeout), Some(&mut action))
    }

    /// Makes it as new: who waits there gets [`Error::BrokenBarrier`], who comes after that does not.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let barrier = ctx.barrier(1)?;
    /// barrier.abort()?;
    /// barrier.reset()?;
    /// barrier.wait()?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// None, unless shared memory was scribbled over.
    pub fn reset(&self) -> Result<()> {
        self.ledger.update(|page| {
            repair(page);
            // All who drain have passed, and are to hear that.
            if page.words[STATE] != DRAINING {
                become_state(page, RESETTING);
                see_to_the_end(page);
            }
        })
    }

    /// Breaks it: who waits there and who comes gets [`Error::BrokenBarrier`], until it is reset.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let barrier = ctx.barrier(2)?;
    /// barrier.abort()?;
    /// assert_eq!(barrier.wait(), Err(Error::BrokenBarrier));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Barrier::reset`].
    pub fn abort(&self) -> Result<()> {
        self.ledger.update(|page| {
            repair(page);
            become_state(page, BROKEN);
        })
    }

    fn look(&self, what: impl Fn(&Page) -> u64) -> Result<u64> {
        let looked = self.ledger.look(Wait::Never, |page| {
            repair(page);
            what(page)
        })?;
        Ok(looked.0)
    }

    /// The number of parties that it is for.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.barrier(3)?.parties()?, 3);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TimedOut`] if a process is stopped in the midst of a change.
    pub fn parties(&self) -> Result<usize> {
        let parties = self.look(|page| page.words[PARTIES])?;
        Ok(usize::try_from(parties).unwrap_or(usize::MAX))
    }

    /// The number of parties that wait there now.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.barrier(3)?.waiting()?, 0);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Barrier::parties`].
    pub fn waiting(&self) -> Result<usize> {
        let waiting = self.look(|page| match page.words[STATE] {
            FILLING | ACTING => page.words[INSIDE],
            _ => 0,
        })?;
        Ok(usize::try_from(waiting).unwrap_or(usize::MAX))
    }

    /// `true` if it is broken.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert!(!ctx.barrier(3)?.is_broken()?);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Barrier::parties`].
    pub fn is_broken(&self) -> Result<bool> {
        self.look(|page| (page.words[STATE] == BROKEN).into()).map(|broken| broken == 1)
    }
}
