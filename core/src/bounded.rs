//! A semaphore that refuses to be released more often than it was acquired.
//!
//! On its ledger: the permits that are free, and the bound. A process's line has the permits that it
//! has taken, so that they come back when it dies.

use crate::ledger::{Ledger, Step, less, take_lost, travels};
use crate::raw::{MAX_PERMITS, Page, too_many_permits};
use crate::{Error, Result, Wait};
use std::time::Duration;

const FREE: usize = 0;
const BOUND: usize = 1;
/// The lane of the permits that a process has.
const TAKEN: usize = 0;
/// For those who wait for a permit.
const RELEASED: usize = 0;

/// A number of permits that processes share, of which there are never more than at first: a release too
/// many is an error, where [`Semaphore`](crate::Semaphore) takes it for one more permit.
///
/// A permit is its process's: it comes back when the process dies, unless it was forgotten. Any process
/// may release.
///
/// ```
/// # use procbox_core::Error;
/// # let ctx = procbox_core::Context::local([])?;
/// let two = ctx.bounded_semaphore(2)?;
/// let permit = two.permit()?;
/// assert_eq!(two.available()?, 1);
/// drop(permit);
/// assert!(matches!(two.release(), Err(Error::Invalid(_)))); // nobody has one
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone)]
pub struct BoundedSemaphore {
    ledger: Ledger,
}

travels!(BoundedSemaphore);

/// Permits of the dead come back, as far as there is room: others may have released in their stead.
fn repair(page: &mut Page) {
    let back = take_lost(page, TAKEN);
    if back > 0 {
        page.words[FREE] = page.words[FREE].saturating_add(back).min(page.words[BOUND]);
        page.ring(RELEASED);
    }
}

/// Takes a permit, if there is one.
fn take_one(page: &mut Page) -> Step<()> {
    repair(page);
    if page.words[FREE] == 0 {
        return Step::Sleep(RELEASED);
    }
    less(&mut page.words[FREE], 1);
    page.mine[TAKEN] = page.mine[TAKEN].saturating_add(1);
    Step::Done(())
}

/// For those who wait without a thread. Inside a sandboxed process, and in a simulation, the polls block.
impl BoundedSemaphore {
    /// Like [`BoundedSemaphore::acquire`], as a future. Dropped before it is ready, it has taken none.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let semaphore = ctx.bounded_semaphore(3)?;
    /// semaphore.acquire_async().await?;
    /// semaphore.release()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Os`] if it cannot be watched.
    pub async fn acquire_async(&self) -> Result<()> {
        self.ledger.until_polled(take_one).await
    }

    /// Like [`BoundedSemaphore::permit`], as a future. Dropped before it is ready, it has taken none.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let semaphore = ctx.bounded_semaphore(3)?;
    /// let permit = semaphore.permit_async().await?;
    /// drop(permit);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Os`] if it cannot be watched.
    pub async fn permit_async(&self) -> Result<BoundedPermit<'_>> {
        self.acquire_async().await.map(|()| BoundedPermit { semaphore: self })
    }
}

impl BoundedSemaphore {
    fn of(ledger: Ledger) -> BoundedSemaphore {
        BoundedSemaphore { ledger }
    }

    pub(crate) fn new(ledger: Ledger, permits: usize) -> Result<BoundedSemaphore> {
        if permits > MAX_PERMITS {
            return Err(too_many_permits());
        }
        ledger.update(|page| {
            page.words[FREE] = permits as u64;
            page.words[BOUND] = permits as u64;
        })?;
        Ok(BoundedSemaphore { ledger })
    }

    fn take(&self, wait: Wait) -> Result<()> {
        self.ledger.until(wait, take_one)
    }

