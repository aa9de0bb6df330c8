//! What is done once.

use crate::Shared;
use crate::support::*;
use procbox_guest::{Context, Error, Result};

pub(crate) fn it_is_done_once_whoever_comes(ctx: &Context) -> Verdict {
    let (once, done) = (ctx.once()?, ctx.queue::<u32>(16)?);
    same(once.is_done()?, false)?;
    let start = |me| ctx.process("comes_to_do_it").args((&once, &done, me)).start();
    let all = (0..4u32).map(start).collect::<Result<Vec<_>>>()?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    once.call(|_| done.put(&99))?;
    same((done.len(), once.is_done()?), (1, true))?;
    Ok(once.wait()?)
}

pub(crate) fn who_comes_meanwhile_waits_until_it_is_done(ctx: &Context) -> Verdict {
    let (once, held, go) = (ctx.once()?, ctx.event()?, ctx.event()?);
    let it = Shared::Once(once.clone());
    let p = ctx.process("has_it").args((&it, "", &held, &go)).daemon(true).start()?;
    held.wait()?;
    refused(once.try_call(|_| Ok(())), Error::TimedOut)?;
    refused(runs_out(|t| once.call_timeout(t, |_| Ok(())))?, Error::TimedOut)?;
    refused(runs_out(|t| once.wait_timeout(t))?, Error::TimedOut)?;
    same(once.is_done()?, false)?;
    go.set();
    once.call(|_| Err(Error::Closed))?;
    same((once.is_done()?, exitcode(&p)?), (true, 0))
}

pub(crate) fn what_fails_is_not_done(ctx: &Context) -> Verdict {
    let once = ctx.once()?;
    refused(once.call(|_| Err(Error::Closed)), Error::Closed)?;
    same(once.is_done()?, false)?;
    once.call(|state| if state.owner_died() { Err(Error::Deadlock) } else { Ok(()) })?;
    same(once.is_done()?, true)
}

pub(crate) fn another_takes_over_from_one_that_is_killed(ctx: &Context) -> Verdict {
    let (once, held, go) = (ctx.once()?, ctx.event()?, ctx.event()?);
    let it = Shared::Once(once.clone());
    let p = ctx.process("has_it").args((&it, "", &held, &go)).daemon(true).start()?;
    held.wait()?;
    let (about, out) = (ctx.event()?, ctx.queue::<String>(1)?);
    let next = ctx.process("waits_for_it").args((&it, "", &about, &out)).daemon(true).start()?;
    about_to_block(&about)?;
    p.kill()?;
    // It was told that one had begun.
    same(out.get()?, "Ok(true)")?;
    same((once.is_done()?, exitcode(&next)?), (true, 0))
}
