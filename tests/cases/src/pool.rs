//! Pools.

use crate::support::*;
use anyhow::{bail, ensure};
use procbox_guest::{
    Bytes, Context, Error, Event, Pool, PoolBuilder, Queue, Result, Sender, Worker,
};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::TryRecvError;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

/// A pool of two of a worker that takes a number and gives one.
pub(crate) fn pool(ctx: &Context, worker: &str) -> PoolBuilder<(u64,), u64> {
    ctx.pool(worker).workers(2)
}

/// A pool of two of a worker that does something to one of its tasks: `(n, the bad one)`.
pub(crate) fn pool_with_one_bad(ctx: &Context, worker: &str) -> Result<Pool<(u64, u64), u64>> {
    ctx.pool(worker).workers(2).chunk_size(1).build()
}

/// The outcome of the tasks 0 to 9, of which the fifth is bad: each ok but that, whose error it is.
pub(crate) fn one_fails(pool: &Pool<(u64, u64), u64>) -> anyhow::Result<Error> {
    let tasks = (0..10u64).map(|n| pool.apply_async((n, 5u64)));
    let tasks = tasks.collect::<Result<Vec<_>>>()?;
    let mut error = None;
    for (n, task) in tasks.into_iter().enumerate() {
        match task.get() {
            Err(e) if n == 5 => error = Some(e),
            other => same(other, Ok(n as u64))?,
        }
    }
    same(pool.apply((77u64, 5u64))?, 77)?;
    error.ok_or_else(|| anyhow::anyhow!("the bad task went well"))
}

pub(crate) fn apply_runs_one_task(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").build()?;
    same(pool.apply((21u64,))?, 42)?;
    same((pool.counters().submitted, pool.counters().done), (1, 1))?;
    pool.close();
    Ok(pool.join()?)
}

pub(crate) fn map_keeps_the_order(ctx: &Context) -> Verdict {
    let doubled: Vec<u64> = (0..1000).map(|n| n * 2).collect();
    for builder in [
        pool(ctx, "double"),
        pool(ctx, "double").chunk_size(1),
        pool(ctx, "double").chunk_size(7).workers(4),
        pool(ctx, "double").chunk_size(5000).workers(1),
    ] {
        same(builder.build()?.map(0..1000u64)?, &doubled[..])?;
    }
    Ok(())
}

pub(crate) fn starmap_passes_tuples(ctx: &Context) -> Verdict {
    let pool: Pool<(u64, u64), u64> = ctx.pool("add").workers(2).build()?;
    same(pool.starmap((0..100u64).map(|n| (n, 1000u64)))?, (1000..1100).collect::<Vec<u64>>())
}

pub(crate) fn no_inputs_give_no_results(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").build()?;
    same(pool.map(Vec::<u64>::new())?, Vec::<u64>::new())?;
    same(pool.map_async(Vec::<u64>::new())?.get()?, Vec::<u64>::new())?;
    same(pool.imap(Vec::<u64>::new()).count(), 0)?;
    same(pool.imap_unordered(Vec::<u64>::new()).count(), 0)
}

pub(crate) fn imap_keeps_the_order_and_numbers_its_results(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").build()?;
    let mut due = 0;
    for (index, result) in pool.imap(0..500u64) {
        same((index as u64, result?), (due, due * 2))?;
        due += 1;
    }
    same(due, 500)
}

pub(crate) fn imap_takes_an_endless_iterator_as_it_goes(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").chunk_size(4).build()?;
    let taken = std::cell::Cell::new(0);
    let endless = (0u64..).inspect(|n| taken.set(*n));
    for (index, result) in pool.imap(endless).take(1000) {
        same(result?, index as u64 * 2)?;
    }
    ensure!(taken.get() < 1500, "{} inputs were taken for 1000 results", taken.get());
    Ok(())
}

pub(crate) fn map_takes_inputs_as_the_workers_get_to_them(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").chunk_size(1).build()?;
    let most = std::cell::Cell::new(0);
    let inputs = (0..2000u64).inspect(|_| {
        let now = pool.counters();
        most.set(most.get().max(now.submitted - now.done));
    });
    same(pool.map(inputs)?.len(), 2000)?;
    ensure!(most.get() < 100, "{} tasks waited at once", most.get());
    Ok(())
}

