//! Simulations: the same seed gives the same run, seeds give different runs, and time is virtual; and
//! what a worker is promised is kept there too.

use anyhow::ensure;
use procbox::sandbox::{Program, SandboxBuilder};
use procbox::{Context, Error, Limit, Process, Queue, Sandbox};
use procbox_cases::{Trial, for_each_case};
use procbox_tests::{Backend, program, watched_in};
use std::collections::HashSet;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const SEEDS: u64 = 200;
/// Of so many seeds, at least so many have to show different runs.
const DIFFERENT: usize = 190;
const HOUR: u64 = 3600;
/// Far less than the hours that are slept through, and more than a busy machine needs.
const NO_TIME: Duration = Duration::from_secs(60);

/// Where the tests keep what they compile: once for all simulations.
fn cache() -> &'static Path {
    static CACHE: OnceLock<tempfile::TempDir> = OnceLock::new();
    CACHE.get_or_init(|| tempfile::tempdir().expect("no directory for the cache")).path()
}

fn builder(seed: u64) -> SandboxBuilder {
    Sandbox::builder().max_processes(16).cache_directory(cache()).simulate(seed)
}

fn simulated(builder: SandboxBuilder) -> procbox::Result<(Sandbox, Context)> {
    let sandbox = builder.build()?;
    let ctx = sandbox.context(Program::wasm(program("conformance", Backend::Sandbox))?)?;
    Ok((sandbox, ctx))
}

/// What came out at the end of the second queue: who passed on whose message, in order.
type Seen = Vec<(u32, u32, u64)>;

/// Four producers, a queue, four that pass on, a queue.
fn eight_processes_over_two_queues(ctx: &Context) -> anyhow::Result<Seen> {
    const MANY: u64 = 6;
    let first: Queue<(u32, u64)> = ctx.queue(2)?;
    let second: Queue<(u32, u32, u64)> = ctx.queue(2)?;
    let mut processes: Vec<Process> = Vec::new();
    for who in 0..4u32 {
        processes.push(ctx.process("produces").args((&first, who, MANY)).start()?);
        processes.push(ctx.process("passes_on").args((&first, &second, who)).start()?);
    }
    let seen = (0..4 * MANY).map(|_| second.get()).collect::<procbox::Result<Seen>>()?;
    first.close();
    for p in processes {
        ensure!(p.join()?.success());
    }
    Ok(seen)
}

/// A whole simulation: what was seen, and its trace.
fn run(seed: u64) -> anyhow::Result<(Seen, u64)> {
    let (sandbox, ctx) = simulated(builder(seed))?;
    let seen = eight_processes_over_two_queues(&ctx)?;
    let Some(hash) = sandbox.trace_hash() else { anyhow::bail!("it leaves no trace") };
    Ok((seen, hash))
}

#[test]
fn a_seed_gives_the_same_run_twice_and_seeds_give_different_runs() -> anyhow::Result<()> {
    let (mut seen, mut traces) = (HashSet::new(), HashSet::new());
    for seed in 0..SEEDS {
        let first = run(seed)?;
        let second = run(seed)?;
        ensure!(first == second, "seed {seed}: {first:?}, and then {second:?}");
        seen.insert(first.0);
        traces.insert(first.1);
    }
    ensure!(seen.len() >= DIFFERENT, "only {} of {SEEDS} runs were different", seen.len());
    ensure!(traces.len() >= DIFFERENT, "only {} of {SEEDS} traces were different", traces.len());
    Ok(())
}

#[test]
fn a_sleep_of_an_hour_takes_no_time() -> anyhow::Result<()> {
    let began = Instant::now();
    let (_sandbox, ctx) = simulated(builder(1))?;
    let took = ctx.queue::<Duration>(2)?;
    let long = ctx.process("sleeps").args((2 * HOUR, &took)).start()?;
    let short = ctx.process("sleeps").args((HOUR, &took)).start()?;
    ensure!(took.get_timeout(Duration::from_secs(HOUR / 2)) == Err(Error::Empty));
    for hours in 1..=2 {
        let took = took.get()?;
        let slept = Duration::from_secs(hours * HOUR);
        ensure!(took >= slept && took < slept + Duration::from_secs(1), "it took {took:?}");
    }
    ensure!(long.join()?.success() && short.join()?.success());
    ensure!(began.elapsed() < NO_TIME, "it took {:?}", began.elapsed());
    Ok(())
}

