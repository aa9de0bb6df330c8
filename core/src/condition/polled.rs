//! Conditions for those who wait without a thread.

use super::Condition;
use super::rules::{LATE_BELL, Place, come, give_up, notify, take};
use crate::ledger::Step;
use crate::{Error, LockGuard, Result};

/// One who waits, and goes when this is dropped: a call that it has had is for another then.
struct Waits<'a> {
    condition: Option<&'a Condition>,
    place: Place,
    is_called: bool,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let Some(condition) = self.condition else { return };
        let (place, was_called) = (self.place, self.is_called);
        // It fails only if shared memory was scribbled over.
        let _ = condition.ledger.update(|page| {
            if was_called || take(page, place) {
                notify(page, 1);
            } else {
                give_up(page, place);
            }
        });
    }
}

impl Condition {
    /// Like [`Condition::lock`], as a future: see [`crate::Lock::lock_async`].
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let condition = ctx.condition()?;
    /// let guard = condition.lock_async().await?;
    /// # drop(guard);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Os`] if it cannot be watched.
    pub async fn lock_async(&self) -> Result<LockGuard<'_>> {
        self.lock.lock_async().await
    }

    /// Like [`Condition::wait`], as a future: whoever polls it does not block while nobody notifies. The
    /// guard is a thread's, so the future stays in the thread: it is for runtimes of one thread. Dropped
    /// before it is ready, it has no lock, and a call that it has had goes to another.
    /// Inside a sandboxed process, and in a simulation, the poll blocks.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let (condition, ready) = (ctx.condition()?, ctx.value(0u8)?);
    /// let mut guard = condition.lock_async().await?;
    /// while ready.get()? == 0 {
    ///     guard = condition.wait_async(guard).await?;
    /// }
    /// # drop(guard);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if the guard is another lock's; [`Error::Os`] if it cannot be watched.
    pub async fn wait_async<'a>(&'a self, guard: LockGuard<'a>) -> Result<LockGuard<'a>> {
        if !guard.is_of(&self.lock) {
            let why = "wait for a condition with the guard that its own `lock` gave";
            return Err(Error::Invalid(why.into()));
        }
        let place = self.ledger.update(come)?;
        let mut waits = Waits { condition: Some(self), place, is_called: false };
        drop(guard);
        let until_called = self.ledger.until_polled(|page| match (take(page, place), place) {
            (true, _) => Step::Done(()),
            (false, Place::Group(group)) => Step::Sleep(group),
            (false, Place::Late(_)) => Step::Sleep(LATE_BELL),
        });
        until_called.await?;
        waits.is_called = true;
        let guard = self.lock.lock_async().await?;
        waits.condition = None;
        Ok(guard)
    }
}
