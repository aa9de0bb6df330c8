//! Queues.

use crate::support::*;
use anyhow::ensure;
use procbox_guest::raw::Message;
use procbox_guest::{Bounds, Bytes, Context, Error, Lock, Process, Queue, Result, Sender, Wait};
use std::time::Duration;

pub(crate) fn first_in_is_first_out(ctx: &Context) -> Verdict {
    let q = ctx.queue::<u32>(100)?;
    (0..100).try_for_each(|i| q.put(&i))?;
    (0..100).try_for_each(|i| same(q.get()?, i))
}

pub(crate) fn a_queue_knows_how_full_it_is(ctx: &Context) -> Verdict {
    let q = ctx.queue::<u32>(2)?;
    same((q.len(), q.is_empty(), q.is_full()), (0, true, false))?;
    q.put(&1)?;
    same((q.len(), q.is_empty(), q.is_full()), (1, false, false))?;
    q.put(&2)?;
    same((q.len(), q.is_empty(), q.is_full()), (2, false, true))?;
    q.get()?;
    same((q.len(), q.is_empty(), q.is_full()), (1, false, false))
}

pub(crate) fn a_full_queue_says_full(ctx: &Context) -> Verdict {
    let q = ctx.queue::<u32>(1)?;
    q.try_put(&1)?;
    refused(q.try_put(&2), Error::Full)?;
    refused(q.put_timeout(&2, Duration::ZERO), Error::Full)?;
    refused(runs_out(|t| q.put_timeout(&2, t))?, Error::Full)?;
    same((q.len(), q.get()?), (1, 1))?;
    q.put_timeout(&3, Duration::MAX)?;
    same(q.get()?, 3)
}

pub(crate) fn an_empty_queue_says_empty(ctx: &Context) -> Verdict {
    let q = ctx.queue::<u32>(1)?;
    refused(q.try_get(), Error::Empty)?;
    refused(q.get_timeout(Duration::ZERO), Error::Empty)?;
    refused(runs_out(|t| q.get_timeout(t))?, Error::Empty)?;
    q.put(&1)?;
    same(q.get_timeout(Duration::MAX)?, 1)
}

pub(crate) fn a_queue_holds_at_least_one(ctx: &Context) -> Verdict {
    ensure!(matches!(ctx.queue::<u32>(0), Err(Error::Invalid(_))));
    let bounds = Bounds::default().bytes(0);
    ensure!(matches!(ctx.queue_with::<u32>(bounds), Err(Error::Invalid(_))));
    Ok(())
}

pub(crate) fn a_closed_queue_drains_and_then_is_closed(ctx: &Context) -> Verdict {
    let q = ctx.queue::<u32>(3)?;
    q.put(&1)?;
    q.put(&2)?;
    q.close();
    refused(q.put(&3), Error::Closed)?;
    refused(q.try_put(&3), Error::Closed)?;
    same((q.get()?, q.try_get()?), (1, 2))?;
    refused(q.get(), Error::Closed)?;
    refused(q.try_get(), Error::Closed)?;
    refused(q.get_timeout(SHORT), Error::Closed)?;
    q.close();
    Ok(())
}

pub(crate) fn close_wakes_blocked_getters(ctx: &Context) -> Verdict {
    let q = ctx.queue::<u32>(1)?;
    let out = ctx.queue::<String>(2)?;
    let about = ctx.queue::<()>(2)?;
    let start = |_| ctx.process("gets").args((&q, &about, &out)).daemon(true).start();
    let all = (0..2).map(start).collect::<Result<Vec<_>>>()?;
    (0..2).try_for_each(|_| about.get())?;
    let_it_block();
    q.close();
    (0..2).try_for_each(|_| same(out.get()?, "Err(Closed)"))?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))
}

pub(crate) fn close_wakes_blocked_putters(ctx: &Context) -> Verdict {
    let q = ctx.queue::<u32>(1)?;
    q.put(&7)?;
    let out = ctx.queue::<String>(2)?;
    let about = ctx.queue::<()>(2)?;
    let start = |_| ctx.process("puts").args((&q, 8u32, &about, &out)).daemon(true).start();
    let all = (0..2).map(start).collect::<Result<Vec<_>>>()?;
    (0..2).try_for_each(|_| about.get())?;
    let_it_block();
    q.close();
    (0..2).try_for_each(|_| same(out.get()?, "Err(Closed)"))?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    same(q.get()?, 7)?;
    refused(q.get(), Error::Closed)
}

