//! Deadlocks: circles of waits end, and nothing else does for looking like one.

use crate::support::*;
use anyhow::ensure;
use procbox_guest::{Bytes, Context, Error, Limit, Lock, Process, Queue, Result};

/// The word of a wait that was one of a circle.
const DEADLOCK: &str = "Err(Deadlock)";

/// So many say that they waited in a circle, and end.
fn all_say_so(out: &Queue<String>, all: &[Process]) -> Verdict {
    all.iter().try_for_each(|_| same(out.get()?, DEADLOCK))?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))
}

/// Starts one for each of so many, who takes the first of its locks, and the second when all have their
/// first.
fn around_the_table(ctx: &Context, many: usize, out: &Queue<String>) -> Result<Vec<Process>> {
    let locks = (0..many).map(|_| ctx.lock()).collect::<Result<Vec<Lock>>>()?;
    let held = (0..many).map(|_| ctx.event()).collect::<Result<Vec<_>>>()?;
    let start = |at: usize| {
        let next = (at + 1) % many;
        let args = (&locks[at], &locks[next], &held[at], &held[next], out);
        ctx.process("takes_both").args(args).start()
    };
    (0..many).map(start).collect()
}

pub(crate) fn two_locks_taken_crosswise_are_a_deadlock(ctx: &Context) -> Verdict {
    let out = ctx.queue::<String>(2)?;
    let both = around_the_table(ctx, 2, &out)?;
    all_say_so(&out, &both)
}

pub(crate) fn five_philosophers_who_take_the_left_fork_are_a_deadlock(ctx: &Context) -> Verdict {
    let out = ctx.queue::<String>(5)?;
    let five = around_the_table(ctx, 5, &out)?;
    all_say_so(&out, &five)
}

pub(crate) fn five_philosophers_who_take_the_lower_fork_are_none(ctx: &Context) -> Verdict {
    let forks = (0..5).map(|_| ctx.lock()).collect::<Result<Vec<_>>>()?;
    let start = |at: usize| {
        let (left, right) = (at.min((at + 1) % 5), at.max((at + 1) % 5));
        ctx.process("dines").args((&forks[left], &forks[right], 2000u32)).start()
    };
    let five = (0..5).map(start).collect::<Result<Vec<_>>>()?;
    five.iter().try_for_each(|p| same(exitcode(p)?, 0))
}

pub(crate) fn a_child_that_waits_for_the_lock_of_who_joins_it_is_a_deadlock(
    ctx: &Context,
) -> Verdict {
    let (lock, out) = (ctx.lock()?, ctx.queue::<String>(1)?);
    let guard = lock.lock()?;
    let p = ctx.process("tells_lock").args((&lock, &out)).start()?;
    refused(p.join(), Error::Deadlock)?;
    same(out.get()?, DEADLOCK)?;
    drop(guard);
    same(exitcode(&p)?, 0)
}

pub(crate) fn a_child_that_waits_for_a_message_of_who_joins_it_is_a_deadlock(
    ctx: &Context,
) -> Verdict {
    let out = ctx.queue::<String>(2)?;
    let p = ctx.process("joins_whom_it_keeps_waiting").args((&out,)).start()?;
    same(exitcode(&p)?, 0)?;
    same(out.get()?, DEADLOCK)?;
    same(out.get()?, DEADLOCK)
}

pub(crate) fn a_queue_that_nobody_can_fill_is_a_deadlock(ctx: &Context) -> Verdict {
    let (q, about, out) = (ctx.queue::<u32>(1)?, ctx.queue::<()>(1)?, ctx.queue::<String>(1)?);
    let p = ctx.process("gets").args((&q, &about, &out)).start()?;
    drop(q);
    all_say_so(&out, &[p])
}

pub(crate) fn a_queue_that_nobody_can_drain_is_a_deadlock(ctx: &Context) -> Verdict {
    let (q, about, out) = (ctx.queue::<u32>(1)?, ctx.queue::<()>(1)?, ctx.queue::<String>(1)?);
    q.put(&1)?;
    let p = ctx.process("puts").args((&q, 2u32, &about, &out)).start()?;
    drop(q);
    all_say_so(&out, &[p])
}

pub(crate) fn both_ends_of_a_pipe_receiving_is_a_deadlock(ctx: &Context) -> Verdict {
    let (here, there) = ctx.pipe::<Bytes>()?;
    let (about, out) = (ctx.event()?, ctx.queue::<String>(2)?);
    let start = |end| ctx.process("tells_recv").args((end, &about, &out)).start();
    let both = [start(&here)?, start(&there)?];
    drop((here, there));
    all_say_so(&out, &both)
}

