//! A barrier: a number of parties, each of which waits for all others.
//!
//! On its ledger: how many parties there are, how many are inside, and what state it is in:
//!
//! - *filling*: parties come in and sleep. The last one makes it
//! - *acting* if it has something to do before all others go on, and then
//! - *draining*: those who sleep leave. The last one makes it *filling* again; who comes meanwhile waits
//!   outside.
//! - *broken*, from filling or acting, when a party gives up or dies, or somebody says so: those who
//!   sleep leave with an error, and so does who comes.
//! - *resetting*: those who sleep leave with an error, the last of them makes it *filling* again.
//!
//! A process's line has how many of its threads are inside. If it dies with one while it is filling or
//! acting, the barrier is broken; while it is draining that is just one less to leave.

use crate::ledger::{Ledger, Step, less, take_lost, travels};
use crate::raw::{MAX_PERMITS, Page};
use crate::{Error, Result, Wait};
use std::time::Duration;

const PARTIES: usize = 0;
const STATE: usize = 1;
const INSIDE: usize = 2;

const FILLING: u64 = 0;
const ACTING: u64 = 1;
const DRAINING: u64 = 2;
const BROKEN: u64 = 3;
const RESETTING: u64 = 4;

/// The lane of a process's threads that are inside.
const IN: usize = 0;
/// For those who sleep inside.
const TURN: usize = 0;
/// For those who wait outside.
const EMPTY: usize = 1;

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
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let passed = ctx.barrier(1)?.wait()?;
/// assert_eq!((passed.index(), passed.is_last()), (0, true));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    index: usize,
    is_last: bool,
}

impl Passed {
    /// The number of parties that had come before.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// assert_eq!(ctx.barrier(1)?.wait()?.index(), 0);
    /// # Ok(()) }
    /// ```
    pub fn index(&self) -> usize {
        self.index
    }

    /// `true` for one party of each round: the one that came last.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// if ctx.barrier(1)?.wait()?.is_last() {
    ///     println!("said once in each round");
    /// }
    /// # Ok(()) }
    /// ```
    pub fn is_last(&self) -> bool {
        self.is_last
    }
}

/// Something to do for the last one who comes.
type Action<'a> = Option<&'a mut dyn FnMut() -> Result<()>>;

/// What one is who has come in.
enum Entered {
    /// The last, or not.
    At {
        index: u64,
        is_last: bool,
    },
    Broken,
}

fn become_state(page: &mut Page, state: u64) {
    page.words[STATE] = state;
    page.ring(TURN);
    page.ring(EMPTY);
}

/// When all have left it is empty.
fn see_to_the_end(page: &mut Page) {
    if page.words[INSIDE] == 0 && matches!(page.words[STATE], DRAINING | RESETTING) {
        become_state(page, FILLING);
    }
}

/// Those who died are not inside any more.
fn repair(page: &mut Page) {
    let lost = take_lost(page, IN);
    if lost > 0 {
        less(&mut page.words[INSIDE], lost);
        if matches!(page.words[STATE], FILLING | ACTING) {
            become_state(page, BROKEN);
        }
    }
    see_to_the_end(page);
}

fn enter(page: &mut Page, acts: bool) -> Entered {
    let index = page.words[INSIDE];
    page.words[INSIDE] = index.saturating_add(1);
    page.mine[IN] = page.mine[IN].saturating_add(1);
    let is_last = page.words[INSIDE] >= page.words[PARTIES];
    if is_last {
        become_state(page, if acts { ACTING } else { DRAINING });
    }
    Entered::At { index, is_last }
}

fn leave(page: &mut Page) {
    less(&mut page.words[INSIDE], 1);
    page.mine[IN] = page.mine[IN].saturating_sub(1);
    see_to_the_end(page);
}

/// Leaves, if it is time to, and says whether all had come.
fn leave_in_turn(page: &mut Page) -> Step<bool> {
    repair(page);
    match page.words[STATE] {
        FILLING | ACTING => Step::Sleep(TURN),
        state => {
            leave(page);
            Step::Done(state == DRAINING)
        }
    }
}

/// Leaves before it is time to, which breaks the barrier; or in turn, if it is: whether all had come.
fn give_up(page: &mut Page) -> Option<bool> {
    if let Step::Done(all_came) = leave_in_turn(page) {
        return Some(all_came);
    }
    become_state(page, BROKEN);
    leave(page);
    None
}

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
        let entered = self.ledger.until(wait, |page| {
            repair(page);
            match page.words[STATE] {
                BROKEN => Step::Done(Entered::Broken),
                FILLING if !only_last || page.words[INSIDE] + 1 >= page.words[PARTIES] => {
                    Step::Done(enter(page, acts))
                }
                _ => Step::Sleep(EMPTY),
            }
        })?;
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
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let barrier = ctx.barrier(1)?;
    /// barrier.wait()?;
    /// barrier.wait()?; // the next round
    /// # Ok(()) }
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
    /// ```no_run
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let barrier = ctx.barrier(2)?;
    /// assert_eq!(barrier.wait_timeout(Duration::from_millis(10)), Err(Error::TimedOut));
    /// assert_eq!(barrier.wait(), Err(Error::BrokenBarrier));
    /// barrier.reset()?;
    /// # Ok(()) }
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
    /// ```no_run
    /// # use procbox_core::Error;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// assert_eq!(ctx.barrier(2)?.try_wait(), Err(Error::TimedOut));
    /// assert!(ctx.barrier(1)?.try_wait().is_ok());
    /// # Ok(()) }
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
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let barrier = ctx.barrier(1)?;
    /// barrier.wait_then(|| Ok(println!("all are here")))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Barrier::wait`], and what the action says, which breaks the barrier for the others.
    pub fn wait_then(&self, mut action: impl FnMut() -> Result<()>) -> Result<Passed> {
        self.pass(Wait::Forever, Some(&mut action))
    }

    /// [`Barrier::wait_then`], for at most `timeout`.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// ctx.barrier(1)?.wait_timeout_then(Duration::from_secs(1), || Ok(()))?;
    /// # Ok(()) }
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
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let barrier = ctx.barrier(1)?;
    /// barrier.abort()?;
    /// barrier.reset()?;
    /// barrier.wait()?;
    /// # Ok(()) }
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
    /// ```no_run
    /// # use procbox_core::Error;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let barrier = ctx.barrier(2)?;
    /// barrier.abort()?;
    /// assert_eq!(barrier.wait(), Err(Error::BrokenBarrier));
    /// # Ok(()) }
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
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// assert_eq!(ctx.barrier(3)?.parties()?, 3);
    /// # Ok(()) }
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
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// assert_eq!(ctx.barrier(3)?.waiting()?, 0);
    /// # Ok(()) }
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
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// assert!(!ctx.barrier(3)?.is_broken()?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`Barrier::parties`].
    pub fn is_broken(&self) -> Result<bool> {
        self.look(|page| (page.words[STATE] == BROKEN).into()).map(|broken| broken == 1)
    }
}