pub(crate) fn imap_unordered_gives_each_result_once(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").build()?;
    let mut seen = vec![0; 500];
    for (index, result) in pool.imap_unordered(0..500u64) {
        same(result?, index as u64 * 2)?;
        seen[index] += 1;
    }
    ensure!(seen.iter().all(|n| *n == 1), "{seen:?}");
    Ok(())
}

pub(crate) fn imap_unordered_does_not_wait_for_the_slow(ctx: &Context) -> Verdict {
    let pool: Pool<(Event,), u64> = ctx.pool("waits_task").workers(2).build()?;
    let (slow, fast) = (ctx.event()?, ctx.event()?);
    fast.set();
    let mut results = pool.imap_unordered([slow.clone(), fast]);
    same(results.next(), Some((1, Ok(1))))?;
    slow.set();
    same(results.next(), Some((0, Ok(1))))?;
    same(results.next(), None)
}

pub(crate) fn a_slow_task_keeps_no_other_waiting(ctx: &Context) -> Verdict {
    let pool: Pool<(u64, Event), u64> = ctx.pool("first_waits").workers(2).chunk_size(1).build()?;
    // The first task ends once the event is set, which is when all others have come.
    let (go, mut others) = (ctx.event()?, 0);
    let tasks = (0..8u64).map(|n| pool.apply_async((n, &go)));
    let tasks = tasks.collect::<Result<Vec<_>>>()?;
    for task in &tasks[1..] {
        others += task.get()?;
    }
    same(others, (1..8).sum::<u64>())?;
    ensure!(!tasks[0].ready() && tasks[0].successful().is_none());
    go.set();
    same(tasks[0].get()?, 0)
}

pub(crate) fn next_timeout_runs_out_and_can_be_repeated(ctx: &Context) -> Verdict {
    let pool: Pool<(Event,), u64> = ctx.pool("waits_task").workers(1).build()?;
    let go = ctx.event()?;
    let mut results = pool.imap([go.clone()]);
    refused(runs_out(|t| results.next_timeout(t))?, Error::TimedOut)?;
    go.set();
    same(results.next_timeout(Duration::MAX)?, Some((0, Ok(1))))?;
    same(results.next_timeout(Duration::ZERO)?, None)
}

pub(crate) fn imap_polled_gives_results_while_its_inputs_are_idle(ctx: &Context) -> Verdict {
    for ordered in [true, false] {
        // Chunks would be far from full.
        let pool = pool(ctx, "double").chunk_size(100).build()?;
        let given = std::cell::Cell::new(0);
        let mut next = 0;
        let inputs = std::iter::from_fn(|| match next {
            // Pending until the result of each was given out.
            n if n > given.get() => Some(Poll::Pending),
            5 => None,
            n => {
                next += 1;
                Some(Poll::Ready(n))
            }
        });
        let mut results = pool.imap_polled(inputs, ordered);
        for n in 0..5u64 {
            same(results.next(), Some((n as usize, Ok(n * 2))))?;
            given.set(n + 1);
        }
        same(results.next(), None)?;
    }
    Ok(())
}

pub(crate) fn the_bell_wakes_who_waits_for_inputs(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").build()?;
    let bell = pool.bell();
    let (sender, receiver) = std::sync::mpsc::channel();
    let feeder = std::thread::spawn(move || {
        for n in 0..20u64 {
            if n % 5 == 0 {
                std::thread::sleep(Duration::from_millis(10));
            }
            // It fails if the test has.
            let _ = sender.send(n);
            bell.ring();
        }
        drop(sender);
        bell.ring();
    });
    let inputs = std::iter::from_fn(|| match receiver.try_recv() {
        Ok(n) => Some(Poll::Ready(n)),
        Err(TryRecvError::Empty) => Some(Poll::Pending),
        Err(TryRecvError::Disconnected) => None,
    });
    let mut results = pool.imap_polled(inputs, true);
    refused(results.next_timeout(Duration::from_millis(1)), Error::TimedOut)?;
    for n in 0..20u64 {
        same(results.next(), Some((n as usize, Ok(n * 2))))?;
    }
    same(results.next(), None)?;
    ensure!(feeder.join().is_ok());
    Ok(())
}

pub(crate) fn imap_on_a_closed_pool_says_so_and_ends(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").build()?;
    pool.close();
    let mut results = pool.imap(0..5u64);
    same(results.next(), Some((0, Err(Error::PoolClosed))))?;
    same(results.next(), None)
}

