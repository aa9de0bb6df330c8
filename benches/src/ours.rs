//! The same operations on both backends.

use crate::{Case, FEW, LARGE, MAP_ITEMS, MIDDLE as MIDDLE_SIZE, QUEUED, SMALL, timed};
use procbox_core::{Bytes, Context, PoolBuilder, Queue};
use procbox_host::Sandbox;
use procbox_native::Native;
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};

/// Room for all that are alive at once: more places would be more mappings, of which there is a limit.
const MOST: usize = 10_100;

/// The cases of both backends. The program `bench` is looked for in a directory, as `bench` and
/// `bench.wasm`.
///
/// ```no_run
/// for case in procbox_benches::cases("target/programs".as_ref())? {
///     println!("{case:?}");
/// }
/// # Ok::<(), anyhow::Error>(())
/// ```
///
/// # Errors
/// If it is not there, or a backend does not work here.
pub fn cases(programs: &Path) -> anyhow::Result<Vec<Case>> {
    let native = procbox_native::Program::open(programs.join("bench"))?;
    let native = Native::builder().program(native).build()?;
    let sandbox = procbox_host::Program::wasm(programs.join("bench.wasm"))?;
    let mut cases = crate::fair::cases(&sandbox)?;
    cases.extend(crate::safety::cases(programs)?);
    cases.extend(crate::warm::cases(programs)?);
    cases.extend(crate::bridge::cases(programs)?);
    let sandbox = Sandbox::builder().max_processes(MOST).build()?.context(sandbox)?;
    cases.extend(crate::scale::cases(&native, &sandbox));
    let backends = [("native", native), ("sandbox", sandbox)];
    cases.extend(crate::floors::cases(&backends));
    for (contender, ctx) in backends {
        let mut add_with = |group, ops, run: fn(&Context, u64) -> anyhow::Result<Duration>| {
            let ctx = ctx.clone();
            cases.push(Case { group, contender, ops, run: Box::new(move |n| run(&ctx, n)) });
        };
        add_with("pool/map-1M", Some(MAP_ITEMS), pool_map);
        let mut add = |group, run: fn(&Context, u64) -> anyhow::Result<Duration>| {
            add_with(group, None, run);
        };
        add("spawn", spawn);
        add("queue/64B/1p1c", |ctx, n| queue(ctx, &SMALL_ONES, n));
        add("queue/64KiB/1p1c", |ctx, n| queue(ctx, &MIDDLE, n));
        add("queue/64KiB/loan", |ctx, n| queue(ctx, &MIDDLE_LOANS, n));
        add("queue/1MiB/1p1c", |ctx, n| queue(ctx, &LARGE_ONES, n));
        add("queue/1MiB/loan", |ctx, n| queue(ctx, &LOANS, n));
        add("lock/uncontended", lock);
        add("semaphore/uncontended", semaphore);
        add("rwlock/write", |ctx, n| timed_there(ctx, "write_many", &ctx.rwlock()?, n));
        add("shared/add", |ctx, n| timed_there(ctx, "add_many", &ctx.shared_bytes(8)?, n));
        add("shared/read-1MiB", |ctx, n| {
            timed_there(ctx, "read_many", &ctx.shared_bytes(1 << 20)?, n)
        });
        add("pipe/ping-pong", pipe);
        add("compute/json", |ctx, n| computed(ctx, "json", n));
        add("compute/sieve", |ctx, n| computed(ctx, "sieve", n));
        add("compute/matmul", |ctx, n| computed(ctx, "matmul", n));
        add("pool/empty", pool);
        add("pool/fresh", pool_fresh);
    }
    Ok(cases)
}

pub(super) fn spawn(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    timed(n, || {
        let status = ctx.process("nothing").start()?.join()?;
        anyhow::ensure!(status.success(), "the worker {status}");
        Ok(())
    })
}

/// What goes from one process to another, how, and the most that is on the way.
struct Stream {
    put: &'static str,
    get: &'static str,
    size: usize,
    queued: usize,
}

