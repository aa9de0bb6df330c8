//! What becomes of a worker when main ends: one that is not a daemon is waited for, a daemon ends
//! with main, and a daemon that main joins is waited for all the same.

use crate::Shown;
use procbox_guest::prelude::*;

#[worker]
fn waits_then_speaks(go: Event, _alive: Pipe<()>) -> Result<()> {
    go.wait()?;
    println!("worker: ends on its own");
    Ok(())
}

/// Plays main, in a process of its own, so that its end can be watched.
#[worker]
fn starts_one(daemon: bool, joins: bool, go: Event, alive: Pipe<()>) -> Result<()> {
    let ctx = procbox_guest::context()?;
    let p = ctx.process(waits_then_speaks).args((&go, &alive)).daemon(daemon).start()?;
    println!("main: started a worker, daemon: {}", p.daemon());
    if joins {
        go.set();
        println!("main: the worker {}", p.join()?);
    }
    Ok(())
}

fn main_ends(ctx: &Context, daemon: bool, joins: bool, go: &Event) -> Result<(Process, Pipe<()>)> {
    // While the worker lives it has the other end of this.
    let (watched, alive) = ctx.pipe()?;
    let main = ctx.process(starts_one).args((daemon, joins, go, &alive)).start()?;
    Ok((main, watched))
}

fn is_gone(watched: &Pipe<()>) -> bool {
    watched.recv() == Err(Error::Closed)
}

pub(crate) fn show(ctx: &Context) -> Shown {
    let go = ctx.event()?;
    let (main, watched) = main_ends(ctx, false, false, &go)?;
    let still = main.join_timeout(std::time::Duration::from_millis(100)) == Err(Error::TimedOut);
    println!("main is at its end and waits for the worker: {still}");
    go.set();
    main.join()?;
    println!("the worker is gone: {}", is_gone(&watched));

    let never = ctx.event()?;
    let (main, watched) = main_ends(ctx, true, false, &never)?;
    println!("main {}", main.join()?);
    println!("the worker is gone, without a word: {}", is_gone(&watched));

    let (main, _watched) = main_ends(ctx, true, true, &ctx.event()?)?;
    println!("main {}", main.join()?);
    Ok(())
}
