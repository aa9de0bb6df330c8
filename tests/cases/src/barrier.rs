//! Barriers.

use crate::Shared;
use crate::support::*;
use anyhow::ensure;
use procbox_guest::{Barrier, Context, Error, Process, Queue, Result};

/// A process that waits at the barrier.
fn party(ctx: &Context, barrier: &Barrier, how: &str, out: &Queue<String>) -> Result<Process> {
    let (about, it) = (ctx.event()?, Shared::Barrier(barrier.clone()));
    let p = ctx.process("waits_for_it").args((&it, how, &about, out)).daemon(true).start()?;
    about.wait()?;
    Ok(p)
}

/// So many processes that wait there.
fn parties(ctx: &Context, barrier: &Barrier, n: usize) -> Result<(Vec<Process>, Queue<String>)> {
    let out = ctx.queue(16)?;
    let start = |_| party(ctx, barrier, "", &out);
    let all = (0..n).map(start).collect::<Result<Vec<_>>>()?;
    until(|| barrier.waiting() == Ok(n));
    Ok((all, out))
}

pub(crate) fn all_go_on_when_the_last_one_comes(ctx: &Context) -> Verdict {
    let barrier = ctx.barrier(3)?;
    same((barrier.parties()?, barrier.waiting()?, barrier.is_broken()?), (3, 0, false))?;
    let (all, out) = parties(ctx, &barrier, 2)?;
    same(out.len(), 0)?;
    let passed = barrier.wait()?;
    same((passed.index(), passed.is_last()), (2, true))?;
    same((out.get()?, out.get()?), ("Ok(false)".into(), "Ok(false)".into()))?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    let one = ctx.barrier(1)?;
    same((one.wait()?.index(), one.try_wait()?.index()), (0, 0))?;
    ensure!(matches!(ctx.barrier(0), Err(Error::Invalid(_))));
    Ok(())
}

pub(crate) fn a_barrier_is_used_again_and_again(ctx: &Context) -> Verdict {
    let (barrier, counter) = (ctx.barrier(4)?, ctx.queue::<u64>(1)?);
    counter.put(&0)?;
    let start = |_| ctx.process("goes_through").args((&barrier, &counter, 50u64)).start();
    let all = (0..4).map(start).collect::<Result<Vec<_>>>()?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    same((counter.get()?, barrier.waiting()?), (50, 0))
}

pub(crate) fn the_last_one_acts_before_the_others_go_on(ctx: &Context) -> Verdict {
    let barrier = ctx.barrier(3)?;
    let (all, out) = parties(ctx, &barrier, 2)?;
    barrier.wait_then(|| {
        assert_eq!(out.len(), 0);
        out.put("acted")
    })?;
    same(out.get()?, "acted")?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))
}

pub(crate) fn an_action_that_fails_breaks_the_barrier(ctx: &Context) -> Verdict {
    let barrier = ctx.barrier(2)?;
    let (_all, out) = parties(ctx, &barrier, 1)?;
    refused(barrier.wait_then(|| Err(Error::Closed)), Error::Closed)?;
    same(out.get()?, "Err(BrokenBarrier)")?;
    same(barrier.is_broken()?, true)?;
    refused(barrier.wait(), Error::BrokenBarrier)
}

pub(crate) fn a_party_that_is_killed_there_breaks_the_barrier(ctx: &Context) -> Verdict {
    let barrier = ctx.barrier(3)?;
    let (all, out) = parties(ctx, &barrier, 2)?;
    all[0].kill()?;
    same(out.get()?, "Err(BrokenBarrier)")?;
    refused(barrier.wait(), Error::BrokenBarrier)?;
    all[0].join()?;
    barrier.reset()?;
    same((barrier.is_broken()?, barrier.waiting()?), (false, 0))?;
    let (_all, out) = parties(ctx, &barrier, 2)?;
    barrier.wait()?;
    same((out.get()?, out.get()?), ("Ok(false)".into(), "Ok(false)".into()))
}

pub(crate) fn a_wait_at_a_barrier_that_runs_out_breaks_it(ctx: &Context) -> Verdict {
    let barrier = ctx.barrier(3)?;
    let (_all, out) = parties(ctx, &barrier, 1)?;
    refused(barrier.try_wait(), Error::TimedOut)?;
    same(barrier.is_broken()?, false)?;
    let p = party(ctx, &barrier, "a while", &out)?;
    let mut both = [out.get()?, out.get()?];
    both.sort();
    same(both, ["Err(BrokenBarrier)", "Err(TimedOut)"].map(String::from))?;
    same(exitcode(&p)?, 0)?;
    refused(barrier.wait(), Error::BrokenBarrier)?;
    barrier.reset()?;
    refused(runs_out(|t| barrier.wait_timeout(t))?, Error::TimedOut)
}

pub(crate) fn abort_ends_all_waits_at_a_barrier(ctx: &Context) -> Verdict {
    let barrier = ctx.barrier(3)?;
    let (_all, out) = parties(ctx, &barrier, 2)?;
    barrier.abort()?;
    same((out.get()?, out.get()?), ("Err(BrokenBarrier)".into(), "Err(BrokenBarrier)".into()))?;
    refused(barrier.wait(), Error::BrokenBarrier)?;
    refused(barrier.try_wait(), Error::BrokenBarrier)?;
    same(barrier.is_broken()?, true)
}

pub(crate) fn reset_ends_the_waits_and_makes_a_barrier_as_new(ctx: &Context) -> Verdict {
    let barrier = ctx.barrier(3)?;
    let (_all, out) = parties(ctx, &barrier, 2)?;
    barrier.reset()?;
    same((out.get()?, out.get()?), ("Err(BrokenBarrier)".into(), "Err(BrokenBarrier)".into()))?;
    same(barrier.is_broken()?, false)?;
    let (_all, out) = parties(ctx, &barrier, 2)?;
    barrier.wait()?;
    same((out.get()?, out.get()?), ("Ok(false)".into(), "Ok(false)".into()))
}