pub(crate) fn a_get_lets_a_blocked_putter_go_on(ctx: &Context) -> Verdict {
    let q = ctx.queue::<u32>(1)?;
    q.put(&7)?;
    let (about, out) = (ctx.queue::<()>(1)?, ctx.queue::<String>(1)?);
    let p = ctx.process("puts").args((&q, 8u32, &about, &out)).daemon(true).start()?;
    about.get()?;
    let_it_block();
    same(out.len(), 0)?;
    same((q.get()?, q.get()?), (7, 8))?;
    same(out.get()?, "Ok(())")?;
    same(exitcode(&p)?, 0)
}

pub(crate) fn an_unbounded_queue_takes_all(ctx: &Context) -> Verdict {
    let q = ctx.unbounded_queue::<u64>()?;
    (0..100_000).try_for_each(|i| q.try_put(&i))?;
    same((q.len(), q.is_full()), (100_000, false))?;
    (0..100_000).try_for_each(|i| same(q.try_get()?, i))?;
    refused(q.try_get(), Error::Empty)
}

pub(crate) fn messages_of_no_bytes_are_messages(ctx: &Context) -> Verdict {
    let q = ctx.queue::<()>(3)?;
    (0..3).try_for_each(|_| q.put(&()))?;
    refused(q.try_put(&()), Error::Full)?;
    same(q.len(), 3)?;
    (0..3).try_for_each(|_| q.get())?;
    refused(q.try_get(), Error::Empty)
}

fn echoed(ctx: &Context, sizes: &[usize]) -> Verdict {
    let (to, from) = (ctx.queue::<Bytes>(2)?, ctx.queue::<Bytes>(2)?);
    let p = ctx.process("echoes_messages").args((&to, &from)).daemon(true).start()?;
    for size in sizes {
        let message = Bytes((0..*size).map(|i| (i * 31 / 7) as u8).collect());
        to.put(&message)?;
        let back = from.get()?;
        ensure!(back == message, "{size} bytes came back as {} others", back.len());
    }
    to.close();
    same(exitcode(&p)?, 0)
}

pub(crate) fn messages_of_all_sizes_arrive_whole(ctx: &Context) -> Verdict {
    let mut sizes: Vec<usize> =
        (0..20).flat_map(|n| [(1 << n) - 1, 1 << n, (1 << n) + 1]).collect();
    sizes.push(1 << 20);
    echoed(ctx, &sizes)
}

pub(crate) fn a_message_of_64_mib_arrives_whole(ctx: &Context) -> Verdict {
    echoed(ctx, &[(64 << 20) - 16])
}

pub(crate) fn a_message_that_never_fits_is_too_large(ctx: &Context) -> Verdict {
    let q = ctx.queue_with::<Bytes>(Bounds::default().bytes(1000))?;
    match q.put(&Bytes(vec![0; 2000])) {
        Err(Error::TooLarge { size, limit }) => {
            ensure!(size >= 2000 && limit <= 1000, "{size} of {limit}");
        }
        other => anyhow::bail!("{other:?}"),
    }
    ensure!(matches!(q.try_put(&Bytes(vec![0; 2000])), Err(Error::TooLarge { .. })));
    same(q.len(), 0)?;
    q.put(&Bytes(vec![1; 900]))?;
    same(q.get()?, Bytes(vec![1; 900]))
}

pub(crate) fn bytes_are_bounded_too(ctx: &Context) -> Verdict {
    let q = ctx.queue_with::<Bytes>(Bounds::default().bytes(1000))?;
    q.put(&Bytes(vec![1; 600]))?;
    refused(q.try_put(&Bytes(vec![2; 600])), Error::Full)?;
    same(q.get()?.len(), 600)?;
    q.try_put(&Bytes(vec![2; 600]))?;
    same(q.get()?, Bytes(vec![2; 600]))
}

pub(crate) fn messages_of_no_bytes_are_bounded_too(ctx: &Context) -> Verdict {
    for bounds in [Bounds::default().bytes(1 << 20), Bounds::default().messages(1 << 30).bytes(1)] {
        let q = ctx.queue_with::<()>(bounds)?;
        let put = || q.raw().put(&[], &[], Wait::Never);
        let took = (0..1 << 20).take_while(|_| put().is_ok()).count();
        same(took, bounds.most_messages())?;
        refused(put(), Error::Full)?;
        same(q.raw().bounds(), bounds)?;
        q.get()?;
        put()?;
    }
    Ok(())
}

