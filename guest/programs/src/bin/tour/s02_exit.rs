//! `exit` in a worker ends the worker, not main and not its siblings.

use crate::Shown;
use procbox_guest::prelude::*;

#[worker]
fn exits(code: i32) {
    println!("worker: exit({code})");
    std::process::exit(code)
}

#[worker]
fn stays(go: Event) -> Result<()> {
    go.wait().map(drop)
}

pub(crate) fn show(ctx: &Context) -> Shown {
    let go = ctx.event()?;
    let sibling = ctx.process(stays).args((&go,)).start()?;
    let p = ctx.process(exits).args((7,)).start()?;
    println!("main: the worker {}", p.join()?);
    println!("main: its sibling is alive: {}, and so am I", sibling.is_alive());
    go.set();
    println!("main: the sibling {}", sibling.join()?);
    Ok(())
}
