//! Conditions.

use crate::Shared;
use crate::support::*;
use anyhow::ensure;
use procbox_guest::{Condition, Context, Error, Process, Queue, Result};
use std::time::Duration;

/// A process that waits for the condition by now, and where it says how that ended.
fn waiting(ctx: &Context, condition: &Condition, out: &Queue<String>) -> anyhow::Result<Process> {
    let (about, it) = (ctx.event()?, Shared::Condition(condition.clone()));
    let p = ctx.process("waits_for_it").args((&it, "", &about, out)).daemon(true).start()?;
    same(out.get()?, "has the lock")?;
    // It gives the lock back when it waits.
    drop(condition.lock()?);
    Ok(p)
}

/// How so many waits ended, none of which fails.
fn ended(out: &Queue<String>, n: usize) -> Verdict {
    (0..n).try_for_each(|_| same(out.get()?, "Ok(false)"))
}

pub(crate) fn a_notification_wakes_as_many_as_it_says(ctx: &Context) -> Verdict {
    let (condition, out) = (ctx.condition()?, ctx.queue(16)?);
    same((condition.notify(1)?, condition.notify_all()?), (0, 0))?;
    let start = |_| waiting(ctx, &condition, &out);
    let all = (0..6).map(start).collect::<anyhow::Result<Vec<_>>>()?;
    same((condition.notify(0)?, condition.notify(1)?), (0, 1))?;
    ended(&out, 1)?;
    same(condition.notify(2)?, 2)?;
    ended(&out, 2)?;
    let_it_block();
    same(out.len(), 0)?;
    same((condition.notify_all()?, condition.notify_all()?), (3, 0))?;
    ended(&out, 3)?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))
}

pub(crate) fn a_notification_is_not_for_who_comes_later(ctx: &Context) -> Verdict {
    let (condition, out) = (ctx.condition()?, ctx.queue(16)?);
    let first = waiting(ctx, &condition, &out)?;
    let guard = condition.lock()?;
    // It is notified, but cannot go on yet.
    same(condition.notify(5)?, 1)?;
    let (guard, notified) = condition.wait_timeout(guard, SHORT)?;
    same(notified, false)?;
    drop(guard);
    ended(&out, 1)?;
    same(exitcode(&first)?, 0)
}

pub(crate) fn who_is_notified_has_the_lock_again(ctx: &Context) -> Verdict {
    let (condition, out) = (ctx.condition()?, ctx.queue(16)?);
    let p = waiting(ctx, &condition, &out)?;
    let guard = condition.lock()?;
    condition.notify(1)?;
    let_it_block();
    same(out.len(), 0)?;
    drop(guard);
    ended(&out, 1)?;
    same(exitcode(&p)?, 0)
}

pub(crate) fn a_wait_for_a_condition_runs_out(ctx: &Context) -> Verdict {
    let condition = ctx.condition()?;
    let guard = condition.lock()?;
    let (guard, notified) = runs_out(|t| condition.wait_timeout(guard, t))??;
    same(notified, false)?;
    // It has the lock.
    refused(condition.lock(), Error::AlreadyHeld)?;
    let (guard, is_so) = runs_out(|t| condition.wait_for_timeout(guard, t, || false))??;
    same(is_so, false)?;
    let (guard, is_so) = condition.wait_for_timeout(guard, Duration::ZERO, || true)?;
    same(is_so, true)?;
    let (guard, notified) = condition.wait_timeout(guard, Duration::ZERO)?;
    same(notified, false)?;
    drop(guard);
    // Nobody waits any more.
    same(condition.notify_all()?, 0)
}

