//! Processes that end with their parents, and processes that outlive them.

use crate::support::*;
use procbox_guest::{Context, Error};

pub(crate) fn a_daemon_ends_with_its_parent(ctx: &Context) -> Verdict {
    let (here, there) = ctx.pipe::<u32>()?;
    let parent = ctx.process("leaves_a_daemon").args((&there,)).start()?;
    drop(there);
    same(exitcode(&parent)?, 0)?;
    refused(here.recv(), Error::Closed)
}

pub(crate) fn a_daemon_ends_with_its_killed_parent(ctx: &Context) -> Verdict {
    let (here, there) = ctx.pipe::<u32>()?;
    let (started, forever) = (ctx.event()?, ctx.event()?);
    let parent = ctx.process("blocks_beside_a_daemon").args((&there, &started, &forever));
    let parent = parent.start()?;
    drop(there);
    started.wait()?;
    refused(here.try_recv(), Error::TimedOut)?;
    parent.kill()?;
    refused(here.recv(), Error::Closed)?;
    same(exitcode(&parent)?, -9)
}

pub(crate) fn a_daemon_that_is_joined_is_waited_for(ctx: &Context) -> Verdict {
    let (go, out) = (ctx.event()?, ctx.queue::<u32>(1)?);
    let p = ctx.process("puts_when_told").args((&go, &out)).daemon(true).start()?;
    go.set();
    same(exitcode(&p)?, 0)?;
    same(out.len(), 1)
}

pub(crate) fn another_child_is_joined_at_its_parents_end(ctx: &Context) -> Verdict {
    let (go, out) = (ctx.event()?, ctx.queue::<u32>(1)?);
    let parent = ctx.process("leaves_a_child").args((&go, &out)).start()?;
    refused(runs_out(|t| parent.join_timeout(t))?, Error::TimedOut)?;
    go.set();
    same(exitcode(&parent)?, 0)?;
    same(out.len(), 1)
}

pub(crate) fn another_child_is_joined_after_a_pool_was_used_too(ctx: &Context) -> Verdict {
    for _ in 0..20 {
        let (go, out) = (ctx.event()?, ctx.queue::<u32>(1)?);
        let parent = ctx.process("leaves_a_child_and_uses_a_pool").args((&go, &out)).start()?;
        same(exitcode(&parent)?, 0)?;
        same(out.len(), 1)?;
    }
    Ok(())
}

pub(crate) fn another_child_outlives_its_killed_parent(ctx: &Context) -> Verdict {
    let (started, go, out) = (ctx.event()?, ctx.event()?, ctx.queue::<u32>(1)?);
    let parent = ctx.process("blocks_beside_a_child").args((&started, &go, &out)).start()?;
    started.wait()?;
    parent.kill()?;
    same(exitcode(&parent)?, -9)?;
    go.set();
    out.get()?;
    Ok(())
}

pub(crate) fn a_daemon_may_not_start_processes(ctx: &Context) -> Verdict {
    let out = ctx.queue::<String>(1)?;
    let start = |daemon| ctx.process("tries_to_start").args((&out,)).daemon(daemon).start();
    let p = start(true)?;
    same(out.get()?, "Err(DaemonStart)")?;
    same(exitcode(&p)?, 0)?;
    let p = start(false)?;
    same(out.get()?, "Ok(())")?;
    same(exitcode(&p)?, 0)
}
