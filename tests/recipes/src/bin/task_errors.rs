//! A task that fails says so to who asked for it; the pool goes on.
//
// prints half of 8 is 4
// prints half of 7: 7 is odd

use procbox_guest::prelude::*;

#[worker]
fn halve(n: u32) -> std::result::Result<u32, String> {
    if n.is_multiple_of(2) { Ok(n / 2) } else { Err(format!("{n} is odd")) }
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let pool = ctx.pool(halve).workers(1).build()?;
    for n in [8, 7] {
        match pool.apply((n,)) {
            Ok(half) => println!("half of {n} is {half}"),
            Err(Error::Task(why)) => println!("half of {n}: {why}"),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
