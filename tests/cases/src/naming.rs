//! Names of workers: the program has three that are called `namesake`, two of its own in two modules
//! and one of this library.

use crate::support::*;
use anyhow::{bail, ensure};
use procbox_guest::prelude::*;

/// A worker that others have the name of.
#[worker]
fn namesake() -> u32 {
    3
}

/// What the worker of this name returns.
fn called(ctx: &Context, name: &str) -> Result<u32> {
    ctx.pool::<(), u32>(name).workers(1).build()?.apply(())
}

pub(crate) fn workers_of_one_name_are_told_apart_by_their_modules(ctx: &Context) -> Verdict {
    let library = "procbox_cases::naming::namesake";
    for (name, number) in [("left::namesake", 1), ("right::namesake", 2), (library, 3)] {
        same(called(ctx, name)?, number)?;
    }
    same(called(ctx, "conformance::namesakes::left::namesake")?, 1)
}

pub(crate) fn a_name_that_several_workers_have_is_refused(ctx: &Context) -> Verdict {
    let mut numbers = Vec::new();
    for started in [ctx.process("namesake").start().map(drop), called(ctx, "namesake").map(drop)] {
        let Err(Error::AmbiguousWorker { name, candidates }) = started else {
            bail!("{started:?}");
        };
        same((name.as_str(), candidates.len()), ("namesake", 3))?;
        numbers = candidates.iter().map(|name| called(ctx, name)).collect::<Result<_>>()?;
    }
    numbers.sort_unstable();
    same(numbers, [1, 2, 3])?;
    ensure!(ctx.active_children().is_empty());
    Ok(())
}

pub(crate) fn an_item_is_the_worker_that_it_names(ctx: &Context) -> Verdict {
    // Of this library, in whatever program runs this, and of the program.
    same(ctx.pool(namesake).workers(1).build()?.apply(())?, 3)?;
    let out = ctx.queue::<Vec<u32>>(1)?;
    let p = ctx.process("calls_its_namesakes_by_item").args((&out,)).start()?;
    same(out.get()?, [1, 2, 1])?;
    same(exitcode(&p)?, 0)
}

pub(crate) fn every_worker_is_listed_by_a_name_that_starts_it(ctx: &Context) -> Verdict {
    let workers = ctx.workers()?;
    for worker in workers.iter().filter(|worker| worker.name.contains("namesake")) {
        let signature = worker.signature.as_deref().unwrap_or_default();
        ensure!(signature.starts_with(&worker.name), "{worker:?}");
    }
    let namesakes = workers.iter().filter(|worker| worker.name.ends_with("::namesake"));
    same(namesakes.count(), 3)
}

pub(crate) fn a_worker_may_be_given_a_name(ctx: &Context) -> Verdict {
    same(called(ctx, "given-name")?, 4)?;
    match called(ctx, "has_a_given_name") {
        Err(Error::NoSuchWorker { available, .. }) => {
            ensure!(available.iter().any(|name| name == "given-name"));
            Ok(())
        }
        other => bail!("{other:?}"),
    }
}

pub(crate) fn an_err_fails_under_any_alias(ctx: &Context) -> Verdict {
    /// An alias that does not say so.
    type Verdict = std::result::Result<u32, String>;
    for worker in ["verdict_under_an_alias", "result_under_an_alias"] {
        same(exitcode(&ctx.process(worker).args((true,)).start()?)?, 1)?;
        same(exitcode(&ctx.process(worker).args((false,)).start()?)?, 0)?;
    }
    let pool = ctx.pool::<(bool,), Verdict>("verdict_under_an_alias").workers(1).build()?;
    same(pool.apply((false,))?, Ok(7))?;
    refused(pool.apply((true,)), Error::Task("as it should".into()))?;
    let pool = ctx.pool::<(bool,), Vec<u32>>("result_under_an_alias").workers(1).build()?;
    same(pool.apply((false,))?, [7])?;
    refused(pool.apply((true,)), Error::Task("as it should".into()))
}
