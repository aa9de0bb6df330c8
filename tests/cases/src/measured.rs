//! Pools that measure what their tasks use.

use crate::pool::pool;
use crate::support::*;
use anyhow::{bail, ensure};
use procbox_guest::{Backend, Context, Error, Pool, Queue, TaskResult, TaskUsage};
use std::time::Duration;

/// Rounds of a task that takes some milliseconds of CPU time, and of one that takes next to none.
const LONG: u64 = 20_000_000;
const SHORT: u64 = 1;

/// What an ended task has used.
fn used<R>(result: &TaskResult<R>) -> anyhow::Result<TaskUsage> {
    let usage = result.usage();
    usage.ok_or_else(|| anyhow::anyhow!("nobody says what it has used"))
}

pub(crate) fn what_a_task_has_used_is_said(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "computes").workers(1).measured().build()?;
    let (long, short) = (pool.apply_async((LONG,))?, pool.apply_async((SHORT,))?);
    ensure!(short.get().is_ok() && long.get().is_ok());
    let (long, short) = (used(&long)?, used(&short)?);
    for usage in [long, short] {
        same((usage.attempts, usage.peak_memory), (1, None))?;
        ensure!(usage.wall_time > Duration::ZERO && usage.sent > 0 && usage.received > 0);
    }
    ensure!(long.wall_time > short.wall_time, "{long:?} {short:?}");
    // One process has done both: it is the difference that counts.
    match (ctx.backend(), long.cpu_time, short.cpu_time) {
        (Backend::Native, Some(long), Some(short)) => ensure!(short < long, "{short:?} {long:?}"),
        (Backend::Native, ..) => bail!("no CPU time"),
        (_, long, short) => same((long, short), (None, None))?,
    }
    Ok(())
}

pub(crate) fn what_a_task_with_a_process_of_its_own_has_used_is_said(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "computes").fresh_per_task().measured().build()?;
    let result = pool.apply_async((LONG,))?;
    result.get()?;
    let usage = used(&result)?;
    same(usage.attempts, 1)?;
    match ctx.backend() {
        // A sandboxed process is not told of another, and nobody of a thread.
        Backend::Guest | Backend::Local => same((usage.cpu_time, usage.peak_memory), (None, None))?,
        backend => {
            ensure!(usage.peak_memory.is_some_and(|bytes| bytes > 64 << 10), "{usage:?}");
            ensure!(backend != Backend::Native || usage.cpu_time > Some(Duration::ZERO));
        }
    }
    // They are all done when the pool says so.
    let all = pool.map_async(0..10u64)?;
    pool.close();
    pool.join()?;
    same((all.get()?.len(), used(&all)?.attempts), (10, 10))
}

pub(crate) fn what_a_task_that_failed_has_used_is_said_too(ctx: &Context) -> Verdict {
    let pool: Pool<(Queue<()>,), u64> =
        ctx.pool("dies_while_there_are").workers(1).retries(2).measured().build()?;
    let tokens = ctx.queue::<()>(5)?;
    (0..2).try_for_each(|_| tokens.put(&()))?;
    let result = pool.apply_async((&tokens,))?;
    same(result.get()?, 7)?;
    same(used(&result)?.attempts, 3)?;
    (0..3).try_for_each(|_| tokens.put(&()))?;
    let result = pool.apply_async((&tokens,))?;
    ensure!(matches!(result.get(), Err(Error::WorkerDied { attempts: 3, .. })));
    let usage = used(&result)?;
    same((usage.attempts, usage.received), (3, 0))?;
    ensure!(ctx.backend() != Backend::Native || usage.cpu_time.is_some(), "{usage:?}");

    let pool: Pool<(u64, u64), u64> = ctx.pool("fails_on").workers(1).measured().build()?;
    let result = pool.apply_async((5, 5))?;
    ensure!(matches!(result.get(), Err(Error::Task(_))));
    let usage = used(&result)?;
    same((usage.attempts, usage.received), (1, 0))
}

pub(crate) fn what_each_of_many_tasks_has_used_is_said(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").measured().build()?;
    let all = pool.map_async(0..100u64)?;
    same(all.usage(), None)?;
    same(all.get()?.len(), 100)?;
    same(used(&all)?.attempts, 100)?;
    let mut results = pool.imap(0..10u64);
    same(results.usage(), None)?;
    while let Some((_, result)) = results.next() {
        result?;
        same(results.usage().map(|usage| usage.attempts), Some(1))?;
    }
    Ok(())
}

pub(crate) fn nothing_is_measured_unasked(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").build()?;
    let result = pool.apply_async((7,))?;
    same(result.get()?, 14)?;
    same(result.usage(), None)
}