pub(crate) fn two_queues_of_which_each_waits_for_the_other_are_a_deadlock(
    ctx: &Context,
) -> Verdict {
    let (one, other, out) = (ctx.queue::<u32>(1)?, ctx.queue::<u32>(1)?, ctx.queue::<String>(2)?);
    let start = |from, to| ctx.process("gets_and_puts").args((from, to, &out)).start();
    let both = [start(&one, &other)?, start(&other, &one)?];
    drop((one, other));
    all_say_so(&out, &both)
}

/// Two that ask each other, and wait for their answers: the queue for these is in the request. Each
/// has both inboxes.
fn ask_each_other(
    ctx: &Context,
    inboxes: &[Inbox; 2],
    out: &Queue<String>,
) -> Result<[Process; 2]> {
    let start = |at: usize| ctx.process("asks").args((&inboxes[1 - at], &inboxes[at], out)).start();
    Ok([start(0)?, start(1)?])
}

type Inbox = Queue<Queue<u32>>;

pub(crate) fn two_requests_whose_reply_queues_are_on_their_way_are_a_deadlock(
    ctx: &Context,
) -> Verdict {
    let (inboxes, out) = ([ctx.queue(4)?, ctx.queue(4)?], ctx.queue::<String>(2)?);
    let both = ask_each_other(ctx, &inboxes, &out)?;
    drop(inboxes);
    all_say_so(&out, &both)
}

pub(crate) fn two_requests_in_a_pipe_whose_ends_wait_for_replies_are_a_deadlock(
    ctx: &Context,
) -> Verdict {
    let (here, there) = ctx.pipe::<Queue<u32>>()?;
    let out = ctx.queue::<String>(2)?;
    let start = |end| ctx.process("asks_by_pipe").args((end, &out)).start();
    let both = [start(&here)?, start(&there)?];
    drop((here, there));
    all_say_so(&out, &both)
}

pub(crate) fn who_waits_for_a_reply_that_somebody_could_give_is_in_no_circle(
    ctx: &Context,
) -> Verdict {
    let (inboxes, out) = ([ctx.queue::<Queue<u32>>(4)?, ctx.queue(4)?], ctx.queue::<String>(2)?);
    let both = ask_each_other(ctx, &inboxes, &out)?;
    // This process could receive both requests, and does something else meanwhile.
    refused(out.get_timeout(4 * SHORT), Error::Empty)?;
    inboxes[0].get()?.put(&7)?;
    inboxes[1].get()?.put(&7)?;
    both.iter().try_for_each(|_| same(out.get()?, "Ok(7)"))?;
    both.iter().try_for_each(|p| same(exitcode(p)?, 0))
}

pub(crate) fn two_semaphores_taken_crosswise_are_a_deadlock(ctx: &Context) -> Verdict {
    let (one, other, out) = (ctx.semaphore(1)?, ctx.semaphore(1)?, ctx.queue::<String>(2)?);
    let held = [ctx.event()?, ctx.event()?];
    let start = |first, second, at: usize| {
        let args = (first, second, &held[at], &held[1 - at], &out);
        ctx.process("takes_both_permits").args(args).start()
    };
    let both = [start(&one, &other, 0)?, start(&other, &one, 1)?];
    drop((one, other));
    all_say_so(&out, &both)
}

pub(crate) fn two_rwlocks_written_crosswise_are_a_deadlock(ctx: &Context) -> Verdict {
    let (one, other, out) = (ctx.rwlock()?, ctx.rwlock()?, ctx.queue::<String>(2)?);
    let held = [ctx.event()?, ctx.event()?];
    let start = |first, second, at: usize| {
        let args = (first, second, &held[at], &held[1 - at], &out);
        ctx.process("writes_both").args(args).start()
    };
    let both = [start(&one, &other, 0)?, start(&other, &one, 1)?];
    drop((one, other));
    all_say_so(&out, &both)
}

pub(crate) fn a_barrier_to_which_nobody_else_can_come_is_a_deadlock(ctx: &Context) -> Verdict {
    let (barrier, out) = (ctx.barrier(3)?, ctx.queue::<String>(2)?);
    let about = ctx.event()?;
    let start = |_| {
        let it = crate::Shared::Barrier(barrier.clone());
        ctx.process("waits_for_it").args((&it, "", &about, &out)).start()
    };
    let both = (0..2).map(start).collect::<Result<Vec<_>>>()?;
    drop(barrier);
    // Whoever gives up breaks it for the other one.
    let mut said = [out.get()?, out.get()?];
    said.sort();
    same(&*said[1], DEADLOCK)?;
    ensure!([DEADLOCK, "Err(BrokenBarrier)"].contains(&&*said[0]), "{said:?}");
    both.iter().try_for_each(|p| same(exitcode(p)?, 0))
}