pub(crate) fn room_in_bytes_lets_in_as_many_as_fit(ctx: &Context) -> Verdict {
    let q: Queue<u32> = ctx.queue_with(Bounds::default().bytes(12))?;
    q.raw().put(&[0; 12], &[], Wait::Never)?;
    let (about, out) = (ctx.queue::<()>(2)?, ctx.queue::<String>(2)?);
    let start = |_| ctx.process("puts").args((&q, 8u32, &about, &out)).daemon(true).start();
    let all = (0..2).map(start).collect::<Result<Vec<_>, _>>()?;
    (0..2).try_for_each(|_| about.get())?;
    let_it_block();
    q.raw().get(&mut Message::default(), Wait::Never)?;
    (0..2).try_for_each(|_| same(out.get()?, "Ok(())"))?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))
}

pub(crate) fn room_for_a_small_message_is_not_kept_by_a_large_one(ctx: &Context) -> Verdict {
    let q: Queue<Bytes> = ctx.queue_with(Bounds::default().messages(10).bytes(100))?;
    let put = |size| q.raw().put(&vec![0; size], &[], Wait::Never);
    put(50).and_then(|()| put(45))?;
    let (about, out) = (ctx.queue::<()>(2)?, ctx.queue::<usize>(2)?);
    let start = |size: usize| {
        let p = ctx.process("puts_bytes").args((&q, size, &about, &out)).daemon(true).start()?;
        about.get()?;
        let_it_block();
        anyhow::Ok(p)
    };
    let (large, small) = (start(60)?, start(10)?);
    // 45 are left: the small one fits, although the large one came first.
    q.raw().get(&mut Message::default(), Wait::Never)?;
    same(out.get()?, 10)?;
    same(exitcode(&small)?, 0)?;
    Ok(large.kill()?)
}

pub(crate) fn a_queue_travels_in_a_queue(ctx: &Context) -> Verdict {
    let inbox = ctx.queue::<Queue<u32>>(2)?;
    let p = ctx.process("answers_in_each").args((&inbox,)).start()?;
    let answers = (0..3)
        .map(|_| {
            let reply = ctx.queue::<u32>(1)?;
            inbox.put(&reply)?;
            Ok(reply)
        })
        .collect::<Result<Vec<_>>>()?;
    inbox.close();
    same(answers.iter().map(Queue::get).collect::<Result<Vec<_>>>()?, [0, 1, 2])?;
    same(exitcode(&p)?, 0)
}

pub(crate) fn several_handles_travel_in_one_message(ctx: &Context) -> Verdict {
    let jobs = ctx.queue::<(u32, Vec<Lock>, Sender<u32>)>(2)?;
    let p = ctx.process("does_jobs").args((&jobs,)).daemon(true).start()?;
    let locks = (0..3).map(|_| ctx.lock()).collect::<Result<Vec<_>>>()?;
    let (receiver, sender) = ctx.simplex_pipe::<u32>()?;
    let guard = locks[1].lock()?;
    jobs.put(&(20, locks.clone(), sender.clone()))?;
    // It answers with how many of the locks are free.
    same(receiver.recv()?, 22)?;
    drop(guard);
    jobs.put(&(20, locks, sender))?;
    same(receiver.recv()?, 23)?;
    refused(receiver.recv(), Error::Closed)?;
    jobs.close();
    same(exitcode(&p)?, 0)
}

pub(crate) fn a_handle_in_a_message_outlives_its_sender(ctx: &Context) -> Verdict {
    let inbox = ctx.queue::<Queue<u32>>(1)?;
    same(exitcode(&ctx.process("sends_a_full_queue").args((&inbox,)).start()?)?, 0)?;
    let q = inbox.get()?;
    same((q.get()?, q.get()?), (1, 2))?;
    refused(q.try_get(), Error::Empty)
}

pub(crate) fn four_producers_and_four_consumers_lose_nothing(ctx: &Context) -> Verdict {
    const EACH: u64 = 5000;
    let q = ctx.queue::<(u32, u64)>(16)?;
    let sums = ctx.queue::<(u64, u64)>(4)?;
    let consumers = (0..4).map(|_| ctx.process("consumes").args((&q, &sums)).daemon(true).start());
    let consumers = consumers.collect::<Result<Vec<_>>>()?;
    let producers = (0..4u32).map(|who| ctx.process("produces").args((&q, who, EACH)).start());
    let producers = producers.collect::<Result<Vec<_>>>()?;
    producers.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    q.close();
    consumers.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    let (mut count, mut sum) = (0, 0);
    for _ in 0..4 {
        let (n, s) = sums.get()?;
        (count, sum) = (count + n, sum + s);
    }
    same((count, sum), (4 * EACH, 4 * (EACH * (EACH - 1) / 2)))
}

