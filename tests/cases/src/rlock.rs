//! Locks that their holder may take again.

use crate::Shared;
use crate::support::*;
use procbox_guest::{Context, Error, RLock, Result};
use std::time::Duration;

pub(crate) fn an_rlock_is_reentrant(ctx: &Context) -> Verdict {
    let lock = ctx.rlock()?;
    let outer = lock.lock()?;
    let inner = lock.try_lock()?;
    let _ = lock.acquire_timeout(Duration::from_secs(1))?;
    same((outer.owner_died(), inner.owner_died()), (false, false))?;
    lock.release()?;
    drop((outer, inner));
    refused(lock.release(), Error::NotHolder)
}

/// Who has it, as seen by another process: `Ok` if nobody.
fn tries(ctx: &Context, lock: &RLock) -> Result<String> {
    let (about, out) = (ctx.event()?, ctx.queue::<String>(1)?);
    let it = Shared::RLock(lock.clone());
    let p = ctx.process("waits_for_it").args((&it, "", &about, &out)).daemon(true).start()?;
    about_to_block(&about)?;
    let seen = out.get_timeout(SHORT).unwrap_or_else(|e| format!("{e:?}"));
    p.kill()?;
    p.join()?;
    Ok(seen)
}

pub(crate) fn an_rlock_is_free_when_it_was_released_as_often(ctx: &Context) -> Verdict {
    let lock = ctx.rlock()?;
    let (outer, inner) = (lock.lock()?, lock.lock()?);
    same(tries(ctx, &lock)?, "Empty")?;
    drop(outer); // in whatever order
    same(tries(ctx, &lock)?, "Empty")?;
    drop(inner);
    same(tries(ctx, &lock)?, "Ok(false)")
}

pub(crate) fn an_rlock_is_released_by_its_holder_only(ctx: &Context) -> Verdict {
    let (lock, held, go) = (ctx.rlock()?, ctx.event()?, ctx.event()?);
    refused(lock.release(), Error::NotHolder)?;
    let it = Shared::RLock(lock.clone());
    let p = ctx.process("has_it").args((&it, "", &held, &go)).daemon(true).start()?;
    held.wait()?;
    // It has it twice, so that there is something to count.
    refused(lock.release(), Error::NotHolder)?;
    refused(lock.try_lock(), Error::TimedOut)?;
    go.set();
    same(exitcode(&p)?, 0)?;
    drop(lock.try_lock()?);
    Ok(())
}

pub(crate) fn a_wait_for_an_rlock_runs_out(ctx: &Context) -> Verdict {
    let (lock, held, go) = (ctx.rlock()?, ctx.event()?, ctx.event()?);
    let it = Shared::RLock(lock.clone());
    let p = ctx.process("has_it").args((&it, "", &held, &go)).daemon(true).start()?;
    held.wait()?;
    refused(runs_out(|t| lock.lock_timeout(t))?, Error::TimedOut)?;
    refused(runs_out(|t| lock.acquire_timeout(t))?, Error::TimedOut)?;
    refused(lock.try_acquire(), Error::TimedOut)?;
    go.set();
    drop(lock.lock()?);
    same(exitcode(&p)?, 0)
}

pub(crate) fn a_killed_holder_gives_the_rlock_back_however_often_it_had_it(
    ctx: &Context,
) -> Verdict {
    let (lock, held, go) = (ctx.rlock()?, ctx.event()?, ctx.event()?);
    let it = Shared::RLock(lock.clone());
    let p = ctx.process("has_it").args((&it, "", &held, &go)).daemon(true).start()?;
    held.wait()?;
    p.kill()?;
    let guard = lock.lock()?;
    same(guard.owner_died(), true)?;
    let again = lock.lock()?;
    same(again.owner_died(), false)?;
    drop((guard, again));
    // What the dead one had counted is forgotten.
    same(tries(ctx, &lock)?, "Ok(false)")
}