    fn guard(&self, wait: Wait) -> Result<BoundedPermit<'_>> {
        self.take(wait).map(|()| BoundedPermit { semaphore: self })
    }

    /// Waits for a permit, which is given back when dropped.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let one = ctx.bounded_semaphore(1)?;
    /// {
    ///     let _permit = one.permit()?;
    ///     assert_eq!(one.available()?, 0);
    /// }
    /// assert_eq!(one.available()?, 1);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Interrupted`] on Ctrl-C.
    pub fn permit(&self) -> Result<BoundedPermit<'_>> {
        self.guard(Wait::Forever)
    }

    /// Like [`BoundedSemaphore::permit`], for at most `timeout`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let one = ctx.bounded_semaphore(1)?;
    /// let _permit = one.permit()?;
    /// let second = one.permit_timeout(Duration::from_millis(10));
    /// assert_eq!(second.err(), Some(procbox_core::Error::TimedOut));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`BoundedSemaphore::permit`], and [`Error::TimedOut`].
    pub fn permit_timeout(&self, timeout: Duration) -> Result<BoundedPermit<'_>> {
        self.guard(Wait::AtMost(timeout))
    }

    /// Like [`BoundedSemaphore::permit`], without waiting.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let one = ctx.bounded_semaphore(1)?;
    /// assert!(one.try_permit().is_ok());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TimedOut`] if there is none.
    pub fn try_permit(&self) -> Result<BoundedPermit<'_>> {
        self.guard(Wait::Never)
    }

    /// Waits for a permit and keeps it until [`BoundedSemaphore::release`].
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let one = ctx.bounded_semaphore(1)?;
    /// one.acquire()?;
    /// one.release()?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`BoundedSemaphore::permit`].
    pub fn acquire(&self) -> Result<()> {
        self.take(Wait::Forever)
    }

    /// Like [`BoundedSemaphore::acquire`], for at most `timeout`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let one = ctx.bounded_semaphore(1)?;
    /// one.acquire_timeout(Duration::from_secs(1))?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`BoundedSemaphore::permit_timeout`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<()> {
        self.take(Wait::AtMost(timeout))
    }

    /// Like [`BoundedSemaphore::acquire`], without waiting.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let none = ctx.bounded_semaphore(0)?;
    /// assert_eq!(none.try_acquire(), Err(procbox_core::Error::TimedOut));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TimedOut`] if there is none.
    pub fn try_acquire(&self) -> Result<()> {
        self.take(Wait::Never)
    }

    /// Gives a permit back: one of this process's, or else one of another's that is out.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let one = ctx.bounded_semaphore(1)?;
    /// assert!(one.release().is_err()); // all of them are there
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if all permits are there already.
    pub fn release(&self) -> Result<()> {
        let bound = self.ledger.update(|page| {
            repair(page);
            if page.words[FREE] >= page.words[BOUND] {
                return Err(page.words[BOUND]);
            }
            page.words[FREE] += 1;
            page.mine[TAKEN] = page.mine[TAKEN].saturating_sub(1);
            page.ring(RELEASED);
            Ok(())
        })?;
        bound.map_err(|bound| {
            Error::Invalid(format!(
                "a bounded semaphore of {bound} permits was released more often than acquired"
            ))
        })
    }

    /// The permits that are free now.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.bounded_semaphore(3)?.available()?, 3);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TimedOut`] if a process is stopped in the midst of a change.
    pub fn available(&self) -> Result<usize> {
        let (free, _) = self.ledger.look(Wait::Never, |page| {
            repair(page);
            page.words[FREE]
        })?;
        Ok(usize::try_from(free).unwrap_or(usize::MAX))
    }
}

/// A permit of a [`BoundedSemaphore`], given back when dropped.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let one = ctx.bounded_semaphore(1)?;
/// one.permit()?.forget();
/// one.release()?; // by any process
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the permit is given back when dropped"]
pub struct BoundedPermit<'a> {
    semaphore: &'a BoundedSemaphore,
}

impl BoundedPermit<'_> {
    /// Keeps the permit out, also after the end of this process, until somebody releases it.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let one = ctx.bounded_semaphore(1)?;
    /// one.permit()?.forget();
    /// assert_eq!(one.available()?, 0);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn forget(self) {
        // It fails only if this process's memory of it was scribbled over.
        let _ = self.semaphore.ledger.update(|page| {
            page.mine[TAKEN] = page.mine[TAKEN].saturating_sub(1);
        });
        std::mem::forget(self);
    }
}

impl Drop for BoundedPermit<'_> {
    fn drop(&mut self) {
        // If somebody else has released in this one's stead, it is back already.
        let _ = self.semaphore.release();
    }
}
