//! A bridge: what processes of both kinds share, in pairs of one of each, and what does not cross.
//! `bridged` has the whole contract on one, and `storm` what happens when it rains.

use anyhow::{Context as _, anyhow, ensure};
use procbox::sandbox::{Program, TreeLimits};
use procbox::{
    Backend, Bytes, Context, Error, Process, Queue, Receiver, Result, Sandbox, SharedBytes, Wait,
    ready,
};
use procbox_tests::mixed::bridge;
use procbox_tests::{Backend as Of, context, program, watched_in};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

const SIDES: [Backend; 2] = [Backend::Native, Backend::Sandbox];

/// One of each, either first, and two of the same.
fn pairs() -> impl Iterator<Item = (Backend, Backend)> {
    SIDES.into_iter().flat_map(|one| SIDES.into_iter().map(move |other| (one, other)))
}

fn on_a_bridge(body: impl Fn(&Context) -> anyhow::Result<()> + Send + 'static) {
    watched_in(bridge(), move |ctx| body(ctx));
}

#[test]
fn a_killed_holder_on_either_side_gives_the_lock_back_and_one_is_told() {
    on_a_bridge(|ctx| {
        for (holds, waits) in pairs() {
            let (lock, held, about) = (ctx.lock()?, ctx.event()?, ctx.event()?);
            let out = ctx.queue::<bool>(2)?;
            let holder = ctx.process("holds_lock").args((&lock, &held, &ctx.event()?));
            let holder = holder.on(holds).start()?;
            held.wait()?;
            ensure!(lock.try_lock().err() == Some(Error::TimedOut));
            let next = ctx.process("tells_owner_died").args((&lock, &about, &out));
            let next = next.on(waits).start()?;
            about.wait()?;
            holder.kill()?;
            ensure!(out.get()?, "{waits} was not told that one on {holds} had died");
            ensure!(next.join()?.success());
            ensure!(!lock.lock()?.owner_died(), "told twice");
        }
        Ok(())
    });
}

#[test]
fn a_killed_waiter_on_either_side_takes_no_lock_with_it() {
    on_a_bridge(|ctx| {
        for (dies, waits) in pairs() {
            let (lock, about) = (ctx.lock()?, ctx.event()?);
            let out = ctx.queue::<bool>(1)?;
            let ours = lock.lock()?;
            let first = ctx.process("acquires_and_returns").args((&lock,)).on(dies).start()?;
            let second = ctx.process("tells_owner_died").args((&lock, &about, &out));
            let second = second.on(waits).start()?;
            about.wait()?;
            first.kill()?;
            drop(ours);
            // Whether the first had it for a moment is as it happens.
            out.get()?;
            ensure!(second.join()?.success());
            first.join()?;
            drop(lock.lock()?);
        }
        Ok(())
    });
}

#[test]
fn a_killed_holder_on_either_side_gives_its_permits_back() {
    on_a_bridge(|ctx| {
        for (holds, waits) in pairs() {
            let (semaphore, held, about) = (ctx.semaphore(1)?, ctx.event()?, ctx.event()?);
            let out = ctx.queue::<String>(1)?;
            let holder = ctx.process("holds_permit").args((&semaphore, &held, &ctx.event()?));
            let holder = holder.on(holds).start()?;
            held.wait()?;
            let next = ctx.process("takes_permit").args((&semaphore, &about, &out));
            let next = next.on(waits).start()?;
            about.wait()?;
            ensure!(out.try_get() == Err(Error::Empty));
            holder.kill()?;
            ensure!(out.get()? == "Ok(())");
            ensure!(next.join()?.success());
            drop(semaphore.permit_timeout(Duration::from_secs(20))?);
            ensure!(semaphore.available() == 1);
        }
        Ok(())
    });
}

/// The program that is killed below: sandboxed processes of it have a lock and a permit, for which a native
/// one waits that outlives it.
#[test]
#[ignore = "it is started by `what_sandboxed_processes_held_comes_back_when_their_program_is_killed`"]
fn embeds_until_it_is_killed() {
    // What is still there would be joined.
    let Err(e) = embeds();
    eprintln!("{e:#}");
    std::process::exit(1);
}