pub(crate) fn apply_async_calls_back_once(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").build()?;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = heard.clone();
    let then = move |result: &Result<u64>| {
        if let Ok(mut heard) = ear.lock() {
            heard.push(result.clone());
        }
    };
    let result = pool.apply_async_with((4u64,), then)?;
    same(result.get()?, 8)?;
    same(heard.lock().map(|heard| heard.clone()).unwrap_or_default(), [Ok(8)])?;
    refused(result.get(), Error::Closed)
}

pub(crate) fn a_result_is_asked_for_in_many_ways(ctx: &Context) -> Verdict {
    let pool: Pool<(Event,), u64> = ctx.pool("waits_task").workers(2).build()?;
    let go = ctx.event()?;
    let result = pool.apply_async((&go,))?;
    ensure!(!result.ready() && result.successful().is_none());
    refused(runs_out(|t| result.get_timeout(t))?, Error::TimedOut)?;
    same(runs_out(|t| result.wait(t))?, Ok(false))?;
    refused(result.get_timeout(Duration::ZERO), Error::TimedOut)?;
    go.set();
    ensure!(result.wait(Duration::MAX)? && result.ready());
    same(result.successful(), Some(true))?;
    same(result.get_timeout(Duration::MAX)?, 1)
}

pub(crate) fn map_async_gives_the_list_later(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").build()?;
    let (a, b) = (pool.map_async(0..100u64)?, pool.map_async(100..200u64)?);
    same(b.get()?, (100..200u64).map(|n| n * 2).collect::<Vec<_>>())?;
    same(a.get()?, (0..100u64).map(|n| n * 2).collect::<Vec<_>>())
}

pub(crate) fn starmap_async_gives_the_list_later(ctx: &Context) -> Verdict {
    let pool: Pool<(u64, u64), u64> = ctx.pool("add").workers(2).build()?;
    let sums = pool.starmap_async((0..100u64).map(|n| (n, 1000u64)))?;
    same(sums.get()?, (1000..1100).collect::<Vec<u64>>())
}

pub(crate) fn callbacks_hear_of_errors_too(ctx: &Context) -> Verdict {
    let pool = pool_with_one_bad(ctx, "fails_on")?;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = || {
        let heard = heard.clone();
        move |error: Option<Error>| {
            if let Ok(mut heard) = heard.lock() {
                heard.push(error);
            }
        }
    };
    let (one, list) = (ear(), ear());
    let one = pool.apply_async_with((5u64, 5u64), move |r| one(r.clone().err()))?;
    let no = Error::Task("5 it is".into());
    refused(one.get(), no.clone())?;
    let tasks = (0..10u64).map(|n| (n, 5u64));
    let list = pool.starmap_async_with(tasks, move |r| list(r.clone().err()))?;
    refused(list.get(), no.clone())?;
    let heard = heard.lock().map(|heard| heard.clone()).unwrap_or_default();
    same(heard, [Some(no.clone()), Some(no)])
}

/// A number that can be encoded if it is small.
struct Picky(u64);

impl Serialize for Picky {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if self.0 < 7 { s.serialize_u64(self.0) } else { Err(S::Error::custom("too much")) }
    }
}

pub(crate) fn an_input_that_cannot_be_encoded_fails_the_map_and_not_the_pool(
    ctx: &Context,
) -> Verdict {
    for chunk in [1, 4, 100] {
        let pool: Pool<(Picky,), u64> = ctx.pool("double").workers(2).chunk_size(chunk).build()?;
        let no = |result: Result<()>| match result {
            Err(Error::Encode { type_name, .. }) if type_name.contains("Picky") => Ok(()),
            other => Err(anyhow::anyhow!("{other:?}")),
        };
        no(pool.map((0..20).map(Picky)).map(drop))?;
        no(pool.map_async((0..20).map(Picky)).map(drop))?;
        no(pool.apply((Picky(20),)).map(drop))?;
        let mut results = pool.imap((0..20).map(Picky));
        for n in 0..7 {
            same(results.next(), Some((n, Ok(n as u64 * 2))))?;
        }
        no(results.next().map_or(Ok(()), |(_, result)| result.map(drop)))?;
        same(results.next(), None)?;
        same(pool.apply((Picky(1),))?, 2)?;
    }
    Ok(())
}

pub(crate) fn an_iterator_that_panics_leaves_the_pool_as_it_was(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").chunk_size(2).build()?;
    let inputs = || (0..20u64).inspect(|n| assert!(*n != 7, "no 7 please"));
    ensure!(catch_unwind(AssertUnwindSafe(|| pool.map(inputs()))).is_err());
    ensure!(catch_unwind(AssertUnwindSafe(|| pool.map_async(inputs()))).is_err());
    ensure!(catch_unwind(AssertUnwindSafe(|| pool.imap(inputs()).count())).is_err());
    same(pool.map(0..5u64)?, [0, 2, 4, 6, 8])?;
    pool.close();
    Ok(pool.join()?)
}

