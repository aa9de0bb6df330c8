//! Processes whose return values come back.

use crate::support::*;
use anyhow::ensure;
use procbox_guest::{Bytes, Context, Error, Event, Queue, Result};
use std::time::Duration;

pub(crate) fn a_spawned_worker_gives_its_value_back(ctx: &Context) -> Verdict {
    let handles = (0..4u64).map(|n| ctx.spawn::<(u64,), u64>("double", (n,)));
    let handles = handles.collect::<Result<Vec<_>>>()?;
    let values = handles.iter().map(|handle| handle.join()).collect::<Result<Vec<_>>>()?;
    same(values, vec![0, 2, 4, 6])?;
    ensure!(handles.iter().all(|handle| handle.is_finished()));
    // A value is given once.
    refused(handles[0].join(), Error::Closed)?;
    Ok(ctx.spawn::<(u64,), ()>("remember", (1u64,))?.join()?)
}

pub(crate) fn a_spawned_worker_that_fails_or_panics_says_why(ctx: &Context) -> Verdict {
    let failed = ctx.spawn::<(u64, u64), u64>("fails_on", (3u64, 3u64))?.join();
    ensure!(matches!(&failed, Err(Error::Task(why)) if !why.is_empty()), "{failed:?}");
    let panicked = ctx.spawn::<(u64, u64), u64>("panics_on", (3u64, 3u64))?.join();
    ensure!(
        matches!(&panicked, Err(Error::Task(why)) if why.starts_with("panicked")),
        "{panicked:?}"
    );
    // Nor is a value that the other side takes for something else.
    let other = ctx.spawn::<(u64,), String>("double", (u64::MAX / 2,))?.join();
    ensure!(matches!(&other, Err(Error::Decode { .. })), "{other:?}");
    let unknown = ctx.spawn::<(u64,), u64>("no_such", (1u64,));
    ensure!(matches!(&unknown, Err(Error::NoSuchWorker { .. })), "{unknown:?}");
    Ok(())
}

pub(crate) fn a_spawned_worker_that_dies_says_how_it_ended(ctx: &Context) -> Verdict {
    let died = |ended: Result<u64>, exitcode: i32| -> Verdict {
        match ended {
            Err(Error::WorkerDied { status, .. }) => same(status.exitcode(), exitcode),
            other => anyhow::bail!("{other:?}"),
        }
    };
    died(ctx.spawn::<(u64, u64), u64>("exits_on", (3u64, 3u64))?.join(), 3)?;
    died(ctx.spawn::<(u64, u64), u64>("aborts_on", (3u64, 3u64))?.join(), -6)?;
    let spins = ctx
        .spawn_with::<(u64, u64), u64>("spins_on", (3u64, 3u64), |process| process.daemon(true))?;
    refused(spins.try_join(), Error::TimedOut)?;
    spins.process().kill()?;
    died(spins.join(), -9)
}

pub(crate) fn a_join_of_a_spawned_worker_that_runs_out_can_be_repeated(ctx: &Context) -> Verdict {
    let go = ctx.event()?;
    let handle = ctx.spawn::<(Event,), u64>("waits_task", (&go,))?;
    refused(runs_out(|t| handle.join_timeout(t))?, Error::TimedOut)?;
    refused(handle.try_join(), Error::TimedOut)?;
    same(handle.is_finished(), false)?;
    go.set();
    handle.join_timeout(Duration::MAX)?;
    Ok(())
}

pub(crate) fn a_spawned_worker_is_a_process_like_any_other(ctx: &Context) -> Verdict {
    let go = ctx.event()?;
    let handle = ctx.spawn_with::<(Event,), u64>("waits_task", (&go,), |process| {
        process.name("spawned").daemon(true)
    })?;
    let process = handle.process();
    same((process.name(), process.daemon(), process.is_alive()), ("spawned".into(), true, true))?;
    same(ctx.active_children().len(), 1)?;
    go.set();
    handle.join()?;
    same((exitcode(process)?, ctx.active_children().len()), (0, 0))
}

pub(crate) fn handles_and_large_values_come_back_from_a_spawned_worker(ctx: &Context) -> Verdict {
    let q = ctx.queue::<u64>(4)?;
    let back = ctx.spawn::<(Queue<u64>,), Queue<u64>>("gives_the_queue_back", (&q,))?.join()?;
    q.put(&7)?;
    let mut got = back.get()?;
    while got != 7 {
        got = back.get()?;
    }
    let Bytes(bytes) = ctx.spawn::<(usize,), Bytes>("gives_bytes", (4usize << 20,))?.join()?;
    same(bytes.len(), 4 << 20)
}