fn embeds() -> anyhow::Result<Infallible> {
    let ctx = bridge()?;
    let (lock, permits) = (ctx.lock()?, ctx.semaphore(1)?);
    let (held, about, never) = (ctx.event()?, ctx.event()?, ctx.event()?);
    for (holder, thing) in [("holds_lock", None), ("holds_permit", Some(&permits))] {
        let holder = ctx.process(holder);
        let holder = match thing {
            None => holder.args((&lock, &held, &never)),
            Some(permits) => holder.args((permits, &held, &never)),
        };
        holder.on(Backend::Sandbox).start()?;
        held.wait()?;
        held.clear();
    }
    let survivor = ctx.process("prints_owner_died").args((&lock, &permits, &about));
    let survivor = survivor.on(Backend::Native).start()?;
    about.wait()?;
    println!("survivor: {}", survivor.pid()?);
    never.wait()?;
    anyhow::bail!("it was not killed")
}

#[test]
fn what_sandboxed_processes_held_comes_back_when_their_program_is_killed() -> anyhow::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--ignored", "--exact", "--nocapture", "embeds_until_it_is_killed"]);
    let mut program = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(program.stdout.take().context("no stdout")?).lines();
    let has_begun = lines.any(|line| line.is_ok_and(|line| line.contains("survivor: ")));
    program.kill()?;
    program.wait()?;
    ensure!(has_begun, "it did not begin");
    let told = lines.find_map(|line| line.ok().filter(|line| line.starts_with("owner died")));
    ensure!(told.as_deref() == Some("owner died: true"), "{told:?}");
    Ok(())
}

#[test]
fn messages_of_producers_on_both_sides_come_once_and_in_order() {
    on_a_bridge(|ctx| {
        const MANY: u64 = 3000;
        let (q, sums) = (ctx.queue::<(u32, u64)>(16)?, ctx.queue::<(u64, u64)>(4)?);
        let start = |name: &str, side| ctx.process(name).args((&q, &sums)).on(side).start();
        let takers: Vec<Process> = [SIDES, SIDES]
            .concat()
            .into_iter()
            .map(|s| start("consumes", s))
            .collect::<Result<_>>()?;
        let producers = [SIDES, SIDES].concat().into_iter().enumerate().map(|(who, side)| {
            ctx.process("produces").args((&q, who as u32, MANY)).on(side).start()
        });
        for producer in producers.collect::<Result<Vec<_>>>()? {
            ensure!(producer.join()?.success());
        }
        q.close();
        let (mut count, mut sum) = (0, 0);
        for taker in &takers {
            ensure!(taker.join()?.success());
            let (of_one, sum_of_one) = sums.get()?;
            (count, sum) = (count + of_one, sum + sum_of_one);
        }
        ensure!((count, sum) == (4 * MANY, 4 * (MANY * (MANY - 1) / 2)), "{count} {sum}");
        Ok(())
    });
}

#[test]
fn an_end_of_a_pipe_goes_to_either_side_and_its_end_is_told() {
    on_a_bridge(|ctx| {
        for side in SIDES {
            let (ours, theirs) = ctx.pipe::<Bytes>()?;
            let p = ctx.process("echoes").args((&theirs,)).on(side).start()?;
            drop(theirs);
            for size in [0, 1, 79, 5000, 100_000, 1 << 20] {
                let message = Bytes(vec![size as u8; size]);
                ours.send(&message)?;
                ensure!(ours.recv()? == message, "{size} bytes of {side}");
            }
            p.kill()?;
            ensure!(ours.recv() == Err(Error::Closed));
        }
        Ok(())
    });
}

#[test]
fn what_a_sandboxed_process_makes_reaches_the_others() {
    on_a_bridge(|ctx| {
        let inbox = ctx.queue::<procbox::Queue<u32>>(1)?;
        let p = ctx.process("sends_a_full_queue").args((&inbox,)).on(Backend::Sandbox).start()?;
        ensure!(p.join()?.success());
        // Its maker is gone, and it is there.
        let q = inbox.get()?;
        let (about, out) = (ctx.queue::<()>(1)?, ctx.queue::<String>(1)?);
        for (side, got) in [(Backend::Native, "Ok(1)"), (Backend::Sandbox, "Ok(2)")] {
            let p = ctx.process("gets").args((&q, &about, &out)).on(side).start()?;
            about.get()?;
            ensure!(out.get()? == got);
            ensure!(p.join()?.success());
        }
        Ok(())
    });
}

