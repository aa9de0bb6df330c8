//! Locks.

use crate::support::*;
use anyhow::ensure;
use procbox_guest::{Context, Error, Result};
use std::time::Duration;

pub(crate) fn a_lock_keeps_four_processes_apart(ctx: &Context) -> Verdict {
    let lock = ctx.lock()?;
    // Between a get and the put that follows the cell is empty, which another would run into.
    let cell = ctx.queue::<u64>(1)?;
    cell.put(&0)?;
    let start = |_| ctx.process("increments").args((&lock, &cell, 500u64)).start();
    let all = (0..4).map(start).collect::<Result<Vec<_>>>()?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    same(cell.get()?, 2000)
}

pub(crate) fn a_lock_is_not_reentrant(ctx: &Context) -> Verdict {
    let lock = ctx.lock()?;
    let guard = lock.lock()?;
    refused(lock.lock(), Error::AlreadyHeld)?;
    refused(lock.try_lock(), Error::AlreadyHeld)?;
    refused(lock.lock_timeout(SHORT), Error::AlreadyHeld)?;
    refused(lock.acquire(), Error::AlreadyHeld)?;
    refused(lock.clone().try_acquire(), Error::AlreadyHeld)?;
    drop(guard);
    drop(lock.try_lock()?);
    Ok(())
}

pub(crate) fn a_lock_is_released_by_its_holder_only(ctx: &Context) -> Verdict {
    let lock = ctx.lock()?;
    let out = ctx.queue::<String>(1)?;
    refused(lock.release(), Error::NotHolder)?;
    let guard = lock.lock()?;
    let p = ctx.process("tries_to_release").args((&lock, &out)).start()?;
    same(out.get()?, "Err(NotHolder)")?;
    p.join()?;
    refused(lock.try_lock(), Error::AlreadyHeld)?;
    drop(guard);
    refused(lock.release(), Error::NotHolder)
}

pub(crate) fn a_guard_releases_on_drop(ctx: &Context) -> Verdict {
    let lock = ctx.lock()?;
    for _ in 0..3 {
        let guard = lock.lock()?;
        ensure!(!guard.owner_died());
    }
    for _ in 0..3 {
        ensure!(!lock.acquire()?.owner_died);
        lock.release()?;
    }
    Ok(())
}

pub(crate) fn a_killed_holder_gives_the_lock_back(ctx: &Context) -> Verdict {
    let lock = ctx.lock()?;
    for _ in 0..3 {
        let (held, forever) = (ctx.event()?, ctx.event()?);
        let p = ctx.process("holds_lock").args((&lock, &held, &forever)).daemon(true).start()?;
        held.wait()?;
        refused(lock.try_lock(), Error::TimedOut)?;
        p.kill()?;
        ensure!(lock.lock()?.owner_died(), "the next holder is not told");
        ensure!(!lock.lock()?.owner_died(), "the one after it is told too");
        same(exitcode(&p)?, -9)?;
    }
    Ok(())
}

pub(crate) fn a_waiter_gets_the_lock_of_a_killed_holder(ctx: &Context) -> Verdict {
    let lock = ctx.lock()?;
    let (held, forever, about) = (ctx.event()?, ctx.event()?, ctx.event()?);
    let out = ctx.queue::<bool>(1)?;
    let holder = ctx.process("holds_lock").args((&lock, &held, &forever)).daemon(true).start()?;
    held.wait()?;
    let waiter =
        ctx.process("tells_owner_died").args((&lock, &about, &out)).daemon(true).start()?;
    about_to_block(&about)?;
    holder.kill()?;
    ensure!(out.get()?, "the waiter is not told that the holder died");
    same(exitcode(&waiter)?, 0)
}

pub(crate) fn a_killed_waiter_takes_no_lock_with_it(ctx: &Context) -> Verdict {
    let lock = ctx.lock()?;
    let about = ctx.event()?;
    let out = ctx.queue::<bool>(1)?;
    let guard = lock.lock()?;
    let waiter =
        ctx.process("tells_owner_died").args((&lock, &about, &out)).daemon(true).start()?;
    about_to_block(&about)?;
    waiter.kill()?;
    waiter.join()?;
    drop(guard);
    ensure!(!lock.lock()?.owner_died());
    let p = ctx.process("tells_owner_died").args((&lock, &about, &out)).start()?;
    ensure!(!out.get()?);
    same(exitcode(&p)?, 0)
}

pub(crate) fn a_holder_that_ends_without_releasing_leaves_a_free_lock(ctx: &Context) -> Verdict {
    let lock = ctx.lock()?;
    for (worker, code) in [("acquires_and_returns", 0), ("panics_holding", 101)] {
        same(exitcode(&ctx.process(worker).args((&lock,)).start()?)?, code)?;
        drop(lock.lock()?);
        ensure!(!lock.lock()?.owner_died());
    }
    Ok(())
}

pub(crate) fn a_thread_that_ends_gives_its_lock_back(ctx: &Context) -> Verdict {
    let lock = ctx.lock()?;
    let own = lock.clone();
    let thread = std::thread::spawn(move || own.lock().map(std::mem::forget));
    same(thread.join().ok(), Some(Ok(())))?;
    let guard = lock.lock()?;
    ensure!(guard.owner_died());
    drop(guard);
    ensure!(!lock.lock()?.owner_died());
    // Who waits gets it.
    let (taken, ends, lock) = (&ctx.event()?, &ctx.event()?, &lock);
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| {
            std::mem::forget(lock.lock()?);
            taken.set();
            ends.wait().map(drop)
        });
        let waiter = scope.spawn(|| {
            taken.wait()?;
            ends.set();
            lock.lock().map(|guard| guard.owner_died())
        });
        same(holder.join().ok(), Some(Ok(())))?;
        same(waiter.join().ok(), Some(Ok(true)))
    })
}

pub(crate) fn a_wait_for_a_lock_runs_out(ctx: &Context) -> Verdict {
    let lock = ctx.lock()?;
    let (held, go) = (ctx.event()?, ctx.event()?);
    let p = ctx.process("holds_lock").args((&lock, &held, &go)).daemon(true).start()?;
    held.wait()?;
    refused(lock.try_lock(), Error::TimedOut)?;
    refused(lock.try_acquire(), Error::TimedOut)?;
    refused(lock.lock_timeout(Duration::ZERO), Error::TimedOut)?;
    refused(runs_out(|t| lock.lock_timeout(t))?, Error::TimedOut)?;
    refused(runs_out(|t| lock.acquire_timeout(t))?, Error::TimedOut)?;
    go.set();
    ensure!(!lock.lock_timeout(Duration::MAX)?.owner_died());
    same(exitcode(&p)?, 0)
}

pub(crate) fn a_lock_is_handed_on_a_hundred_thousand_times_between_two(ctx: &Context) -> Verdict {
    contended(ctx, 2)
}

pub(crate) fn a_lock_is_handed_on_a_hundred_thousand_times_between_four(ctx: &Context) -> Verdict {
    contended(ctx, 4)
}

/// Each takes it a hundred thousand times; a wake that is lost would leave one waiting.
fn contended(ctx: &Context, processes: usize) -> Verdict {
    let lock = ctx.lock()?;
    let start = |_| ctx.process("contends").args((&lock, 100_000u64)).daemon(true).start();
    let all = (0..processes).map(start).collect::<Result<Vec<_>>>()?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))
}
