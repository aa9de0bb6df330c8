//! A worker that says whether a number is prime, for who asks.
//
// prints true

use procbox_guest::prelude::*;

#[worker]
fn is_prime(n: u64) -> bool {
    n > 1 && (2..n).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let pool = ctx.pool(is_prime).workers(1).build()?;
    println!("{}", pool.apply((97,))?);
    Ok(())
}
