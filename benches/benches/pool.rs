//! Tasks that do nothing: one by one, many in a chunk, and in a process each.

use procbox::{Context, Pool, PoolBuilder};
use procbox_benches::{contender, contexts, run};
use std::time::{Duration, Instant};

fn main() -> anyhow::Result<()> {
    // Where procspawn's children begin; anything before this would run in them too.
    procspawn::init();
    run(|criterion| {
        let contexts = contexts()?;
        let mut group = criterion.benchmark_group("pool/empty");
        for (name, ctx) in &contexts {
            contender(&mut group, name, |n| map(builder(ctx).chunk_size(1), n));
        }
        contender(&mut group, "procspawn", procspawn_pool);
        group.finish();

        let mut group = criterion.benchmark_group("pool/map");
        for (name, ctx) in &contexts {
            contender(&mut group, name, |n| map(builder(ctx), n));
        }
        group.finish();

        let mut group = criterion.benchmark_group("pool/fresh");
        for (name, ctx) in &contexts {
            contender(&mut group, name, |n| map(builder(ctx).fresh_per_task(), n));
        }
        group.finish();
        Ok(())
    })
}

fn builder(ctx: &Context) -> PoolBuilder<(u64,), u64> {
    ctx.pool_of("empty_task")
}

/// Once the workers are up.
fn map(builder: PoolBuilder<(u64,), u64>, n: u64) -> anyhow::Result<Duration> {
    let pool: Pool<(u64,), u64> = builder.build()?;
    pool.apply((1u64,))?;
    let began = Instant::now();
    let results = pool.map(0..n)?;
    let took = began.elapsed();
    anyhow::ensure!(results.len() as u64 == n, "results are missing");
    Ok(took)
}

/// With as many processes as ours has.
fn procspawn_pool(n: u64) -> anyhow::Result<Duration> {
    let cpus = std::thread::available_parallelism()?.get();
    let pool = procspawn::Pool::new(cpus)?;
    pool.spawn(1u64, |n| n).join()?;
    let began = Instant::now();
    let tasks: Vec<_> = (0..n).map(|n| pool.spawn(n, |n| n)).collect();
    for task in tasks {
        task.join()?;
    }
    let took = began.elapsed();
    pool.shutdown();
    Ok(took)
}
