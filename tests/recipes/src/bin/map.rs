//! A pool: the results come in the order of the inputs, whichever worker had them.
//
// prints [1, 4, 9, 16]

use procbox_guest::prelude::*;

#[worker]
fn square(n: u64) -> u64 {
    n * n
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let pool = ctx.pool(square).workers(2).build()?;
    println!("{:?}", pool.map(1..5u64)?);
    Ok(())
}
