//! Queues whose items are marked done.

use crate::support::*;
use anyhow::ensure;
use procbox_guest::{Context, Error, Result};
use std::time::Duration;

pub(crate) fn join_waits_until_all_items_are_done(ctx: &Context) -> Verdict {
    let q = ctx.joinable_queue::<u64>(4)?;
    same((q.join()?, q.try_join()?), (0, 0))?;
    q.put(&1)?;
    q.try_put(&2)?;
    refused(q.try_join(), Error::TimedOut)?;
    same((q.get()?, q.try_get()?), (1, 2))?;
    refused(runs_out(|t| q.join_timeout(t))?, Error::TimedOut)?;
    q.task_done()?;
    same(q.undone()?, 1)?;
    refused(q.try_join(), Error::TimedOut)?;
    q.task_done()?;
    same((q.join()?, q.len(), q.undone()?), (0, 0, 0))
}

pub(crate) fn an_item_is_done_once(ctx: &Context) -> Verdict {
    let q = ctx.joinable_queue::<u64>(4)?;
    let too_many = |done: Result<()>| -> Verdict {
        ensure!(matches!(done, Err(Error::Invalid(_))), "{done:?}");
        Ok(())
    };
    too_many(q.task_done())?;
    q.put(&1)?;
    // One that is in the queue still is nobody's.
    too_many(q.task_done())?;
    q.get()?;
    q.task_done()?;
    too_many(q.task_done())
}

pub(crate) fn many_handle_the_items_of_many(ctx: &Context) -> Verdict {
    const EACH: u64 = 200;
    let (q, sum) = (ctx.joinable_queue::<u64>(8)?, ctx.queue::<u64>(1)?);
    sum.put(&0)?;
    let handle = |_| ctx.process("handles_items").args((&q, &sum)).start();
    let handlers = (0..3).map(handle).collect::<Result<Vec<_>>>()?;
    let put = |_| ctx.process("puts_items").args((&q, EACH)).start();
    let producers = (0..2).map(put).collect::<Result<Vec<_>>>()?;
    producers.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    same(q.join()?, 0)?;
    same(sum.get()?, EACH * (EACH - 1))?;
    q.close()?;
    handlers.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    refused(q.put(&1), Error::Closed)?;
    refused(q.get(), Error::Closed)
}

pub(crate) fn the_undone_items_of_a_killed_consumer_are_told(ctx: &Context) -> Verdict {
    let q = ctx.joinable_queue::<u64>(16)?;
    (0..5).try_for_each(|item| q.put(&item))?;
    let (held, go) = (ctx.event()?, ctx.event()?);
    let p = ctx.process("takes_items").args((&q, 5u64, 2u64, &held, &go)).daemon(true).start()?;
    held.wait()?;
    same((q.undone()?, q.len()), (3, 0))?;
    refused(q.try_join(), Error::TimedOut)?;
    p.kill()?;
    same(q.join()?, 3)?;
    // All who join are told, and what comes after that is not lost.
    q.put(&1)?;
    q.get()?;
    q.task_done()?;
    same((q.join()?, q.undone()?), (3, 0))
}

pub(crate) fn a_consumer_that_is_killed_while_it_waits_loses_nothing(ctx: &Context) -> Verdict {
    let (q, sum) = (ctx.joinable_queue::<u64>(16)?, ctx.queue::<u64>(1)?);
    for _ in 0..3 {
        let p = ctx.process("handles_items").args((&q, &sum)).daemon(true).start()?;
        let_it_block();
        p.kill()?;
        p.join()?;
    }
    (0..3).try_for_each(|item| q.put(&item))?;
    for item in 0..3 {
        same(q.get()?, item)?;
        q.task_done()?;
    }
    same(q.join()?, 0)
}

pub(crate) fn a_wait_for_an_item_or_for_room_runs_out(ctx: &Context) -> Verdict {
    let q = ctx.joinable_queue::<u64>(1)?;
    refused(runs_out(|t| q.get_timeout(t))?, Error::Empty)?;
    refused(q.try_get(), Error::Empty)?;
    q.put(&1)?;
    refused(runs_out(|t| q.put_timeout(&2, t))?, Error::Full)?;
    refused(q.try_put(&2), Error::Full)?;
    same(q.get_timeout(Duration::MAX)?, 1)?;
    ensure!(ctx.unbounded_joinable_queue::<u64>()?.is_empty());
    Ok(q.task_done()?)
}

pub(crate) fn close_wakes_who_waits_for_an_item(ctx: &Context) -> Verdict {
    let (q, sum) = (ctx.joinable_queue::<u64>(4)?, ctx.queue::<u64>(1)?);
    sum.put(&0)?;
    let start = |_| ctx.process("handles_items").args((&q, &sum)).start();
    let all = (0..3).map(start).collect::<Result<Vec<_>>>()?;
    q.put(&7)?;
    same(q.join()?, 0)?;
    q.close()?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    same(sum.get()?, 7)
}
