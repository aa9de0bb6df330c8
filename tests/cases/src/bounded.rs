//! Semaphores with a bound.

use crate::Shared;
use crate::support::*;
use anyhow::ensure;
use procbox_guest::{BoundedSemaphore, Context, Error, Semaphore};
use std::time::Duration;

pub(crate) fn a_bounded_semaphore_counts_permits(ctx: &Context) -> Verdict {
    let two = ctx.bounded_semaphore(2)?;
    same(two.available()?, 2)?;
    let (a, b) = (two.permit()?, two.try_permit()?);
    same(two.available()?, 0)?;
    refused(two.try_permit(), Error::TimedOut)?;
    refused(two.try_acquire(), Error::TimedOut)?;
    drop(a);
    two.acquire()?;
    drop(b);
    two.release()?;
    same(two.available()?, 2)?;
    ensure!(ctx.bounded_semaphore(Semaphore::MAX_PERMITS + 1).is_err());
    Ok(())
}

fn is_refused_as_one_too_many(semaphore: &BoundedSemaphore) -> Verdict {
    let released = semaphore.release();
    ensure!(matches!(released, Err(Error::Invalid(_))), "{released:?}");
    Ok(())
}

pub(crate) fn a_release_too_many_is_refused(ctx: &Context) -> Verdict {
    let two = ctx.bounded_semaphore(2)?;
    is_refused_as_one_too_many(&two)?;
    two.acquire()?;
    two.release()?;
    is_refused_as_one_too_many(&two)?;
    same(two.available()?, 2)?;
    let none = ctx.bounded_semaphore(0)?;
    refused(none.try_permit(), Error::TimedOut)?;
    is_refused_as_one_too_many(&none)
}

pub(crate) fn a_bounded_permit_may_be_released_by_another_process(ctx: &Context) -> Verdict {
    let (one, held, go) = (ctx.bounded_semaphore(1)?, ctx.event()?, ctx.event()?);
    let it = Shared::Bounded(one.clone());
    let p = ctx.process("has_it").args((&it, "", &held, &go)).daemon(true).start()?;
    held.wait()?;
    one.release()?;
    same(one.available()?, 1)?;
    // Its own release is the one too many then, and so would its death be.
    go.set();
    same(exitcode(&p)?, 0)?;
    same(one.available()?, 1)
}

pub(crate) fn a_killed_holder_gives_its_bounded_permit_back(ctx: &Context) -> Verdict {
    let one = ctx.bounded_semaphore(1)?;
    for is_given_back_before in [false, true] {
        let (held, go) = (ctx.event()?, ctx.event()?);
        let it = Shared::Bounded(one.clone());
        let p = ctx.process("has_it").args((&it, "", &held, &go)).daemon(true).start()?;
        held.wait()?;
        if is_given_back_before {
            one.release()?;
        }
        p.kill()?;
        drop(one.permit()?);
        p.join()?;
        same(one.available()?, 1)?;
    }
    Ok(())
}

pub(crate) fn a_killed_waiter_takes_no_bounded_permit_with_it(ctx: &Context) -> Verdict {
    let one = ctx.bounded_semaphore(1)?;
    let permit = one.permit()?;
    let it = Shared::Bounded(one.clone());
    for _ in 0..3 {
        let (about, out) = (ctx.event()?, ctx.queue::<String>(1)?);
        let p = ctx.process("waits_for_it").args((&it, "", &about, &out)).daemon(true).start()?;
        about_to_block(&about)?;
        p.kill()?;
        p.join()?;
    }
    let (about, out) = (ctx.event()?, ctx.queue::<String>(1)?);
    let p = ctx.process("waits_for_it").args((&it, "", &about, &out)).daemon(true).start()?;
    about_to_block(&about)?;
    drop(permit);
    same(out.get()?, "Ok(false)")?;
    same(exitcode(&p)?, 0)?;
    same(one.available()?, 1)
}

pub(crate) fn a_wait_for_a_bounded_permit_runs_out(ctx: &Context) -> Verdict {
    let one = ctx.bounded_semaphore(1)?;
    one.permit()?.forget();
    refused(runs_out(|t| one.permit_timeout(t))?, Error::TimedOut)?;
    refused(runs_out(|t| one.acquire_timeout(t))?, Error::TimedOut)?;
    refused(one.acquire_timeout(Duration::ZERO), Error::TimedOut)?;
    one.release()?;
    Ok(one.acquire_timeout(Duration::MAX)?)
}
