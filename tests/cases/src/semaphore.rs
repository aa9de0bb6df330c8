//! Semaphores.

use crate::support::*;
use anyhow::ensure;
use procbox_guest::{Context, Error, Result, Semaphore};
use std::time::Duration;

pub(crate) fn a_semaphore_counts_permits(ctx: &Context) -> Verdict {
    let two = ctx.semaphore(2)?;
    same(two.available(), 2)?;
    let (a, b) = (two.permit()?, two.try_permit()?);
    same(two.available(), 0)?;
    refused(two.try_permit(), Error::TimedOut)?;
    refused(two.try_acquire(), Error::TimedOut)?;
    drop(a);
    same(two.available(), 1)?;
    two.acquire()?;
    drop(b);
    two.release()?;
    same(two.available(), 2)
}

pub(crate) fn a_semaphore_may_begin_empty(ctx: &Context) -> Verdict {
    let none = ctx.semaphore(0)?;
    refused(none.try_permit(), Error::TimedOut)?;
    none.release()?;
    none.acquire()?;
    same(none.available(), 0)
}

pub(crate) fn no_more_are_inside_than_there_are_permits(ctx: &Context) -> Verdict {
    let two = ctx.semaphore(2)?;
    // It holds as many as may be inside; a third would find it full.
    let inside = ctx.queue::<()>(2)?;
    let start = |_| ctx.process("goes_inside").args((&two, &inside, 300u64)).start();
    let all = (0..4).map(start).collect::<Result<Vec<_>>>()?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    same((two.available(), inside.len()), (2, 0))
}

pub(crate) fn a_release_lets_a_blocked_process_go_on(ctx: &Context) -> Verdict {
    let (none, about, out) = (ctx.semaphore(0)?, ctx.event()?, ctx.queue::<String>(1)?);
    let p = ctx.process("takes_permit").args((&none, &about, &out)).daemon(true).start()?;
    about_to_block(&about)?;
    none.release()?;
    same(out.get()?, "Ok(())")?;
    same(exitcode(&p)?, 0)?;
    // What it took by `acquire` came back with its end.
    until(|| none.available() == 1);
    Ok(())
}

pub(crate) fn a_killed_holder_gives_its_permit_back(ctx: &Context) -> Verdict {
    let two = ctx.semaphore(2)?;
    for worker in ["holds_permit", "acquires_and_blocks"] {
        let (held, forever) = (ctx.event()?, ctx.event()?);
        let p = ctx.process(worker).args((&two, &held, &forever)).daemon(true).start()?;
        held.wait()?;
        same(two.available(), 1)?;
        let other = two.permit()?;
        p.kill()?;
        // Waits for it, rather than for the end of the process.
        drop(two.permit()?);
        drop(other);
        p.join()?;
        same(two.available(), 2)?;
    }
    Ok(())
}

pub(crate) fn a_forgotten_permit_does_not_come_back(ctx: &Context) -> Verdict {
    let two = ctx.semaphore(2)?;
    two.permit()?.forget();
    same(two.available(), 1)?;
    same(exitcode(&ctx.process("forgets_permit").args((&two,)).start()?)?, 0)?;
    same(two.available(), 0)?;
    refused(two.try_permit(), Error::TimedOut)
}

pub(crate) fn more_may_be_released_than_were_acquired(ctx: &Context) -> Verdict {
    let one = ctx.semaphore(1)?;
    one.release()?;
    one.release()?;
    same(one.available(), 3)?;
    let permits = (0..3).map(|_| one.try_permit()).collect::<Result<Vec<_>>>()?;
    refused(one.try_permit(), Error::TimedOut)?;
    drop(permits);
    same(one.available(), 3)
}

pub(crate) fn a_semaphore_counts_to_two_billion_and_no_further(ctx: &Context) -> Verdict {
    let too_many = ctx.semaphore(Semaphore::MAX_PERMITS + 1);
    ensure!(matches!(too_many, Err(Error::Invalid(_))), "{too_many:?}");
    let most = ctx.semaphore(Semaphore::MAX_PERMITS)?;
    ensure!(matches!(most.release(), Err(Error::Invalid(_))));
    same(most.available(), Semaphore::MAX_PERMITS)?;
    most.acquire()?;
    Ok(most.release()?)
}