pub(crate) fn two_events_of_which_each_waits_for_the_other_are_a_deadlock(
    ctx: &Context,
) -> Verdict {
    let (one, other, out) = (ctx.event()?, ctx.event()?, ctx.queue::<String>(2)?);
    let start = |mine, next| ctx.process("waits_and_sets").args((mine, next, &out)).start();
    let both = [start(&one, &other)?, start(&other, &one)?];
    drop((one, other));
    all_say_so(&out, &both)
}

pub(crate) fn a_lock_and_a_queue_that_wait_for_each_other_are_a_deadlock(ctx: &Context) -> Verdict {
    let (lock, q, out) = (ctx.lock()?, ctx.queue::<u32>(1)?, ctx.queue::<String>(2)?);
    let held = ctx.event()?;
    let holder = ctx.process("gets_under_a_lock").args((&lock, &q, &held, &out)).start()?;
    let other = ctx.process("puts_under_a_lock").args((&lock, &q, &held, &out)).start()?;
    drop(q);
    all_say_so(&out, &[holder, other])
}

pub(crate) fn who_waits_for_a_circle_sees_what_becomes_of_it(ctx: &Context) -> Verdict {
    let out = ctx.queue::<String>(2)?;
    let both = around_the_table(ctx, 2, &out)?;
    // The join is up to the circle, and not in it.
    both.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    same(out.len(), 2)
}

pub(crate) fn a_wait_with_a_bound_is_in_no_circle(ctx: &Context) -> Verdict {
    let (lock, out) = (ctx.lock()?, ctx.queue::<String>(1)?);
    let guard = lock.lock()?;
    let p = ctx.process("tells_lock").args((&lock, &out)).start()?;
    refused(p.join_timeout(4 * SHORT), Error::TimedOut)?;
    drop(guard);
    same(out.get()?, "Ok(())")?;
    same(exitcode(&p)?, 0)
}

pub(crate) fn who_ends_with_an_ancestor_is_in_no_circle(ctx: &Context) -> Verdict {
    let out = ctx.queue::<String>(2)?;
    let p = ctx.process("waits_for_a_circle").args((&out,)).timeout(10 * SHORT).start()?;
    same(p.join()?.limit(), Some(Limit::WallClock))?;
    same(out.len(), 0)
}

pub(crate) fn who_waits_for_somebody_who_only_takes_his_time_is_in_no_circle(
    ctx: &Context,
) -> Verdict {
    let (q, about, out) = (ctx.queue::<u32>(1)?, ctx.queue::<()>(1)?, ctx.queue::<String>(1)?);
    let p = ctx.process("gets").args((&q, &about, &out)).start()?;
    about.get()?;
    // This process has the queue too, and does something else meanwhile.
    refused(out.get_timeout(4 * SHORT), Error::Empty)?;
    q.put(&7)?;
    same(out.get()?, "Ok(7)")?;
    same(exitcode(&p)?, 0)
}

pub(crate) fn who_waits_for_a_queue_that_is_in_a_message_is_in_no_circle(ctx: &Context) -> Verdict {
    let (q, about, out) = (ctx.queue::<u32>(1)?, ctx.queue::<()>(1)?, ctx.queue::<String>(1)?);
    let box_of_it = ctx.queue::<Queue<u32>>(1)?;
    let p = ctx.process("gets").args((&q, &about, &out)).start()?;
    box_of_it.put(&q)?;
    drop(q);
    refused(out.get_timeout(4 * SHORT), Error::Empty)?;
    box_of_it.get()?.put(&7)?;
    same(out.get()?, "Ok(7)")?;
    same(exitcode(&p)?, 0)
}

pub(crate) fn who_sleeps_on_its_own_event_sleeps_until_it_is_ended(ctx: &Context) -> Verdict {
    let (started, never) = (ctx.event()?, ctx.event()?);
    let p = ctx.process("blocks").args((&started, &never)).start()?;
    drop(never);
    started.wait()?;
    refused(p.join_timeout(4 * SHORT), Error::TimedOut)?;
    p.kill()?;
    same(exitcode(&p)?, -9)
}
