//! Something that is to be done once, by whichever process comes first.
//!
//! On its ledger: whether it is done, or being done, and whether somebody died doing it. The line of the
//! process that does it says so, so that another takes over when it dies.

use crate::ledger::{Ledger, Step, take_lost, travels};
use crate::raw::Page;
use crate::{Result, Wait};
use std::time::Duration;

const STATE: usize = 0;
const DIED: usize = 1;

const NEW: u64 = 0;
const RUNNING: u64 = 1;
const DONE: u64 = 2;

/// The lane that is 1 of the process that does it.
const RUNS: usize = 0;
/// For those who wait for it.
const CHANGED: usize = 0;

/// Something that is done once, however many processes come to do it: the first does it, the others
/// wait until it is done. If that one fails, panics or dies, the next does it.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let prepared = ctx.once()?;
/// prepared.call(|state| {
///     if state.owner_died() {
///         eprintln!("one has begun and died: cleaning up behind it");
///     }
///     // unpack, compile, create ...
///     Ok(())
/// })?;
/// assert!(prepared.is_done()?);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Once {
    ledger: Ledger,
}

travels!(Once);

/// If somebody died doing it, it is to be done.
fn repair(page: &mut Page) {
    if take_lost(page, RUNS) > 0 && page.words[STATE] == RUNNING {
        page.words[STATE] = NEW;
        page.words[DIED] = 1;
        page.ring(CHANGED);
    }
}

/// What is known of a [`Once`] by the one who does it.
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// ctx.once()?.call(|state| {
///     assert!(!state.owner_died());
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct OnceState {
    owner_died: bool,
}

impl OnceState {
    /// `true` if one who did it before died or panicked: some of it may be done.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// ctx.once()?.call(|state| Ok(assert!(!state.owner_died())))
    /// # }
    /// ```
    pub fn owner_died(&self) -> bool {
        self.owner_died
    }
}

/// Who does it, until dropped: in a panic too.
struct Doing<'a> {
    once: &'a Once,
    becomes: u64,
    died: u64,
}

impl Drop for Doing<'_> {
    fn drop(&mut self) {
        let (becomes, died) = (self.becomes, self.died);
        // It fails only if shared memory was scribbled over.
        let _ = self.once.ledger.update(|page| {
            page.words[STATE] = becomes;
            page.words[DIED] = died;
            page.mine[RUNS] = 0;
            page.ring(CHANGED);
        });
    }
}

/// Begins it, if nobody has; waits if somebody is at it.
fn begin(page: &mut Page) -> Step<Option<OnceState>> {
    repair(page);
    match page.words[STATE] {
        NEW => {
            page.words[STATE] = RUNNING;
            page.mine[RUNS] = 1;
            Step::Done(Some(OnceState { owner_died: page.words[DIED] != 0 }))
        }
        RUNNING => Step::Sleep(CHANGED),
        _ => Step::Done(None),
    }
}

/// Looks whether it is done.
fn look(page: &mut Page) -> Step<()> {
    repair(page);
    if page.words[STATE] >= DONE { Step::Done(()) } else { Step::Sleep(CHANGED) }
}

/// For those who wait without a thread. Inside a sandboxed process, and in a simulation, the polls block.
impl Once {
    /// Like [`Once::call`], as a future: whoever polls it does not block while another does the work. Work
    /// that is its own is done by the poll.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let once = ctx.once()?;
    /// once.call_async(|_| Ok(println!("only once"))).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of `work`; [`crate::Error::Os`] if it cannot be watched.
    pub async fn call_async(&self, work: impl FnOnce(&OnceState) -> Result<()>) -> Result<()> {
        match self.ledger.until_polled(begin).await? {
            Some(state) => self.work(&state, work),
            None => Ok(()),
        }
    }

    /// Like [`Once::wait`], as a future.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let once = ctx.once()?;
    /// once.wait_async().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Os`] if it cannot be watched.
    pub async fn wait_async(&self) -> Result<()> {
        self.ledger.until_polled(look).await
    }
}

impl Once {
    pub(crate) fn of(ledger: Ledger) -> Once {
        Once { ledger }
    }

    fn call_as(&self, wait: Wait, work: impl FnOnce(&OnceState) -> Result<()>) -> Result<()> {
        match self.ledger.until(wait, begin)? {
            Some(state) => self.work(&state, work),
            None => Ok(()),
        }
    }

    /// Does it, which is up to the caller alone.
    fn work(&self, state: &OnceState, work: impl FnOnce(&OnceState) -> Result<()>) -> Result<()> {
        let mut doing = Doing { once: self, becomes: NEW, died: 1 };
        let done = work(state);
        doing.becomes = if done.is_ok() { DONE } else { NEW };
        doing.died = state.owner_died.into();
        done
    }

    /// Does it if it is not done, or waits until another has done it. A call from within the work waits
    /// for itself.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let once = ctx.once()?;
    /// once.call(|_| Ok(println!("here I am")))?;
    /// once.call(|_| Ok(println!("and never again")))?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the work, if it is done here and fails: it is not done then.
    /// [`Error::Interrupted`](crate::Error::Interrupted) on Ctrl-C.
    pub fn call(&self, work: impl FnOnce(&OnceState) -> Result<()>) -> Result<()> {
        self.call_as(Wait::Forever, work)
    }

    /// Like [`Once::call`]; another who does it is waited for at most `timeout`.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// ctx.once()?.call_timeout(Duration::from_secs(1), |_| Ok(()))
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Once::call`], and [`Error::TimedOut`](crate::Error::TimedOut).
    pub fn call_timeout(
        &self,
        timeout: Duration,
        work: impl FnOnce(&OnceState) -> Result<()>,
    ) -> Result<()> {
        self.call_as(Wait::AtMost(timeout), work)
    }

    /// Like [`Once::call`], without waiting for another.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// ctx.once()?.try_call(|_| Ok(()))
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the work, and [`Error::TimedOut`](crate::Error::TimedOut) if another does it.
    pub fn try_call(&self, work: impl FnOnce(&OnceState) -> Result<()>) -> Result<()> {
        self.call_as(Wait::Never, work)
    }

    /// Waits until it is done, without doing it.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let once = ctx.once()?;
    /// once.wait()?; // another process calls it
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted) on Ctrl-C.
    pub fn wait(&self) -> Result<()> {
        self.wait_as(Wait::Forever)
    }

    /// Like [`Once::wait`], for at most `timeout`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert!(ctx.once()?.wait_timeout(Duration::from_millis(10)).is_err());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Once::wait`], and [`Error::TimedOut`](crate::Error::TimedOut).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        self.wait_as(Wait::AtMost(timeout))
    }

    fn wait_as(&self, wait: Wait) -> Result<()> {
        self.ledger.until(wait, look)
    }

    /// `true` if it is done.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert!(!ctx.once()?.is_done()?);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TimedOut`](crate::Error::TimedOut) if a process is stopped in the midst of a change.
    pub fn is_done(&self) -> Result<bool> {
        self.ledger.look(Wait::Never, |page| page.words[STATE] >= DONE).map(|(done, _)| done)
    }
}
