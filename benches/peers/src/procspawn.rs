//! The crate `procspawn`: closures in processes, each of which executes this program again.

use procbox_benches::{Case, timed};
use std::time::{Duration, Instant};

pub(super) fn cases() -> Vec<Case> {
    let case = |group, run: fn(u64) -> anyhow::Result<Duration>| Case {
        group,
        contender: "procspawn",
        ops: None,
        run: Box::new(run),
    };
    vec![case("spawn", spawn), case("pool/empty", pool)]
}

fn spawn(n: u64) -> anyhow::Result<Duration> {
    timed(n, || Ok(procspawn::spawn((), |()| ()).join()?))
}

/// With as many processes as ours has.
fn pool(n: u64) -> anyhow::Result<Duration> {
    let pool = procspawn::Pool::new(std::thread::available_parallelism()?.get())?;
    pool.spawn(1u64, |n| n).join()?;
    let began = Instant::now();
    let tasks: Vec<_> = (0..n).map(|n| pool.spawn(n, |n| n)).collect();
    tasks.into_iter().try_for_each(|task| task.join().map(drop))?;
    let took = began.elapsed();
    pool.shutdown();
    Ok(took)
}
