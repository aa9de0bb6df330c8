//! The same operations on both backends.

use super::{Case, MAP_ITEMS, timed};
use crate::cli::samples::sample;
use anyhow::Context as _;
use procbox::{Bytes, Context, Native, Queue, Sandbox, native, sandbox};
use std::time::{Duration, Instant};

/// The bytes of a small message.
const SMALL: usize = 64;
/// The messages that a queue holds here.
const QUEUED: usize = 1024;

pub(super) fn cases() -> anyhow::Result<Vec<Case>> {
    let native = Native::builder().program(native::Program::open(sample("bench")?)?).build()?;
    let sandbox = Sandbox::builder()
        .build()?
        .context(sandbox::Program::wasm(sample("bench.wasm")?)?)
        .context("bench.wasm")?;
    let mut cases = Vec::new();
    for (contender, ctx) in [("native", native), ("sandbox", sandbox)] {
        let mut add_with = |group, ops, run: fn(&Context, u64) -> anyhow::Result<Duration>| {
            let ctx = ctx.clone();
            cases.push(Case { group, contender, ops, run: Box::new(move |n| run(&ctx, n)) });
        };
        add_with("pool/map-1M", Some(MAP_ITEMS), pool_map);
        let mut add = |group, run| add_with(group, None, run);
        add("spawn", spawn);
        add("queue/64B/1p1c", queue);
        add("lock/uncontended", lock);
        add("pipe/ping-pong", pipe);
        add("pool/empty", pool);
        add("pool/fresh", pool_fresh);
    }
    Ok(cases)
}

fn spawn(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    timed(n, || {
        let status = ctx.worker("nothing").start()?.join()?;
        anyhow::ensure!(status.success(), "the worker {status}");
        Ok(())
    })
}

fn queue(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    let q: Queue<Bytes> = ctx.queue(QUEUED)?;
    let consumer = ctx.worker("get_many").args((&q, n)).start()?;
    let producer = ctx.worker("put_many").args((&q, n, SMALL)).start()?;
    let began = Instant::now();
    producer.join()?;
    consumer.join()?;
    Ok(began.elapsed())
}

fn lock(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    let lock = ctx.lock()?;
    let took: Queue<u64> = ctx.queue(1)?;
    let p = ctx.worker("lock_many").args((&lock, n, &took)).start()?;
    let nanos = took.get()?;
    p.join()?;
    Ok(Duration::from_nanos(nanos))
}

fn pipe(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    let (a, b) = ctx.pipe::<Bytes>()?;
    let took: Queue<u64> = ctx.queue(1)?;
    let echo = ctx.worker("echo").args((&b,)).start()?;
    let ping = ctx.worker("ping").args((&a, n, &took)).start()?;
    drop((a, b));
    let nanos = took.get()?;
    ping.join()?;
    echo.join()?;
    Ok(Duration::from_nanos(nanos))
}

fn pool(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    let pool = ctx.pool_of::<(u64,), u64>("empty_task").chunk_size(1).build()?;
    pool.apply((1u64,))?;
    let began = Instant::now();
    pool.map(0..n)?;
    Ok(began.elapsed())
}

fn pool_map(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    let pool = ctx.pool_of::<(u64,), u64>("empty_task").build()?;
    pool.apply((1u64,))?;
    let began = Instant::now();
    let results = pool.map(0..n)?;
    let took = began.elapsed();
    anyhow::ensure!(results.len() as u64 == n, "results are missing");
    Ok(took)
}

fn pool_fresh(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    let pool = ctx.pool_of::<(u64,), u64>("empty_task").fresh_per_task().build()?;
    pool.apply((1u64,))?;
    let began = Instant::now();
    pool.map(0..n)?;
    Ok(began.elapsed())
}
