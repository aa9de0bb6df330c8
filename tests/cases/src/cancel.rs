//! Tasks that are cancelled: before they begin, while they run, when they have ended.

use crate::support::*;
use anyhow::ensure;
use procbox_guest::{Context, Error, Event, Pool, PoolBuilder, Queue, TaskResult, Worker};
use std::sync::mpsc::channel;
use std::time::Duration;

/// The arguments of a task that says that it has begun, and waits.
type Waits = (Queue<u32>, Event);

/// A pool of one worker of such tasks, and what these get.
fn waiting(
    ctx: &Context,
    options: impl FnOnce(PoolBuilder<Waits, u64>) -> PoolBuilder<Waits, u64>,
) -> anyhow::Result<(Pool<Waits, u64>, Queue<u32>, Event)> {
    let builder = ctx.pool("says_its_pid_and_waits").workers(1).chunk_size(1);
    Ok((options(builder).build()?, ctx.queue(10)?, ctx.event()?))
}

/// Waits until so many tasks have begun, while this one has not ended.
fn until_begun(begun: &Queue<u32>, n: usize, one: &TaskResult<u64>) {
    // Where there are no threads, tasks move while somebody waits for them.
    until(|| one.wait(Duration::from_millis(1)).is_err() || begun.len() >= n);
}

/// All pools are as good as new once one of their tasks was cancelled while it ran.
fn one_that_runs_is_ended(
    ctx: &Context,
    options: impl FnOnce(PoolBuilder<Waits, u64>) -> PoolBuilder<Waits, u64>,
) -> Verdict {
    let (pool, begun, go) = waiting(ctx, options)?;
    let (one, other) = (pool.apply_async((&begun, &go))?, pool.apply_async((&begun, &go))?);
    until_begun(&begun, 1, &one);
    ensure!(one.cancel());
    refused(one.get(), Error::Cancelled)?;
    ensure!(!one.cancel());
    // What it had at hand besides is done by its successor.
    go.set();
    ensure!(other.get().is_ok());
    same(begun.len(), 2)?;
    let counters = pool.counters();
    same((counters.failed, counters.done, counters.retried, counters.replaced), (1, 1, 0, 1))
}

pub(crate) fn a_task_that_has_not_begun_is_taken_back(ctx: &Context) -> Verdict {
    let (pool, begun, go) = waiting(ctx, |builder| builder)?;
    let tasks = (0..4).map(|_| pool.apply_async((&begun, &go))).collect::<Result<Vec<_>, _>>()?;
    until_begun(&begun, 1, &tasks[0]);
    ensure!(tasks[2].cancel());
    refused(tasks[2].get(), Error::Cancelled)?;
    go.set();
    for at in [0, 1, 3] {
        ensure!(tasks[at].get().is_ok());
    }
    same((begun.len(), pool.counters().replaced), (3, 0))
}

pub(crate) fn a_task_that_runs_is_ended_with_its_worker(ctx: &Context) -> Verdict {
    one_that_runs_is_ended(ctx, |builder| builder)?;
    one_that_runs_is_ended(ctx, |builder| builder.fresh_per_task())?;
    one_that_runs_is_ended(ctx, |builder| builder.fresh_per_task().measured())?;
    one_that_runs_is_ended(ctx, |builder| builder.retries(3))?;
    one_that_runs_is_ended(ctx, |builder| builder.task_timeout(Duration::from_secs(1000)))
}

pub(crate) fn a_task_that_has_ended_stays_as_it_is(ctx: &Context) -> Verdict {
    let pool: Pool<(u64,), u64> = ctx.pool("double").workers(1).build()?;
    let result = pool.apply_async((7,))?;
    until(|| result.wait(Duration::from_millis(1)) == Ok(true));
    ensure!(!result.cancel());
    same(result.get()?, 14)?;
    ensure!(!result.cancel());
    pool.terminate();
    let refused = pool.apply_async((7,));
    ensure!(refused.is_err());
    same(pool.counters().failed, 0)
}

pub(crate) fn a_map_is_cancelled_whole(ctx: &Context) -> Verdict {
    for chunk in [1, 3] {
        let (pool, begun, go) = waiting(ctx, |builder| builder.workers(2).chunk_size(chunk))?;
        let inputs = (0..20).map(|_| (&begun, &go));
        let map = pool.starmap_async(inputs)?;
        until(|| map.wait(Duration::from_millis(1)).is_err() || !begun.is_empty());
        ensure!(map.cancel());
        refused(map.get(), Error::Cancelled)?;
        go.set();
        same(pool.counters().failed, 20)?;
        let before = begun.len();
        ensure!(before <= 2);
        ensure!(pool.apply((&begun, &go)).is_ok());
        same(begun.len(), before + 1)?;
    }
    Ok(())
}

pub(crate) fn a_task_whose_worker_is_not_ready_is_cancelled(ctx: &Context) -> Verdict {
    let ready = ctx.event()?;
    let waits = Worker::<(Event,), u64, ()>::new("waits_task", ());
    let (pool, begun, go) = waiting(ctx, |builder| builder.initializer(waits, (&ready,)))?;
    let (one, other) = (pool.apply_async((&begun, &go))?, pool.apply_async((&begun, &go))?);
    ensure!(one.cancel());
    refused(one.get(), Error::Cancelled)?;
    ready.set();
    go.set();
    ensure!(other.get().is_ok());
    same(begun.len(), 1)
}

pub(crate) fn a_callback_hears_that_its_task_was_cancelled(ctx: &Context) -> Verdict {
    let (pool, begun, go) = waiting(ctx, |builder| builder)?;
    let (tells, heard) = channel();
    let hears = move |end: &procbox_guest::Result<u64>| drop(tells.send(end.clone()));
    let result = pool.apply_async_with((&begun, &go), hears)?;
    until_begun(&begun, 1, &result);
    ensure!(result.cancel());
    refused(result.get(), Error::Cancelled)?;
    same(heard.try_iter().collect::<Vec<_>>(), vec![Err(Error::Cancelled)])
}