pub(crate) fn two_conditions_of_one_lock_hand_items_on(ctx: &Context) -> Verdict {
    const ITEMS: u64 = 300;
    let (lock, q) = (ctx.lock()?, ctx.queue::<u64>(2)?);
    let (filled, emptied) = (ctx.condition_of(&lock)?, ctx.condition_of(&lock)?);
    let p = ctx.process("empties").args((&filled, &emptied, &q, ITEMS)).start()?;
    for item in 0..ITEMS {
        let guard = emptied.wait_for(emptied.lock()?, || !q.is_full())?;
        q.try_put(&item)?;
        filled.notify(1)?;
        drop(guard);
    }
    same(exitcode(&p)?, 0)
}

pub(crate) fn a_condition_is_waited_for_with_its_own_guard(ctx: &Context) -> Verdict {
    let (condition, lock) = (ctx.condition()?, ctx.lock()?);
    let waited = condition.wait_timeout(lock.lock()?, SHORT).map(|(_, notified)| notified);
    ensure!(matches!(waited, Err(Error::Invalid(_))), "{waited:?}");
    // The guard is gone, and with it the lock is free.
    drop(lock.try_lock()?);
    Ok(())
}

pub(crate) fn a_killed_waiter_takes_no_notification_with_it(ctx: &Context) -> Verdict {
    let (condition, out) = (ctx.condition()?, ctx.queue(16)?);
    for _ in 0..3 {
        let killed = waiting(ctx, &condition, &out)?;
        let other = waiting(ctx, &condition, &out)?;
        let guard = condition.lock()?;
        same(condition.notify(1)?, 1)?;
        killed.kill()?;
        killed.join()?;
        // It goes to the other one, who is not to be notified again then, unless it had woken the first.
        let is_repeated = condition.notify(1)? == 1;
        drop(guard);
        ended(&out, 1)?;
        ensure!(!is_repeated || condition.notify(1)? == 0);
        same(exitcode(&other)?, 0)?;
        same(condition.notify_all()?, 0)?;
    }
    Ok(())
}

pub(crate) fn waiters_that_are_killed_count_no_more(ctx: &Context) -> Verdict {
    let (condition, out) = (ctx.condition()?, ctx.queue(16)?);
    let killed = (0..3).map(|_| waiting(ctx, &condition, &out));
    let killed = killed.collect::<anyhow::Result<Vec<_>>>()?;
    let last = waiting(ctx, &condition, &out)?;
    killed.iter().try_for_each(Process::kill)?;
    killed.iter().try_for_each(|p| p.join().map(drop))?;
    same(condition.notify(2)?, 1)?;
    ended(&out, 1)?;
    same(exitcode(&last)?, 0)
}

pub(crate) fn who_is_woken_is_told_of_a_holder_that_was_killed(ctx: &Context) -> Verdict {
    let (condition, out) = (ctx.condition()?, ctx.queue(16)?);
    let p = waiting(ctx, &condition, &out)?;
    let (held, go, it) = (ctx.event()?, ctx.event()?, Shared::Condition(condition.clone()));
    let holder = ctx.process("has_it").args((&it, "", &held, &go)).daemon(true).start()?;
    held.wait()?;
    same(condition.notify(1)?, 1)?;
    holder.kill()?;
    same(out.get()?, "Ok(true)")?;
    same(exitcode(&p)?, 0)
}

/// Results of many waits, of which each is notified once.
pub(crate) fn no_notification_of_a_thousand_is_lost(ctx: &Context) -> Verdict {
    let (condition, q) = (ctx.condition()?, ctx.queue::<u64>(1)?);
    let back = ctx.condition_of(&ctx.lock()?)?;
    let start = |_| ctx.process("empties").args((&condition, &back, &q, 0u64)).start();
    let idle = (0..2).map(start).collect::<Result<Vec<_>>>()?;
    idle.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    let p = ctx.process("empties").args((&condition, &back, &q, 1000u64)).start()?;
    for item in 0..1000 {
        // It is put without the lock: so the notification comes at any moment.
        q.put(&item)?;
        drop(condition.lock()?);
        condition.notify(1)?;
    }
    same(exitcode(&p)?, 0)
}