pub(crate) fn a_wait_for_a_permit_runs_out(ctx: &Context) -> Verdict {
    let none = ctx.semaphore(0)?;
    refused(runs_out(|t| none.permit_timeout(t))?, Error::TimedOut)?;
    refused(runs_out(|t| none.acquire_timeout(t))?, Error::TimedOut)?;
    refused(none.acquire_timeout(Duration::ZERO), Error::TimedOut)?;
    none.release()?;
    none.acquire_timeout(Duration::MAX)?;
    Ok(())
}

pub(crate) fn a_killed_waiter_takes_no_permit_with_it(ctx: &Context) -> Verdict {
    let (none, about, out) = (ctx.semaphore(0)?, ctx.event()?, ctx.queue::<String>(1)?);
    for _ in 0..5 {
        about.clear();
        let p = ctx.process("takes_permit").args((&none, &about, &out)).daemon(true).start()?;
        about_to_block(&about)?;
        p.kill()?;
        p.join()?;
    }
    none.release()?;
    ensure!(none.permit_timeout(Duration::from_secs(50)).is_ok());
    same(none.available(), 1)
}

/// What a thread comes to, which has ended then.
fn ends<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> anyhow::Result<T> {
    let ended = std::thread::scope(|scope| scope.spawn(work).join());
    Ok(ended.map_err(|_| anyhow::anyhow!("the thread panicked"))??)
}

pub(crate) fn a_thread_that_ends_gives_its_permits_back(ctx: &Context) -> Verdict {
    let four = ctx.semaphore(4)?;
    ends(|| {
        four.acquire()?;
        std::mem::forget(four.permit()?);
        drop(four.permit()?);
        four.permit()?.forget();
        Ok(())
    })?;
    same(four.available(), 3)?;
    // The thread's handle goes first; and who waits is woken.
    let (about, out) = (ctx.event()?, ctx.queue::<String>(1)?);
    let (own, told) = (four.clone(), ctx.event()?);
    let tells = told.clone();
    let thread = std::thread::spawn(move || {
        (0..3).try_for_each(|_| own.acquire())?;
        tells.wait().map(drop)
    });
    until(|| four.available() == 0);
    let p = ctx.process("takes_permit").args((&four, &about, &out)).daemon(true).start()?;
    about_to_block(&about)?;
    told.set();
    same(thread.join().ok(), Some(Ok(())))?;
    same(out.get()?, "Ok(())")?;
    same(exitcode(&p)?, 0)?;
    until(|| four.available() == 3);
    Ok(())
}

pub(crate) fn what_another_thread_gave_back_comes_back_once(ctx: &Context) -> Verdict {
    let three = ctx.semaphore(3)?;
    ends(|| {
        three.acquire()?;
        three.acquire()?;
        std::thread::scope(|scope| {
            let gives = scope.spawn(|| three.release());
            gives.join().unwrap_or(Err(Error::Closed))
        })
    })?;
    same(three.available(), 3)?;
    // Guards that are dropped by others.
    ends(|| {
        let (one, other) = (three.permit()?, three.permit()?);
        std::thread::scope(|scope| drop(scope.spawn(move || drop(one)).join()));
        std::mem::forget(other);
        Ok(())
    })?;
    same(three.available(), 3)?;
    // What nobody took is one more.
    ends(|| three.release())?;
    same(three.available(), 4)
}

pub(crate) fn a_guard_does_not_outlive_its_thread(ctx: &Context) -> Verdict {
    let two = ctx.semaphore(2)?;
    let permit = ends(|| two.permit())?;
    same(two.available(), 2)?;
    drop(permit);
    same(two.available(), 2)?;
    ends(|| two.permit())?.forget();
    same(two.available(), 2)
}

pub(crate) fn a_permit_is_handed_on_a_hundred_thousand_times_between_two(ctx: &Context) -> Verdict {
    ring(ctx, 2)
}

pub(crate) fn a_permit_is_handed_on_a_hundred_thousand_times_between_four(
    ctx: &Context,
) -> Verdict {
    ring(ctx, 4)
}

fn ring(ctx: &Context, processes: usize) -> Verdict {
    let all = (0..processes).map(|_| ctx.semaphore(0)).collect::<Result<Vec<Semaphore>>>()?;
    let start = |i: usize| {
        let next = &all[(i + 1) % processes];
        ctx.process("hands_on_a_permit").args((&all[i], next, 100_000u64)).daemon(true).start()
    };
    let ps = (0..processes).map(start).collect::<Result<Vec<_>>>()?;
    all[0].release()?;
    ps.iter().try_for_each(|p| same(exitcode(p)?, 0))
}