pub(crate) fn a_result_that_cannot_be_encoded_fails_its_task(ctx: &Context) -> Verdict {
    let pool = pool_with_one_bad(ctx, "cannot_encode")?;
    match one_fails(&pool)? {
        Error::Task(why) => ensure!(why.contains("Picky") && why.contains("encode"), "{why}"),
        other => bail!("{other:?}"),
    }
    same(pool.counters().replaced, 0)
}

pub(crate) fn a_task_lets_go_of_its_handles(ctx: &Context) -> Verdict {
    let pool: Pool<(Sender<u64>,), ()> = ctx.pool("sends_one").workers(1).build()?;
    let (receiver, sender) = ctx.simplex_pipe::<u64>()?;
    pool.apply((&sender,))?;
    drop(sender);
    same(receiver.recv()?, 1)?;
    // Nobody has the other end any more: neither the pool nor its worker, which lives.
    refused(receiver.recv(), Error::Closed)?;
    // Nor if the end was its result.
    let pool: Pool<(Sender<u64>,), Sender<u64>> =
        ctx.pool("gives_an_end_away").workers(1).build()?;
    let (receiver, sender) = ctx.simplex_pipe::<u64>()?;
    let back = pool.apply((&sender,))?;
    drop(sender);
    back.send(&1)?;
    same(receiver.recv()?, 1)?;
    drop(back);
    refused(receiver.recv(), Error::Closed)
}

pub(crate) fn a_closed_pool_takes_nothing_and_ends_what_it_has(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").build()?;
    let results = (0..10u64).map(|n| pool.apply_async((n,)));
    let results = results.collect::<Result<Vec<_>>>()?;
    pool.close();
    refused(pool.apply((1u64,)), Error::PoolClosed)?;
    refused(pool.apply_async((1u64,)), Error::PoolClosed)?;
    refused(pool.map(0..3u64), Error::PoolClosed)?;
    pool.join()?;
    for (n, result) in results.iter().enumerate() {
        ensure!(result.ready());
        same(result.get()?, n as u64 * 2)?;
    }
    pool.join()?;
    same(ctx.active_children().len(), 0)
}

pub(crate) fn an_open_pool_cannot_be_joined(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").build()?;
    refused(pool.join(), Error::PoolOpen)?;
    same(pool.apply((1u64,))?, 2)?;
    pool.close();
    Ok(pool.join()?)
}

pub(crate) fn a_pool_has_at_least_one_worker(ctx: &Context) -> Verdict {
    ensure!(matches!(pool(ctx, "double").workers(0).build(), Err(Error::Invalid(_))));
    ensure!(matches!(pool(ctx, "double").chunk_size(0).build(), Err(Error::Invalid(_))));
    ensure!(matches!(pool(ctx, "double").max_tasks_per_child(0).build(), Err(Error::Invalid(_))));
    Ok(())
}

pub(crate) fn a_pool_of_an_unknown_worker_is_refused(ctx: &Context) -> Verdict {
    match pool(ctx, "nobody").build() {
        Err(Error::NoSuchWorker { name, available }) => {
            ensure!(name == "nobody" && available.iter().any(|w| w == "double"));
            Ok(())
        }
        other => bail!("{other:?}"),
    }
}

pub(crate) fn a_task_that_fails_says_why(ctx: &Context) -> Verdict {
    let pool = pool_with_one_bad(ctx, "fails_on")?;
    same(one_fails(&pool)?, Error::Task("5 it is".into()))?;
    same(pool.counters().replaced, 0)
}

pub(crate) fn a_task_that_panics_says_why_and_the_pool_goes_on(ctx: &Context) -> Verdict {
    let pool = pool_with_one_bad(ctx, "panics_on")?;
    match one_fails(&pool)? {
        Error::Task(why) => ensure!(why.contains("no 5 please"), "{why}"),
        other => bail!("{other:?}"),
    }
    Ok(())
}

