//! Counts primes: a pool of workers over ranges of numbers.
//!
//!     procbox run target/programs/primes.wasm [LIMIT] [WORKERS]

use procbox_guest::prelude::*;
use std::env::args;

/// How many primes there are from `from` up to and without `to`.
#[worker]
fn primes_between(from: u64, to: u64) -> u64 {
    (from..to).filter(|n| is_prime(*n)).count() as u64
}

fn is_prime(n: u64) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

const STEP: u64 = 1000;

fn main() -> anyhow::Result<()> {
    let ctx = procbox_guest::init()?;
    let limit: u64 = args().nth(1).map_or(Ok(100_000), |a| a.parse())?;
    let workers: usize = args().nth(2).map_or(Ok(ctx.cpu_count()), |a| a.parse())?;
    let pool = ctx.pool(primes_between).workers(workers).build()?;
    let ranges = (0..limit).step_by(STEP as usize).map(|from| (from, limit.min(from + STEP)));
    let count: u64 = pool.starmap(ranges)?.into_iter().sum();
    println!("{count} primes below {limit}");
    Ok(())
}
