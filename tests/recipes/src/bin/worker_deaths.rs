//! A worker that dies takes its task with it, and nothing else: the pool replaces it.
//
// prints 1
// prints the task died: exited with code 3
// prints 2

use procbox_guest::prelude::*;

#[worker]
fn fragile(n: i32) -> i32 {
    if n < 0 {
        std::process::exit(3);
    }
    n
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let pool = ctx.pool(fragile).workers(1).build()?;
    for n in [1, -1, 2] {
        match pool.apply((n,)) {
            Ok(n) => println!("{n}"),
            Err(Error::WorkerDied { status, .. }) => println!("the task died: {status}"),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