pub(crate) fn killed_producers_never_break_a_queue(ctx: &Context) -> Verdict {
    let q = ctx.queue::<(u32, u64, Bytes)>(8)?;
    for who in 0..20u32 {
        let p = ctx.process("produces_for_ever").args((&q, who)).daemon(true).start()?;
        let mut due = 0;
        let mut take = |(from, i, bytes): (u32, u64, Bytes)| {
            same((from, i), (who, due))?;
            ensure!(bytes.len() as u64 == i * 97 % 3000 && bytes.iter().all(|b| *b == i as u8));
            due += 1;
            anyhow::Ok(())
        };
        for _ in 0..10 + who {
            take(q.get()?)?;
        }
        p.kill()?;
        while p.is_alive() {
            q.try_get().map_or(Ok(()), &mut take)?;
        }
        loop {
            match q.try_get() {
                Ok(message) => take(message)?,
                Err(Error::Empty) => break,
                Err(e) => return Err(e.into()),
            }
        }
    }
    q.put(&(99, 0, Bytes(vec![])))?;
    same(q.get()?.0, 99)
}

pub(crate) fn killed_consumers_lose_only_what_they_had(ctx: &Context) -> Verdict {
    let (from, to) = (ctx.queue::<u64>(8)?, ctx.unbounded_queue::<u64>()?);
    let feeder = ctx.process("counts_for_ever").args((&from,)).daemon(true).start()?;
    let forwarder = || ctx.process("forwards").args((&from, &to)).daemon(true).start();
    let (mut seen, mut last) = (0u64, None);
    let mut take = |n: u64| {
        ensure!(last.is_none_or(|last| last < n), "{n} after {last:?}");
        (seen, last) = (seen + 1, Some(n));
        Ok((seen, n))
    };
    for _ in 0..20 {
        let p = forwarder()?;
        for _ in 0..10 {
            take(to.get()?)?;
        }
        p.kill()?;
        p.join()?;
        while let Ok(n) = to.try_get() {
            take(n)?;
        }
    }
    let p = forwarder()?;
    let (seen, n) = take(to.get()?)?;
    let lost = n + 1 - seen;
    ensure!(lost <= 20, "{lost} messages were lost with 20 consumers");
    p.kill()?;
    feeder.kill()?;
    p.join()?;
    Ok(feeder.join().map(|_| ())?)
}

pub(crate) fn a_killed_getter_takes_no_wake_with_it(ctx: &Context) -> Verdict {
    let q = ctx.queue::<u32>(1)?;
    let (about, out) = (ctx.queue::<()>(2)?, ctx.queue::<String>(1)?);
    let start = || -> Result<Process> {
        let p = ctx.process("gets").args((&q, &about, &out)).daemon(true).start()?;
        about.get()?;
        Ok(p)
    };
    for n in 0..10u32 {
        let (killed, other) = (start()?, start()?);
        let_it_block();
        killed.kill()?;
        killed.join()?;
        q.put(&n)?;
        same(out.get()?, format!("Ok({n})"))?;
        same(exitcode(&other)?, 0)?;
    }
    Ok(())
}

pub(crate) fn a_message_is_handed_on_a_hundred_thousand_times_between_two(
    ctx: &Context,
) -> Verdict {
    ring(ctx, 2)
}

pub(crate) fn a_message_is_handed_on_a_hundred_thousand_times_between_four(
    ctx: &Context,
) -> Verdict {
    ring(ctx, 4)
}

fn ring(ctx: &Context, processes: usize) -> Verdict {
    const ROUNDS: u64 = 100_000;
    let all = (0..processes).map(|_| ctx.queue::<u64>(1)).collect::<Result<Vec<_>>>()?;
    let start = |i: usize| {
        let next = &all[(i + 1) % processes];
        ctx.process("hands_on_a_message").args((&all[i], next, ROUNDS)).daemon(true).start()
    };
    let ps = (0..processes).map(start).collect::<Result<Vec<_>>>()?;
    all[0].put(&0)?;
    ps.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    same(all[0].get()?, ROUNDS * processes as u64)
}