#[test]
fn ready_waits_for_things_of_both_sides() {
    on_a_bridge(|ctx| {
        let (q, go) = (ctx.queue::<u32>(1)?, ctx.event()?);
        let own = ctx.on(Backend::Sandbox)?.raw().side(Backend::Sandbox).is_none();
        ensure!(own, "a side is no bridge");
        for side in SIDES {
            let (about, out) = (ctx.queue::<()>(1)?, ctx.queue::<bool>(1)?);
            let p = ctx.process("waits").args((&go, &about, &out)).on(side).start()?;
            about.get()?;
            let those = [q.waitable(), p.sentinel()?];
            ensure!(ready(ctx, &those, Wait::Never) == Err(Error::TimedOut));
            let short = Wait::AtMost(Duration::from_millis(20));
            ensure!(ready(ctx, &those, short) == Err(Error::TimedOut));
            go.set();
            ensure!(ready(ctx, &those, Wait::Forever)? == [1]);
            go.clear();
            let p = ctx.process("puts").args((&q, 7u32, &about, &ctx.queue::<String>(1)?));
            let p = p.on(side).start()?;
            about.get()?;
            let sleeper = ctx.process("waits").args((&go, &about, &out)).on(side).start()?;
            about.get()?;
            let those = [sleeper.sentinel()?, q.waitable()];
            ensure!(ready(ctx, &those, Wait::Forever)? == [1]);
            ensure!(q.get()? == 7);
            p.join()?;
            sleeper.kill()?;
        }
        Ok(())
    });
}

#[test]
fn one_backlog_is_served_by_both_sides() {
    on_a_bridge(|ctx| {
        let pool = ctx.pool::<(u64,), u64>("double").native(2).sandboxed(2).chunk_size(1);
        let pool = pool.measured().build()?;
        let results = (0..400u64).map(|n| pool.apply_async((n,))).collect::<Result<Vec<_>>>()?;
        let mut ran_on = BTreeSet::new();
        for (n, result) in (0..).zip(&results) {
            ensure!(result.get()? == 2 * n);
            ran_on.extend(result.usage().and_then(|usage| usage.ran_on).map(|b| b.to_string()));
        }
        ensure!(ran_on.into_iter().collect::<Vec<_>>() == ["native", "sandbox"]);
        pool.close();
        pool.join()?;
        Ok(())
    });
}

#[test]
fn workers_of_a_pool_die_on_both_sides_and_its_tasks_run_again_on_either() {
    on_a_bridge(|ctx| {
        let tokens = ctx.queue::<()>(8)?;
        (0..8).try_for_each(|_| tokens.put(&()))?;
        let pool = ctx.pool::<(procbox::Queue<()>,), u64>("dies_while_there_are");
        let pool = pool.native(2).sandboxed(2).chunk_size(1).retries(20).build()?;
        let results =
            (0..64).map(|_| pool.apply_async((tokens.clone(),))).collect::<Result<Vec<_>>>()?;
        results.iter().try_for_each(|result| result.get().map(drop))?;
        ensure!(pool.counters().replaced >= 8, "{:?}", pool.counters());
        Ok(())
    });
}

#[test]
fn a_flood_is_bounded_by_what_its_tree_may_have() {
    let limits = [TreeLimits::new().memory(48 << 20), TreeLimits::new().queued(1 << 20)];
    for limits in limits {
        let flooded = move || -> Result<Context> {
            let sandbox = Sandbox::builder().memory(32 << 20).tree(limits).build()?;
            let strangers = sandbox.context(Program::wasm(program("conformance", Of::Sandbox))?)?;
            Context::bridge(&context(Of::Native)?, &strangers)
        };
        watched_in(flooded(), |ctx| {
            let q = ctx.unbounded_queue::<u64>()?;
            for _ in 0..3 {
                let flood = ctx.process("counts_for_ever").args((&q,)).on(Backend::Sandbox);
                let flood = flood.start()?;
                ensure!(flood.join()?.exitcode() == 1, "it is not out of anything");
                let many = q.len() as u64;
                ensure!(many > 1000 && many < (48 << 20) / 256, "{many} messages");
                for n in 0..many {
                    ensure!(q.try_get()? == n, "the flood lost {n}");
                }
            }
            // One whose messages are received may send for ever.
            let q = ctx.queue::<u64>(1000)?;
            let p = ctx.process("counts_for_ever").args((&q,)).on(Backend::Sandbox).start()?;
            for n in 0..400_000u64 {
                ensure!(q.get()? == n);
            }
            p.kill()?;
            Ok(())
        });
    }
}