pub(crate) fn a_map_fails_with_its_first_error(ctx: &Context) -> Verdict {
    let pool: Pool<(u64, u64), u64> = ctx.pool("fails_on").workers(2).chunk_size(2).build()?;
    // The bad one of every pair is itself where it is divisible by 30: 30, 60 and 90 fail.
    let tasks = (1..100u64).map(|n| (n, if n.is_multiple_of(30) { n } else { 0 }));
    refused(pool.starmap(tasks), Error::Task("30 it is".into()))?;
    same(pool.counters().done, 99)?;
    same(pool.apply((1u64, 0u64))?, 1)
}

pub(crate) fn an_initializer_runs_before_the_tasks_of_each_worker(ctx: &Context) -> Verdict {
    let remember = || Worker::<(u64,), (), ()>::new("remember", ());
    let pool =
        || pool(ctx, "adds_the_remembered").initializer(remember(), (1000u64,)).chunk_size(1);
    for pool in [pool(), pool().max_tasks_per_child(1), pool().fresh_per_task()] {
        same(pool.build()?.map(0..50u64)?, (1000..1050).collect::<Vec<u64>>())?;
    }
    Ok(())
}

pub(crate) fn a_worker_keeps_its_state_from_task_to_task(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "counts_its_calls").workers(1).build()?;
    same(pool.map(0..5u64)?, [1, 2, 3, 4, 5])
}

pub(crate) fn with_a_fresh_process_per_task_no_state_leaks(ctx: &Context) -> Verdict {
    // A chunk size would put several tasks into one.
    let pool = pool(ctx, "counts_its_calls").chunk_size(5).fresh_per_task().build()?;
    same(pool.map(0..20u64)?, [1; 20])?;
    same((pool.counters().failed, pool.counters().done), (0, 20))
}

pub(crate) fn terminate_ends_a_busy_pool_at_once(ctx: &Context) -> Verdict {
    let pool: Pool<(Event,), u64> = ctx.pool("waits_task").workers(2).build()?;
    let never = ctx.event()?;
    let results = (0..5).map(|_| pool.apply_async((&never,)));
    let results = results.collect::<Result<Vec<_>>>()?;
    ensure!(!results[0].wait(Duration::from_millis(20))?);
    pool.terminate();
    results.iter().try_for_each(|result| refused(result.get(), Error::PoolClosed))?;
    refused(pool.apply((&never,)), Error::PoolClosed)?;
    pool.join()?;
    same(ctx.active_children().len(), 0)
}

pub(crate) fn a_pool_that_is_dropped_ends_its_workers(ctx: &Context) -> Verdict {
    let never = ctx.event()?;
    let pool = ctx.pool::<(Event,), u64>("waits_task").workers(2);
    pool.scope(|pool| pool.apply_async((&never,)).map(drop))?;
    same(ctx.active_children().len(), 0)
}

pub(crate) fn a_pool_may_be_dropped_at_any_moment(ctx: &Context) -> Verdict {
    for round in 0..200u64 {
        let pool = pool(ctx, "double").build()?;
        (0..50u64).try_for_each(|n| pool.apply_async((n,)).map(drop))?;
        // About when its background thread begins to drive, drives, and gives way.
        std::thread::sleep(Duration::from_micros(1_800 + 10 * round));
    }
    same(ctx.active_children().len(), 0)
}

pub(crate) fn a_callback_that_panics_takes_no_other_with_it(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").build()?;
    let (said, heard) = std::sync::mpsc::channel();
    pool.apply_async_with((0u64,), |_| panic!("as it should"))?;
    for n in 1..=100u64 {
        let said = said.clone();
        // It fails if the case has.
        pool.apply_async_with((n,), move |result| drop(said.send(result.clone())))?;
    }
    drop(said);
    // Nobody waits for a result: they come all the same.
    let sum: Result<u64> = heard.iter().sum();
    same(sum, Ok((1..=100).map(|n| n * 2).sum()))
}

pub(crate) fn a_callback_cannot_wait_for_another_task(ctx: &Context) -> Verdict {
    let pool = Arc::new(pool(ctx, "double").build()?);
    let (other, heard) = (pool.clone(), Arc::new(Mutex::new(None)));
    let ear = heard.clone();
    let result = pool.apply_async_with((4u64,), move |_| {
        let waited = other.apply((5u64,));
        if let Ok(mut heard) = ear.lock() {
            *heard = Some(waited);
        }
    })?;
    same(result.get()?, 8)?;
    let waited = heard.lock().ok().and_then(|mut heard| heard.take());
    ensure!(matches!(waited, Some(Err(Error::Invalid(_)))), "{waited:?}");
    same(pool.apply((5u64,))?, 10)
}