#[test]
fn limits_of_time_are_of_virtual_time() -> anyhow::Result<()> {
    let hour = Duration::from_secs(HOUR);
    let ended = |seed| -> anyhow::Result<_> {
        let (sandbox, ctx) = simulated(builder(seed))?;
        let (started, took) = (ctx.event()?, ctx.queue::<Duration>(1)?);
        let spins = ctx.process("spins").args((&started,)).cpu_time(Duration::from_millis(5));
        let sleeps = ctx.process("sleeps").args((2 * HOUR, &took)).timeout(hour);
        let (spins, sleeps) = (spins.start()?, sleeps.start()?);
        ensure!(spins.join()?.limit() == Some(Limit::CpuTime));
        ensure!(sleeps.join()?.limit() == Some(Limit::WallClock));
        Ok(sandbox.trace_hash())
    };
    ensure!(ended(3)? == ended(3)?);
    Ok(())
}

#[test]
fn fuel_is_still_fuel_in_a_simulation() -> anyhow::Result<()> {
    let (_sandbox, ctx) = simulated(builder(4).fuel(1_000_000))?;
    let started = ctx.event()?;
    let spins = ctx.process("spins").args((&started,)).cpu_time(Duration::from_secs(1)).start()?;
    ensure!(spins.join()?.limit() == Some(Limit::Fuel));
    Ok(())
}

#[test]
fn time_passes_for_whoever_computes() -> anyhow::Result<()> {
    let (_sandbox, ctx) = simulated(builder(5))?;
    let p = ctx.process("computes_for").args((20u64,)).start()?;
    ensure!(p.join()?.success());
    Ok(())
}

#[test]
fn chance_and_the_time_of_day_come_from_the_seed() -> anyhow::Result<()> {
    let told = |seed| -> anyhow::Result<_> {
        let (_sandbox, ctx) = simulated(builder(seed))?;
        let out = ctx.queue::<(u64, Duration)>(1)?;
        let p = ctx.process("tells_chance_and_time").args((&out,)).start()?;
        let told = out.get()?;
        ensure!(p.join()?.success());
        Ok((told, ctx.current_process().authkey))
    };
    let (one, again, other) = (told(6)?, told(6)?, told(7)?);
    ensure!(one == again, "{one:?}, and then {again:?}");
    ensure!(one.0.0 != other.0.0 && one.1 != other.1);
    Ok(())
}

#[test]
fn a_deadlock_is_an_error_and_no_hang() -> anyhow::Result<()> {
    let (sandbox, ctx) = simulated(builder(8))?;
    let (started, never) = (ctx.event()?, ctx.event()?);
    let p = ctx.process("blocks").args((&started, &never)).start()?;
    started.wait()?;
    ensure!(p.join() == Err(Error::Deadlock));
    // The end of the context is none either: it kills whom it cannot join.
    drop((p, ctx));
    ensure!(sandbox.processes() == 0, "{sandbox:?}");
    Ok(())
}

#[test]
fn a_pool_is_simulated_too() -> anyhow::Result<()> {
    let mapped = |seed| -> anyhow::Result<_> {
        let (sandbox, ctx) = simulated(builder(seed))?;
        let pool = ctx.pool::<(u64,), u64>("double").workers(3).build()?;
        let doubled = pool.map(0..50u64)?;
        ensure!(doubled == (0..50u64).map(|n| 2 * n).collect::<Vec<_>>());
        pool.close();
        pool.join()?;
        Ok(sandbox.trace_hash())
    };
    ensure!(mapped(9)? == mapped(9)?);
    Ok(())
}

/// The cases of the contract in a worker, `contract::worker::NAME`. Those of the parent measure real
/// time, or use threads.
mod contract {
    use super::*;

    /// The most processes that a case has at once, and some.
    const MANY: usize = 2000;

    fn on_this_backend(trial: Trial) {
        let seed =
            trial.name().bytes().fold(0, |seed: u64, byte| seed * 31 % 65_521 + u64::from(byte));
        let ctx = simulated(builder(seed).max_processes(MANY)).map(|(_, ctx)| ctx);
        watched_in(ctx, move |ctx| trial.run(ctx));
    }

    mod worker {
        super::for_each_case! { [procbox_cases::conformance_test] guests Worker }
    }
}
