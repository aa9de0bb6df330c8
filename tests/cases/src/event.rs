//! Events.

use crate::support::*;
use anyhow::{bail, ensure};
use procbox_guest::{Context, Event, Result};
use std::time::Duration;

pub(crate) fn an_event_is_set_and_cleared(ctx: &Context) -> Verdict {
    let e = ctx.event()?;
    ensure!(!e.is_set());
    e.set();
    e.set();
    ensure!(e.is_set() && e.clone().is_set());
    ensure!(e.wait()? && e.wait_timeout(Duration::ZERO)? && e.wait_timeout(Duration::MAX)?);
    e.clear();
    ensure!(!e.is_set());
    ensure!(!e.wait_timeout(Duration::ZERO)?);
    Ok(())
}

pub(crate) fn a_wait_for_an_event_runs_out(ctx: &Context) -> Verdict {
    let e = ctx.event()?;
    same(runs_out(|t| e.wait_timeout(t))?, Ok(false))
}

pub(crate) fn a_set_wakes_all_who_wait(ctx: &Context) -> Verdict {
    let (e, about) = (ctx.event()?, ctx.queue::<()>(4)?);
    let out = ctx.queue::<bool>(4)?;
    let start = |_| ctx.process("waits").args((&e, &about, &out)).daemon(true).start();
    let all = (0..4).map(start).collect::<Result<Vec<_>>>()?;
    (0..4).try_for_each(|_| about.get())?;
    let_it_block();
    same(out.len(), 0)?;
    e.set();
    (0..4).try_for_each(|_| same(out.get()?, true))?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))
}

pub(crate) fn one_waits_in_vain_and_one_for_ever(ctx: &Context) -> Verdict {
    let (e, about) = (ctx.event()?, ctx.queue::<()>(2)?);
    let out = ctx.queue::<bool>(2)?;
    let patient = ctx.process("waits").args((&e, &about, &out)).daemon(true).start()?;
    let hasty = ctx.process("waits_at_most").args((&e, 200u64, &out)).daemon(true).start()?;
    same(out.get()?, false)?;
    same(exitcode(&hasty)?, 0)?;
    e.set();
    same(out.get()?, true)?;
    same(exitcode(&patient)?, 0)
}

pub(crate) fn a_set_is_seen_also_if_it_is_cleared_at_once(ctx: &Context) -> Verdict {
    let (e, about) = (ctx.event()?, ctx.queue::<()>(1)?);
    let out = ctx.queue::<bool>(1)?;
    let p = ctx.process("waits").args((&e, &about, &out)).daemon(true).start()?;
    about.get()?;
    // The first may come before the wait. One that comes during it has to end it.
    until(|| {
        let_it_block();
        e.set();
        e.clear();
        !out.is_empty()
    });
    same(out.get()?, true)?;
    same(exitcode(&p)?, 0)
}

pub(crate) fn who_waits_sees_a_set_that_is_over_when_it_wakes(ctx: &Context) -> Verdict {
    let (e, about) = (ctx.event()?, ctx.queue::<()>(1)?);
    let out = ctx.queue::<bool>(1)?;
    let p = ctx.process("waits").args((&e, &about, &out)).daemon(true).start()?;
    about.get()?;
    // Few, so that none is seen by chance; more than one, since it may not wait yet.
    for _ in 0..3 {
        std::thread::sleep(SHORT);
        e.set();
        e.clear();
        if let Ok(seen) = out.get_timeout(5 * SHORT) {
            same(seen, true)?;
            return same(exitcode(&p)?, 0);
        }
    }
    bail!("it does not see it")
}

pub(crate) fn a_killed_waiter_hurts_nobody(ctx: &Context) -> Verdict {
    let (e, about) = (ctx.event()?, ctx.queue::<()>(2)?);
    let out = ctx.queue::<bool>(2)?;
    let start = || ctx.process("waits").args((&e, &about, &out)).daemon(true).start();
    let (killed, other) = (start()?, start()?);
    about.get()?;
    about.get()?;
    let_it_block();
    killed.kill()?;
    killed.join()?;
    e.set();
    same(out.get()?, true)?;
    same(exitcode(&other)?, 0)
}

pub(crate) fn an_event_is_handed_on_a_hundred_thousand_times_between_two(ctx: &Context) -> Verdict {
    ring(ctx, 2)
}

pub(crate) fn an_event_is_handed_on_a_hundred_thousand_times_between_four(
    ctx: &Context,
) -> Verdict {
    ring(ctx, 4)
}

fn ring(ctx: &Context, processes: usize) -> Verdict {
    let all = (0..processes).map(|_| ctx.event()).collect::<Result<Vec<Event>>>()?;
    let start = |i: usize| {
        let next = &all[(i + 1) % processes];
        ctx.process("hands_on_an_event").args((&all[i], next, 100_000u64)).daemon(true).start()
    };
    let ps = (0..processes).map(start).collect::<Result<Vec<_>>>()?;
    all[0].set();
    ps.iter().try_for_each(|p| same(exitcode(p)?, 0))
}
