//! Tasks that ask for something else than their pool was built for: another worker, a priority, a time, a
//! process of their own.

use crate::pool::pool;
use crate::support::*;
use anyhow::{bail, ensure};
use procbox_guest::{
    Backend, Bytes, Context, Error, Event, Limit, Pool, Queue, Result, TaskOptions, Worker,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The options that a case begins with.
fn asking() -> TaskOptions {
    TaskOptions::new()
}

pub(crate) fn one_pool_serves_several_workers(ctx: &Context) -> Verdict {
    let doubles = pool(ctx, "double").build()?;
    let sums: Pool<(u64, u64), u64> = doubles.of("add");
    let bytes: Pool<(usize,), Bytes> = doubles.of("gives_bytes");
    same((doubles.apply((21u64,))?, sums.apply((1u64, 2u64))?), (42, 3))?;
    same(bytes.apply((5usize,))?, Bytes(vec![7; 5]))?;
    same(sums.starmap((0..1000u64).map(|n| (n, 7u64)))?, (7..1007).collect::<Vec<u64>>())?;
    same(sums.of::<(u64,), u64>("double").map(0..3u64)?, vec![0, 2, 4])?;
    // Side by side, and each has its own results.
    let both = (0..20u64).map(|n| Ok((doubles.apply_async((n,))?, sums.apply_async((n, 1u64))?)));
    for (n, (double, sum)) in both.collect::<Result<Vec<_>>>()?.into_iter().enumerate() {
        same((double.get()?, sum.get()?), (2 * n as u64, n as u64 + 1))?;
    }
    for (index, result) in bytes.imap(0..50usize) {
        same(result?.len(), index)?;
    }
    same(ctx.active_children().len(), 2)?;
    same(doubles.counters(), sums.counters())?;
    drop(sums);
    same(doubles.apply((2u64,))?, 4)?;
    drop(doubles);
    same(bytes.apply((5usize,)), Err(Error::PoolClosed))
}

pub(crate) fn a_worker_that_is_not_there_fails_its_tasks_alone(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").build()?;
    let nobody: Pool<(u64,), u64> = pool.of("no_such_worker");
    let known = match nobody.apply((1u64,)) {
        Err(Error::NoSuchWorker { name, available }) if name == "no_such_worker" => available,
        other => bail!("{other:?}"),
    };
    ensure!(known.iter().any(|name| name == "double"), "{known:?}");
    ensure!(matches!(nobody.map(0..100u64), Err(Error::NoSuchWorker { .. })));
    let several = pool.of::<(u64,), u64>("namesake").apply((1u64,));
    ensure!(matches!(several, Err(Error::AmbiguousWorker { .. })), "{several:?}");
    same(pool.map(0..3u64)?, vec![0, 2, 4])?;
    same((pool.counters().failed, pool.counters().replaced), (0, 0))?;
    let program = ctx.pool_of_main([""; 0]).build()?;
    let refused = program.of::<(u64,), u64>("double").apply((1u64,));
    ensure!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    Ok(())
}

pub(crate) fn a_chunk_of_another_worker_is_done_again_task_by_task(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").chunk_size(10).idempotent(true).build()?;
    let results = pool.of::<(u64,), u64>("aborts_on_7").imap(0..20u64);
    for (index, result) in results {
        match result {
            Err(Error::WorkerDied { .. }) if index == 7 => {}
            other => same(other, Ok(index as u64))?,
        }
    }
    Ok(())
}

pub(crate) fn the_urgent_go_before_what_no_worker_has_begun(ctx: &Context) -> Verdict {
    let first: Pool<(Queue<u32>, Event), u64> =
        ctx.pool("says_its_pid_and_waits").workers(1).build()?;
    let rest: Pool<(u64,), u64> = first.of("double");
    let (begun, go) = (ctx.queue::<u32>(1)?, ctx.event()?);
    let blocked = first.apply_async((&begun, &go))?;
    begun.get()?;
    let order = Arc::new(Mutex::new(Vec::new()));
    let submit = |n: u64, priority: i32| {
        let order = order.clone();
        let then = move |end: &Result<u64>| order.lock().unwrap().extend(end.clone());
        rest.with(asking().priority(priority)).apply_async_with((n,), then)
    };
    let plain = (0..20).map(|n| submit(n, 0)).collect::<Result<Vec<_>>>()?;
    let later = submit(100, -1)?;
    let urgent = [submit(101, 2)?, submit(102, 1)?, submit(103, 2)?];
    go.set();
    blocked.get()?;
    for task in plain.iter().chain(&urgent).chain([&later]) {
        task.get()?;
    }
    let due = [101, 103, 102].into_iter().chain(0..20).chain([100]).map(|n| 2 * n);
    same(order.lock().unwrap().clone(), due.collect::<Vec<u64>>())
}

pub(crate) fn a_task_has_a_time_of_its_own(ctx: &Context) -> Verdict {
    let pool: Pool<(u64, u64), u64> = ctx.pool("spins_on").workers(2).build()?;
    let quick = pool.with(asking().timeout(Duration::from_millis(300)));
    match quick.apply((5u64, 5u64)) {
        Err(Error::WorkerDied { status, attempts: 1, .. }) => {
            same(status.limit(), Some(Limit::WallClock))?;
        }
        other => bail!("{other:?}"),
    }
    same(quick.starmap((0..10u64).map(|n| (n, 99u64)))?, (0..10).collect::<Vec<u64>>())?;
    // One in the background: nobody waits for it when its time is over.
    let task = quick.apply_async((5u64, 5u64))?;
    same(pool.apply((1u64, 5u64))?, 1)?;
    ensure!(matches!(task.get(), Err(Error::WorkerDied { .. })));
    Ok(())
}

pub(crate) fn a_task_has_retries_of_its_own(ctx: &Context) -> Verdict {
    let pool: Pool<(Queue<()>,), u64> =
        ctx.pool("dies_while_there_are").workers(1).retries(1).build()?;
    let tokens = ctx.queue::<()>(5)?;
    let fill = |n: usize| (0..n).try_for_each(|_| tokens.put(&()));
    for (retries, deaths, ends_well) in [(3, 3, true), (0, 1, false), (2, 3, false)] {
        fill(deaths)?;
        match pool.with(asking().retries(retries)).apply((&tokens,)) {
            Ok(7) if ends_well => {}
            Err(Error::WorkerDied { attempts, .. }) if !ends_well => same(attempts, retries + 1)?,
            other => bail!("{other:?}"),
        }
    }
    fill(1)?;
    same(pool.apply((&tokens,))?, 7)
}

pub(crate) fn a_task_that_asks_for_it_has_a_process_of_its_own(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "counts_its_calls").workers(1).build()?;
    same((pool.apply((0u64,))?, pool.apply((0u64,))?), (1, 2))?;
    let fresh = pool.with(asking().fresh());
    same((fresh.apply((0u64,))?, fresh.apply((0u64,))?), (1, 1))?;
    same((pool.apply((0u64,))?, pool.apply((0u64,))?), (1, 2))?;
    // Among others, in the order in which they came.
    let (a, b, c) =
        (pool.apply_async((0u64,))?, fresh.apply_async((0u64,))?, pool.apply_async((0u64,))?);
    same((a.get()?, b.get()?, c.get()?), (3, 1, 1))?;
    same(fresh.map(0..5u64)?, vec![1; 5])?;
    same((pool.apply((0u64,))?, pool.counters().replaced), (1, 0))?;
    same(ctx.active_children().len(), 1)?;
    // One that dies is run again in another.
    let tokens = ctx.queue::<()>(2)?;
    (0..2).try_for_each(|_| tokens.put(&()))?;
    let mortal: Pool<(Queue<()>,), u64> = pool.of("dies_while_there_are");
    same(mortal.with(asking().fresh().retries(2)).apply((&tokens,))?, 7)?;
    let initialized = ctx.pool::<(u64,), u64>("adds_the_remembered").workers(2);
    let remember = Worker::<(u64,), (), ()>::new("remember", ());
    let initialized = initialized.initializer(remember, (5u64,)).build()?;
    same(initialized.with(asking().fresh()).map(0..4u64)?, vec![5, 6, 7, 8])
}

