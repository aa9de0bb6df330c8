//! The loop of `procbox map`: result after result, until all are there or it is to end.

use super::gate::{Gate, SLICE};
use super::inputs::Ledger;
use super::progress::ends_the_pool;
use super::results::{NoReader, Results};
use procbox::types::Args;
use procbox::{Bytes, Error, Pool, TaskResults, native};
use serde::Serialize;
use std::task::Poll;
use std::time::{Duration, Instant};

/// How a map came to its end.
pub(super) enum Outcome {
    All,
    NoReader,
    OutOfTime,
    /// By `--halt`, which ended what ran.
    Halted,
}

impl From<NoReader> for Outcome {
    fn from(_: NoReader) -> Outcome {
        Outcome::NoReader
    }
}

/// A map that is under way.
pub(super) struct Run<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) gate: &'a Gate,
    pub(super) results: Results,
    pub(super) deadline: Option<Instant>,
}

impl Run<'_> {
    /// Prints result after result. What is not yet written out in the end is left to the caller.
    pub(super) fn all<P, T>(
        &mut self,
        pool: &Pool<P, Bytes>,
        inputs: impl Iterator<Item = Poll<T>>,
        ordered: bool,
    ) -> anyhow::Result<Outcome>
    where
        (T,): Args<P>,
    {
        let gate = self.gate;
        let mut arriving = pool.imap_polled(gate.gated(inputs), ordered);
        loop {
            if gate.ends_all() {
                pool.terminate();
                return self.rest(arriving);
            }
            let now = Instant::now();
            let look = gate.is_one().then(|| now + SLICE);
            let wake = [self.deadline, self.results.due(now), look].into_iter().flatten().min();
            let wait = wake.map_or(Duration::MAX, |at| at.saturating_duration_since(now));
            let next = arriving.next_timeout(wait);
            self.log_unread()?;
            if let Some(refused) = self.ledger.refused() {
                return Err(refused.into());
            }
            let added = match next {
                Ok(Some((index, result))) => self.ended(index, result)?,
                Ok(None) => return Ok(Outcome::All),
                Err(Error::TimedOut) if self.deadline.is_some_and(|at| at <= Instant::now()) => {
                    return Ok(Outcome::OutOfTime);
                }
                Err(Error::TimedOut) => self.results.commit()?,
                Err(e) => return Err(e.into()),
            };
            if let Err(gone) = added {
                return Ok(gone.into());
            }
        }
    }

    /// What was done when `--halt` ended the rest.
    fn rest<I, T>(&mut self, mut arriving: TaskResults<Bytes, I>) -> anyhow::Result<Outcome>
    where
        I: Iterator<Item = Poll<T>>,
        (T,): Serialize,
    {
        while let Ok(Some((index, result))) = arriving.next_timeout(Duration::ZERO) {
            if matches!(&result, Err(why) if ends_the_pool(why)) {
                continue;
            }
            if let Err(gone) = self.ended(index, result)? {
                return Ok(gone.into());
            }
        }
        Ok(Outcome::Halted)
    }

    /// A task has ended.
    fn ended(
        &mut self,
        index: usize,
        result: procbox::Result<Bytes>,
    ) -> anyhow::Result<Result<(), NoReader>> {
        let Some(input) = self.ledger.take(index) else {
            anyhow::bail!("the pool has a result for no input"); // Each index comes once.
        };
        match result {
            Ok(Bytes(bytes)) => self.results.add(&input, Some(index), Some(&bytes)),
            Err(why) if ends_the_pool(&why) => Err(why.into()),
            // It may have gone to the whole group, and have ended workers too.
            Err(_) if native::interrupted() => Err(Error::Interrupted.into()),
            // Those who watch have heard of it.
            Err(_) => self.results.add(&input, Some(index), None),
        }
    }

    /// Inputs that never became a task have failed too.
    fn log_unread(&mut self) -> anyhow::Result<()> {
        for input in self.ledger.unread() {
            // Nothing to print: no reader is missed.
            let _ = self.results.add(&input, None, None)?;
            self.gate.unread();
        }
        Ok(())
    }
}