const SMALL_ONES: Stream = Stream { put: "put_many", get: "get_many", size: SMALL, queued: QUEUED };
const MIDDLE: Stream = Stream { size: MIDDLE_SIZE, queued: FEW, ..SMALL_ONES };
const LARGE_ONES: Stream = Stream { size: LARGE, ..MIDDLE };
const LOANS: Stream = Stream { put: "loan_many", get: "get_many_loaned", ..LARGE_ONES };
const MIDDLE_LOANS: Stream = Stream { size: MIDDLE_SIZE, ..LOANS };

/// The time from one message that is got to the `n`th after it.
fn queue(ctx: &Context, stream: &Stream, n: u64) -> anyhow::Result<Duration> {
    let q: Queue<Bytes> = ctx.queue(stream.queued)?;
    let took: Queue<u64> = ctx.queue(1)?;
    let consumer = ctx.process(stream.get).args((&q, n, &took)).start()?;
    let producer = ctx.process(stream.put).args((&q, n + 1, stream.size)).start()?;
    let nanos = took.get()?;
    anyhow::ensure!(producer.join()?.success() && consumer.join()?.success(), "a worker failed");
    Ok(Duration::from_nanos(nanos))
}

fn lock(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    let lock = ctx.lock()?;
    let took: Queue<u64> = ctx.queue(1)?;
    let p = ctx.process("lock_many").args((&lock, n, &took)).start()?;
    let nanos = took.get()?;
    p.join()?;
    Ok(Duration::from_nanos(nanos))
}

fn semaphore(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    let semaphore = ctx.semaphore(1)?;
    let took: Queue<u64> = ctx.queue(1)?;
    let p = ctx.process("semaphore_many").args((&semaphore, n, &took)).start()?;
    let nanos = took.get()?;
    p.join()?;
    Ok(Duration::from_nanos(nanos))
}

/// A worker that does something `n` times to one thing, and says how many nanoseconds that took.
fn timed_there(
    ctx: &Context,
    worker: &str,
    thing: &impl Serialize,
    n: u64,
) -> anyhow::Result<Duration> {
    let took: Queue<u64> = ctx.queue(1)?;
    let p = ctx.process(worker).args((thing, n, &took)).start()?;
    let nanos = took.get()?;
    p.join()?;
    Ok(Duration::from_nanos(nanos))
}

/// A worker that computes something `n` times, and says how many nanoseconds that took.
fn computed(ctx: &Context, worker: &str, n: u64) -> anyhow::Result<Duration> {
    let took: Queue<u64> = ctx.queue(1)?;
    let p = ctx.process(worker).args((n, &took)).start()?;
    let nanos = took.get()?;
    p.join()?;
    Ok(Duration::from_nanos(nanos))
}

pub(super) fn pipe(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    let (a, b) = ctx.pipe::<Bytes>()?;
    let took: Queue<u64> = ctx.queue(1)?;
    let echo = ctx.process("echo").args((&b,)).start()?;
    let ping = ctx.process("ping").args((&a, n, &took)).start()?;
    drop((a, b));
    let nanos = took.get()?;
    ping.join()?;
    echo.join()?;
    Ok(Duration::from_nanos(nanos))
}

pub(super) fn pool(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    map(empty_task(ctx).chunk_size(1), n)
}

pub(super) fn pool_map(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    map(empty_task(ctx), n)
}

pub(super) fn pool_fresh(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    map(empty_task(ctx).fresh_per_task(), n)
}

fn empty_task(ctx: &Context) -> PoolBuilder<(u64,), u64> {
    ctx.pool("empty_task")
}

/// Once the workers are up.
fn map(builder: PoolBuilder<(u64,), u64>, n: u64) -> anyhow::Result<Duration> {
    let pool = builder.build()?;
    pool.apply((1u64,))?;
    let began = Instant::now();
    let results = pool.map(0..n)?;
    let took = began.elapsed();
    anyhow::ensure!(results.len() as u64 == n, "results are missing");
    Ok(took)
}