/// A bridge whose sandboxed trees may have 48 MiB each.
fn with_little_memory() -> Result<Context> {
    let limits = TreeLimits::new().memory(48 << 20);
    let sandbox = Sandbox::builder().memory(32 << 20).tree(limits).build()?;
    let strangers = sandbox.context(Program::wasm(program("conformance", Of::Sandbox))?)?;
    Context::bridge(&context(Of::Native)?, &strangers)
}

const MIB: u32 = 1 << 20;

/// Has a worker send for ever, to find that it is out of memory soon; and then, when that is received, send
/// as much as often as it likes.
fn pays_for_what_it_leaves<T: DeserializeOwned>(ctx: &Context, worker: &str) -> anyhow::Result<()> {
    let q = ctx.queue::<T>(10_000)?;
    let start = |q: &Queue<T>, many: u32| {
        ctx.process(worker).args((q, MIB, many)).on(Backend::Sandbox).start()
    };
    ensure!(start(&q, 10_000)?.join()?.exitcode() == 1, "{worker} is not out of anything");
    ensure!((10..48).contains(&q.len()), "{worker} has sent {}", q.len());
    while q.try_get().is_ok() {}
    let few = ctx.queue::<T>(2)?;
    let p = start(&few, 200)?;
    for n in 0..200 {
        few.get_timeout(Duration::from_secs(60)).map_err(|e| anyhow!("{worker}, {n}: {e}"))?;
    }
    ensure!(p.join()?.success());
    Ok(())
}

#[test]
fn what_a_sandboxed_process_has_made_and_left_counts_as_long_as_it_is_there() {
    watched_in(with_little_memory(), |ctx| {
        pays_for_what_it_leaves::<SharedBytes>(ctx, "sends_regions")
    });
}

#[test]
fn what_it_has_sent_through_a_pipe_counts_when_its_end_is_closed() {
    watched_in(with_little_memory(), |ctx| {
        pays_for_what_it_leaves::<Receiver<Bytes>>(ctx, "sends_full_pipes")
    });
}

#[test]
fn answers_on_queues_that_are_let_go_of_count_until_they_are_received() {
    watched_in(with_little_memory(), |ctx| {
        let (jobs, done) = (ctx.queue::<Queue<Bytes>>(1)?, ctx.queue::<()>(1)?);
        let p = ctx.process("answers_apart").args((&jobs, &done, MIB)).on(Backend::Sandbox);
        let p = p.start()?;
        for n in 0..200 {
            let reply = ctx.queue::<Bytes>(1)?;
            jobs.put(&reply)?;
            let answered = done.get_timeout(Duration::from_secs(60));
            answered.map_err(|e| anyhow!("answer {n}: {e}"))?;
            ensure!(reply.try_get()?.0.len() == MIB as usize);
        }
        jobs.close();
        ensure!(p.join()?.success());
        Ok(())
    });
}

#[test]
fn what_does_not_cross_is_refused_by_name() {
    on_a_bridge(|ctx| {
        let start = ctx.process("double").args((1u64,)).start();
        ensure!(
            matches!(start.err(), Some(Error::Invalid(why)) if why.contains("on one of its sides"))
        );
        let pool = ctx.pool::<(u64,), u64>("double").workers(2).build();
        ensure!(matches!(pool.err(), Some(Error::Invalid(_))));
        let native = ctx.on(Backend::Native)?;
        let other = native.process("double").args((1u64,)).on(Backend::Sandbox).start();
        ensure!(matches!(other.err(), Some(Error::Unsupported(_))));
        ensure!(native.pool::<(u64,), u64>("double").sandboxed(1).build().is_err());
        // Of one side alone.
        let strangers = ctx.on(Backend::Sandbox)?;
        let (of_theirs, q) = (strangers.event()?, ctx.queue::<procbox::Event>(1)?);
        ensure!(q.put(&of_theirs) == Err(Error::ForeignHandle));
        let elsewhere = context(Of::Native)?.event()?;
        for foreign in [&of_theirs, &elsewhere] {
            let (about, out) = (ctx.queue::<()>(1)?, ctx.queue::<bool>(1)?);
            let p = ctx.process("waits").args((foreign, &about, &out));
            let side =
                if std::ptr::eq(foreign, &of_theirs) { Backend::Native } else { Backend::Sandbox };
            ensure!(p.on(side).start().err() == Some(Error::ForeignHandle));
        }
        // A bridge needs one of each.
        let natives = context(Of::Native)?;
        ensure!(Context::bridge(&natives, &natives).is_err());
        ensure!(Context::bridge(&context(Of::Sandbox)?, &natives).is_err());
        Ok(())
    });
}
