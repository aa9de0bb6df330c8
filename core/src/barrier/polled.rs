//! Barriers for those who wait without a thread.

use super::rules::*;
use super::{Barrier, Passed};
use crate::{Error, Result};

/// A party that is inside, and gives up when this is dropped.
struct Inside<'a>(Option<&'a Barrier>);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // It fails only if shared memory was scribbled over.
        self.0.iter().for_each(|barrier| drop(barrier.ledger.update(give_up)));
    }
}

impl Barrier {
    /// Like [`Barrier::wait`], as a future: whoever polls it does not block while others are still to come.
    /// Dropped after it was polled, and before it is ready, it is a party that has given up: that breaks
    /// the barrier, as a wait that runs out does.
    /// Inside a sandboxed process, and in a simulation, the poll blocks.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let barrier = ctx.barrier(1)?;
    /// assert!(barrier.wait_async().await?.is_last());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::BrokenBarrier`]; [`Error::Os`] if it cannot be watched.
    pub async fn wait_async(&self) -> Result<Passed> {
        let entered = self.ledger.until_polled(|page| come_in(page, false, false)).await?;
        let Entered::At { index, is_last } = entered else { return Err(Error::BrokenBarrier) };
        let mut inside = Inside(Some(self));
        let all_came = self.ledger.until_polled(leave_in_turn).await?;
        inside.0 = None;
        if all_came {
            Ok(Passed { index: usize::try_from(index).unwrap_or(usize::MAX), is_last })
        } else {
            Err(Error::BrokenBarrier)
        }
    }
}
