//! Pools whose workers die, take too long or cannot start.

use crate::pool::{one_fails, pool, pool_with_one_bad};
use crate::support::*;
use anyhow::{bail, ensure};
use procbox_guest::{Context, Error, Event, Limit, Pool, Queue, Result, Worker};
use std::time::Duration;

pub(crate) fn a_worker_that_exits_fails_its_task_only(ctx: &Context) -> Verdict {
    let pool = pool_with_one_bad(ctx, "exits_on")?;
    match one_fails(&pool)? {
        Error::WorkerDied { status, attempts, .. } => {
            same((status.exitcode(), attempts), (3, 1))?;
        }
        other => bail!("{other:?}"),
    }
    same((pool.counters().failed, pool.counters().replaced), (1, 1))
}

pub(crate) fn a_worker_that_crashes_fails_its_task_only(ctx: &Context) -> Verdict {
    let pool = pool_with_one_bad(ctx, "aborts_on")?;
    match one_fails(&pool)? {
        Error::WorkerDied { status, attempts, .. } => {
            same((status.exitcode(), attempts), (-6, 1))?;
        }
        other => bail!("{other:?}"),
    }
    same((pool.counters().failed, pool.counters().replaced), (1, 1))
}

pub(crate) fn a_worker_that_is_killed_fails_its_task_only(ctx: &Context) -> Verdict {
    let pool: Pool<(Queue<u32>, Event), u64> =
        ctx.pool("says_its_pid_and_waits").workers(2).build()?;
    let (pids, go) = (ctx.queue::<u32>(2)?, ctx.event()?);
    let tasks = [pool.apply_async((&pids, &go))?, pool.apply_async((&pids, &go))?];
    // Where there are no threads, tasks move while somebody waits for them.
    until(|| tasks[0].wait(Duration::from_millis(1)).is_err() || pids.len() == 2);
    let victim = pids.get()?;
    let children = ctx.active_children();
    let Some(child) = children.iter().find(|child| child.pid() == Ok(victim)) else {
        bail!("no child {victim} among {children:?}");
    };
    child.kill()?;
    until(|| tasks.iter().any(|task| task.wait(Duration::from_millis(1)) == Ok(true)));
    go.set();
    let (mut ok, mut died) = (0, 0);
    for task in &tasks {
        match task.get() {
            Ok(_) => ok += 1,
            Err(Error::WorkerDied { worker, status, attempts: 1, .. }) => {
                same((worker, status.exitcode()), (child.name(), -9))?;
                died += 1;
            }
            Err(e) => return Err(e.into()),
        }
    }
    same((ok, died), (1, 1))?;
    pool.apply((&pids, &go))?;
    Ok(())
}

pub(crate) fn a_chunk_whose_worker_died_fails_only_with_its_guilty_task(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "aborts_on_7").chunk_size(5).idempotent(true).build()?;
    for (n, result) in pool.imap(0..20u64) {
        match result {
            Err(Error::WorkerDied { .. }) => same(n, 7)?,
            result => same(result?, n as u64)?,
        }
    }
    same(pool.counters().failed, 1)
}

pub(crate) fn retries_run_the_task_again(ctx: &Context) -> Verdict {
    let pool: Pool<(Queue<()>,), u64> =
        ctx.pool("dies_while_there_are").workers(1).retries(2).build()?;
    let tokens = ctx.queue::<()>(5)?;
    (0..2).try_for_each(|_| tokens.put(&()))?;
    same(pool.apply((&tokens,))?, 7)?;
    same((pool.counters().retried, pool.counters().failed), (2, 0))?;
    (0..3).try_for_each(|_| tokens.put(&()))?;
    match pool.apply((&tokens,)) {
        Err(Error::WorkerDied { status, attempts, .. }) => {
            same((status.exitcode(), attempts), (-6, 3))?;
        }
        other => bail!("{other:?}"),
    }
    same(pool.apply((&tokens,))?, 7)
}

