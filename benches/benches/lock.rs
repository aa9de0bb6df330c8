//! Acquires and releases a lock that nobody else wants. The peer is a lock between threads.

use procbox::{Context, Queue};
use procbox_benches::{contender, contexts, run, timed};
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    run(|criterion| {
        let mut group = criterion.benchmark_group("lock/uncontended");
        for (name, ctx) in contexts()? {
            contender(&mut group, name, |n| procbox(&ctx, n));
        }
        let mutex = Mutex::new(());
        contender(&mut group, "std::sync::Mutex", |n| {
            timed(n, || {
                drop(black_box(&mutex).lock().unwrap_or_else(PoisonError::into_inner));
                Ok(())
            })
        });
        group.finish();
        Ok(())
    })
}

/// Timed by the process that does it.
fn procbox(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    let lock = ctx.lock()?;
    let took: Queue<u64> = ctx.queue(1)?;
    let process = ctx.worker("lock_many").args((&lock, n, &took)).start()?;
    let nanos = took.get()?;
    process.join()?;
    Ok(Duration::from_nanos(nanos))
}
