//! The sides of a pool: in which context the worker of a slot is started. There is one, but for a pool of a
//! bridge, whose slots are shared out among its two.

use super::options::Options;
use crate::{Context, Error, Result};

/// Contexts, each with the first slot that is not its own any more.
pub(super) struct Sides(Vec<(Context, usize)>);

impl Sides {
    /// Those that the options ask for.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a side that the context does not have, [`Error::Invalid`] for options that
    /// contradict each other.
    pub(super) fn new(ctx: &Context, options: &Options) -> Result<Sides> {
        if options.sides.is_empty() {
            let workers = options.workers.unwrap_or_else(|| ctx.cpu_count()).max(1);
            return Ok(Sides(vec![(ctx.clone(), workers)]));
        }
        if options.workers.is_some() {
            let why = "a pool has `workers(n)`, or `native(n)` and `sandboxed(n)`, and not both";
            return Err(Error::Invalid(why.into()));
        }
        let mut sides = Vec::new();
        let mut slots = 0usize;
        for (backend, workers) in &options.sides {
            slots = slots.saturating_add(*workers);
            sides.push((ctx.on(*backend)?, slots));
        }
        if slots == 0 {
            return Err(Error::Invalid("a pool has at least one worker".into()));
        }
        Ok(Sides(sides))
    }

    /// The number of slots.
    pub(super) fn slots(&self) -> usize {
        self.0.last().map_or(0, |(_, end)| *end)
    }

    /// True if the memory of each of their processes can be limited.
    pub(super) fn limit_memory(&self) -> bool {
        self.0.iter().all(|(ctx, _)| ctx.raw().limits_memory())
    }

    /// The context of a slot.
    pub(super) fn of_slot(&self, slot: usize) -> Option<&Context> {
        self.0.iter().find(|(_, end)| slot < *end).map(|(ctx, _)| ctx)
    }
}
