//! Processes that begin where a worker has returned.

use crate::support::*;
use anyhow::{bail, ensure};
use procbox_guest::{Context, Error, ExitStatus, Limit, PoolBuilder, Queue, Result};
use std::collections::HashSet;
use std::time::Duration;

fn words() -> (Vec<String>,) {
    (["a", "warm", "process"].map(String::from).to_vec(),)
}

/// A pool of a worker whose processes begin after [`words`] were counted, a fresh one for each task.
fn warm<P, R>(ctx: &Context, worker: &str) -> PoolBuilder<P, R> {
    ctx.pool(worker).workers(2).fresh_per_task().warm("counts_letters", words())
}

/// Fails unless the worker of a warm context ended so.
#[track_caller]
fn ended(warm: Result<Context>, expected: ExitStatus) -> Verdict {
    match warm {
        Err(Error::WorkerDied { status, attempts: 1, .. }) => same(status, expected),
        other => bail!("{other:?}, and {expected:?} was due"),
    }
}

pub(crate) fn what_a_worker_has_made_is_there_in_each_warm_process(ctx: &Context) -> Verdict {
    let pool = warm::<(String,), u64>(ctx, "letters_of").build()?;
    for _ in 0..10 {
        same(pool.map(["a", "warm", "process", "cold"].map(String::from))?, [1, 4, 7, 0])?;
    }
    Ok(())
}

pub(crate) fn a_warm_context_starts_processes_as_any_other(ctx: &Context) -> Verdict {
    let warm = ctx.warm("remember", (1000u64,))?;
    let pool = warm.pool::<(u64,), u64>("adds_the_remembered").workers(2).build()?;
    same(pool.map(0..50u64)?, (1000..1050).collect::<Vec<u64>>())?;
    // What it shares with the context that it was made of goes from one's processes to the other's.
    let q: Queue<u32> = ctx.queue(16)?;
    let go = ctx.event()?;
    let p = warm.process("puts_when_told").args((&go, &q)).start()?;
    go.set();
    q.get()?;
    same(exitcode(&p)?, 0)?;
    let cold = ctx.pool::<(u64,), u64>("adds_the_remembered").workers(1).build()?;
    same(cold.apply((1u64,))?, 1)
}

pub(crate) fn what_a_warm_process_writes_no_other_finds(ctx: &Context) -> Verdict {
    let pool = warm::<(u64,), Vec<u64>>(ctx, "writes").build()?;
    for (n, found) in pool.map(0..100u64)?.into_iter().enumerate() {
        same(found, [n as u64])?;
    }
    Ok(())
}

pub(crate) fn warm_processes_have_hashes_and_random_numbers_of_their_own(ctx: &Context) -> Verdict {
    const MANY: u64 = 50;
    let pool = warm::<(u64,), (u64, u64)>(ctx, "hash_and_random").build()?;
    let (hashes, numbers): (HashSet<u64>, HashSet<u64>) = pool.map(0..MANY)?.into_iter().unzip();
    same((hashes.len(), numbers.len()), (MANY as usize, MANY as usize))
}

pub(crate) fn a_hook_is_called_in_each_warm_process(ctx: &Context) -> Verdict {
    let warm = ctx.warm("counts_letters", words())?;
    let pool = warm.pool::<(u64,), u64>("times_reseeded").workers(2).fresh_per_task().build()?;
    // Once in the process from which they begin, and once in each.
    same(pool.map(0..20u64)?, [2; 20])
}

pub(crate) fn a_warm_process_knows_who_it_is(ctx: &Context) -> Verdict {
    let warm = ctx.warm("counts_letters", words())?;
    let pool = warm.pool::<(u64,), u64>("says_its_pid").workers(2).fresh_per_task().build()?;
    let pids: HashSet<u64> = pool.map(0..20u64)?.into_iter().collect();
    ensure!(pids.len() > 1, "all have one pid");
    let own = ctx.current_process().pid;
    ensure!(!pids.contains(&own.into()), "one has its parent's");
    Ok(())
}

pub(crate) fn a_worker_that_does_not_return_makes_nothing_warm(ctx: &Context) -> Verdict {
    ended(ctx.warm("fails", ()), ExitStatus::exited(1))?;
    ended(ctx.warm("panics", ()), ExitStatus::exited(101))?;
    ended(ctx.warm("exits", (3,)), ExitStatus::exited(3))?;
    ended(ctx.warm("exits", (0,)), ExitStatus::exited(0))?;
    ended(ctx.warm("aborts_on", (1u64, 1u64)), ExitStatus::signaled(6))?;
    let pool = ctx.pool::<(u64,), u64>("double").warm("fails", ()).build();
    ensure!(matches!(pool, Err(Error::WorkerDied { .. })), "a pool is warm all the same");
    match ctx.warm("no_such_worker", ()) {
        Err(Error::NoSuchWorker { name, .. }) => same(name, "no_such_worker"),
        other => bail!("{other:?}"),
    }
}

pub(crate) fn a_worker_that_takes_too_long_makes_nothing_warm(ctx: &Context) -> Verdict {
    let never = || ctx.process("never_returns").args(());
    let late = never().timeout(Duration::from_millis(100)).warm();
    ended(late, ExitStatus::limited(Limit::WallClock))?;
    let costly = never().cpu_time(Duration::from_millis(100)).warm();
    ended(costly, ExitStatus::limited(Limit::CpuTime))
}

pub(crate) fn a_worker_that_leaves_something_open_makes_nothing_warm(ctx: &Context) -> Verdict {
    for (worker, what) in [
        ("leaves_a_queue_open", "a queue"),
        ("leaves_a_file_open", "a file open"),
        ("leaves_a_thread", "a thread"),
    ] {
        match ctx.warm(worker, ()) {
            Err(Error::NotRunnable { why, .. }) => ensure!(why.ends_with(what), "{why}"),
            // Where it cannot have such a thing it fails by itself.
            Err(Error::WorkerDied { status, .. }) => same(status, ExitStatus::exited(1))?,
            other => bail!("{worker}: {other:?}"),
        }
    }
    let q = ctx.queue::<u64>(1)?;
    match ctx.warm("remember", (&q,)) {
        Err(Error::Invalid(why)) => ensure!(why.contains("a queue"), "{why}"),
        other => bail!("{other:?}"),
    }
    Ok(())
}

pub(crate) fn a_sandboxed_process_makes_no_image(ctx: &Context) -> Verdict {
    if ctx.backend() == procbox_guest::Backend::Guest {
        return refused(ctx.warm("remember", (7u64,)), Error::Unsupported("warm processes"));
    }
    ctx.warm("remember", (7u64,)).map(drop).map_err(Into::into)
}
