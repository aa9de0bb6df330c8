//! A pool of four: whichever task is done first, each result is fetched from its own task, in order.

use crate::Shown;
use procbox_guest::prelude::*;
use std::thread::sleep;
use std::time::Duration;

/// The first tasks take the longest.
#[worker]
fn squares_slowly(n: u64) -> u64 {
    sleep(Duration::from_millis(40 - 10 * n.min(4)));
    n * n
}

pub(crate) fn show(ctx: &Context) -> Shown {
    let pool = ctx.pool(squares_slowly).workers(4).build()?;
    let results = (0..5u64).map(|n| pool.apply_async((n,))).collect::<Result<Vec<_>>>()?;
    for (n, result) in results.into_iter().enumerate() {
        println!("main: {n} squared is {}", result.get()?);
    }
    println!("main: all at once: {:?}", pool.map(0..5u64)?);
    pool.close();
    pool.join()?;
    Ok(())
}
