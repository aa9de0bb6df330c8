//! An event: all start at once, when they are told.
//
// prints nobody has begun
// prints 3 have begun

use procbox_guest::prelude::*;

#[worker]
fn run(go: Event, begun: Queue<()>) -> Result<()> {
    go.wait()?;
    begun.put(&())
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let (go, begun) = (ctx.event()?, ctx.queue::<()>(8)?);
    let runners =
        (0..3).map(|_| ctx.process(run).args((&go, &begun)).start()).collect::<Result<Vec<_>>>()?;
    assert!(begun.is_empty());
    println!("nobody has begun");
    go.set();
    for runner in runners {
        runner.join()?;
    }
    println!("{} have begun", begun.len());
    Ok(())
}