pub(crate) fn a_scope_ends_its_workers_on_unwind_too(ctx: &Context) -> Verdict {
    let never = ctx.event()?;
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        ctx.pool::<(Event,), u64>("waits_task").workers(2).scope(|pool| {
            let _pending = pool.apply_async((&never,))?;
            let unwinds = ctx.active_children().len() == 2;
            assert!(!unwinds, "as it should");
            Ok(())
        })
    }));
    ensure!(unwound.is_err());
    same(ctx.active_children().len(), 0)
}

pub(crate) fn arguments_and_results_of_32_mebibytes_arrive_whole(ctx: &Context) -> Verdict {
    let pool: Pool<(Bytes,), Bytes> = ctx.pool("gives_back").workers(1).build()?;
    let sent = Bytes((0..32u32 << 20).map(|n| (n ^ n >> 8) as u8).collect());
    let back = pool.apply((&sent,))?;
    ensure!(back == sent, "what came back is not what was sent");
    Ok(())
}

pub(crate) fn results_of_a_mebibyte_arrive_whole(ctx: &Context) -> Verdict {
    let pool: Pool<(usize,), Bytes> = ctx.pool("gives_bytes").workers(2).build()?;
    for size in [0, 1, 1 << 20] {
        same(pool.apply((size,))?.len(), size)?;
    }
    let all = pool.map(vec![1usize << 20; 10])?;
    ensure!(all.iter().all(|bytes| bytes.len() == 1 << 20 && bytes.iter().all(|b| *b == 7)));
    Ok(())
}

pub(crate) fn what_does_not_decode_is_named(ctx: &Context) -> Verdict {
    let pool: Pool<(u64,), String> = ctx.pool("double").workers(1).build()?;
    match pool.apply((5u64,)) {
        Err(e @ Error::Decode { .. }) => ensure!(e.to_string().contains("String"), "{e}"),
        other => bail!("{other:?}"),
    }
    let pool: Pool<(String,), u64> = ctx.pool("double").workers(1).build()?;
    match pool.apply(("five",)) {
        Err(Error::Task(why)) => ensure!(why.contains("u64"), "{why}"),
        other => bail!("{other:?}"),
    }
    Ok(())
}

pub(crate) fn handles_travel_in_tasks_and_results(ctx: &Context) -> Verdict {
    let pool: Pool<(Queue<u64>,), Queue<u64>> =
        ctx.pool("gives_the_queue_back").workers(2).build()?;
    let q = ctx.queue(4)?;
    let back = pool.apply((&q,))?;
    same(back.get()?, 1)?;
    q.put(&2)?;
    same(back.get()?, 2)
}

pub(crate) fn several_threads_share_a_pool(ctx: &Context) -> Verdict {
    let pool = pool(ctx, "double").build()?;
    std::thread::scope(|scope| {
        let submit = |from: u64| {
            let pool = &pool;
            scope.spawn(move || {
                for n in from..from + 100 {
                    same(pool.apply((n,))?, n * 2)?;
                }
                let doubled: Vec<u64> = (from..from + 100).map(|n| n * 2).collect();
                same(pool.map(from..from + 100)?, doubled)
            })
        };
        let threads: Vec<_> = (0..4).map(|t| submit(t * 1000)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")))
        })
    })?;
    same(pool.counters().done, 800)
}

pub(crate) fn fold_takes_results_in_order_and_keeps_none(ctx: &Context) -> Verdict {
    let pool = ctx.pool::<(u64,), u64>("double").workers(2).build()?;
    // The order shows in what is made of them.
    let made = pool.fold(1..=9u64, 1u64, |so_far, n| so_far.wrapping_mul(31).wrapping_add(n))?;
    let due = (1..=9u64).fold(1u64, |so_far, n| so_far.wrapping_mul(31).wrapping_add(2 * n));
    same(made, due)?;
    same(pool.fold(0..20_000u64, 0, |sum, n| sum + n)?, 20_000 * 19_999)?;
    same(pool.fold(std::iter::empty::<u64>(), 7, |_, _| 0)?, 7)?;
    // An error ends it, also of an endless iterator; and the pool goes on.
    let other = ctx.pool::<(u64,), String>("double").workers(2).build()?;
    let failed = other.fold(u64::MAX / 2.., 0, |n, _| n + 1);
    ensure!(matches!(failed, Err(Error::Decode { .. })), "{failed:?}");
    same(pool.apply((3u64,))?, 6)
}