pub(crate) fn a_task_that_takes_too_long_is_ended(ctx: &Context) -> Verdict {
    let pool: Pool<(u64, u64), u64> =
        ctx.pool("spins_on").workers(2).task_timeout(Duration::from_millis(500)).build()?;
    match one_fails(&pool)? {
        Error::WorkerDied { status, .. } => {
            same((status.exitcode(), status.cli_status()), (-9, 124))?;
            same(status.limit(), Some(Limit::WallClock))?;
        }
        other => bail!("{other:?}"),
    }
    Ok(())
}

pub(crate) fn an_initializer_that_fails_breaks_the_pool(ctx: &Context) -> Verdict {
    let cannot = Worker::<(), (), ()>::new("cannot_start", ());
    let pool = pool(ctx, "double").initializer(cannot, ()).build()?;
    match pool.apply((1u64,)) {
        Err(Error::PoolBroken(why)) => ensure!(!why.is_empty()),
        other => bail!("{other:?}"),
    }
    ensure!(matches!(pool.apply((1u64,)), Err(Error::PoolBroken(_))));
    pool.close();
    Ok(pool.join()?)
}

pub(crate) fn a_worker_is_replaced_after_so_many_tasks(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "says_its_pid").workers(1).chunk_size(1).max_tasks_per_child(2).build()?;
    let pids = pool.map(0..6u64)?;
    let mut different = pids.clone();
    different.dedup();
    same(different.len(), 3)?;
    ensure!(pids.chunks(2).all(|pair| pair[0] == pair[1]), "{pids:?}");
    same(pool.counters().failed, 0)
}

pub(crate) fn a_pool_that_is_closed_early_replaces_its_workers_all_the_same(
    ctx: &Context,
) -> Verdict {
    let pool = pool(ctx, "says_its_pid").chunk_size(1).max_tasks_per_child(1).build()?;
    let pids = (0..9u64).map(|n| pool.apply_async((n,))).collect::<Result<Vec<_>>>()?;
    pool.close();
    let mut pids = pids.iter().map(|pid| pid.get()).collect::<Result<Vec<_>>>()?;
    pids.sort_unstable();
    pids.dedup();
    same(pids.len(), 9)?;
    pool.join()?;
    same(ctx.active_children().len(), 0)
}

pub(crate) fn a_chunk_that_may_not_run_again_fails_with_its_worker(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "aborts_on_7").chunk_size(5).build()?;
    for (n, result) in pool.imap(0..20u64) {
        same(result.is_err(), (5..10).contains(&n))?;
    }
    same((pool.counters().failed, pool.counters().retried), (5, 0))
}

pub(crate) fn a_task_timeout_is_not_put_off_by_other_tasks(ctx: &Context) -> Verdict {
    let pool: Pool<(u64, u64), u64> =
        ctx.pool("spins_on").workers(1).task_timeout(Duration::from_millis(500)).build()?;
    let slow = pool.apply_async((5u64, 5u64))?;
    let mut others = Vec::new();
    while slow.wait(Duration::from_millis(50)) == Ok(false) {
        ensure!(others.len() < 100, "it was put off {} times", others.len());
        others.push(pool.apply_async((1u64, 5u64))?);
    }
    ensure!(slow.get().is_err());
    others.iter().try_for_each(|task| same(task.get(), Ok(1)))
}

pub(crate) fn starts_that_failed_are_forgotten_once_one_did_well(ctx: &Context) -> Verdict {
    let tokens = ctx.queue::<()>(2)?;
    let dies = Worker::<(Queue<()>,), u64, ()>::new("dies_while_there_are", ());
    let pool = pool(ctx, "double").workers(1).max_tasks_per_child(1);
    let pool = pool.initializer(dies, (&tokens,)).build()?;
    // Two in a row at most, and more in all than a pool puts up with in a row.
    while pool.counters().replaced < 8 {
        let _ = tokens.try_put(&());
        let _ = tokens.try_put(&());
        same(pool.apply((4u64,))?, 8)?;
    }
    Ok(())
}