pub(crate) fn a_task_with_a_process_of_its_own_is_cancelled(ctx: &Context) -> Verdict {
    let pool: Pool<(Event,), u64> = ctx.pool("waits_task").workers(1).build()?;
    let never = ctx.event()?;
    let fresh = pool.with(asking().fresh());
    let (runs, waits) = (fresh.apply_async((&never,))?, fresh.apply_async((&never,))?);
    ensure!(waits.cancel() && runs.cancel());
    same((runs.get(), waits.get()), (Err(Error::Cancelled), Err(Error::Cancelled)))?;
    never.set();
    same((fresh.apply((&never,))?, pool.apply((&never,))?), (1, 1))
}

pub(crate) fn a_task_has_a_limit_of_memory_of_its_own(ctx: &Context) -> Verdict {
    const MIB: usize = 1 << 20;
    let pool: Pool<(usize,), Bytes> = ctx.pool("gives_bytes").workers(2).build()?;
    let small = pool.with(asking().memory(8 * MIB));
    if ctx.backend() != Backend::Sandbox {
        let refused = small.apply((1usize,));
        ensure!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
        ensure!(matches!(small.map([1usize]), Err(Error::Unsupported(_))));
        return Ok(drop(pool.apply((1usize,))?));
    }
    same(small.apply((1000usize,))?.len(), 1000)?;
    match small.apply((16 * MIB,)) {
        Err(Error::WorkerDied { .. }) => {}
        other => bail!("{:?}", other.map(|bytes| bytes.len())),
    }
    // Less than the program begins with.
    let none = pool.with(asking().memory(1)).apply((1usize,));
    ensure!(none.is_err());
    same(pool.apply((16 * MIB,))?.len(), 16 * MIB)?;
    same(pool.map([1usize, 2])?.len(), 2)
}
