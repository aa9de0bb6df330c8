//! The program of the README: a worker puts numbers into a queue.
//
// prints 0
// prints 1
// prints 2

use procbox_guest::prelude::*;

#[worker]
fn writer(q: Queue<u32>, n: u32) -> Result<()> {
    for i in 0..n {
        q.put(&i)?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let q = ctx.queue::<u32>(16)?;
    // Arguments are checked at compile time.
    let p = ctx.process(writer).args((&q, 3)).name("w").daemon(true).start()?;
    for _ in 0..3 {
        println!("{}", q.get()?);
    }
    p.join()?;
    Ok(())
}
