//! Two workers, and a main that comes to its end before they do: it is not over until they are.

use crate::Shown;
use procbox_guest::prelude::*;

#[worker]
fn works(name: String, before: Event, after: Event) -> Result<()> {
    before.wait()?;
    println!("{name}: done");
    after.set();
    Ok(())
}

/// Plays main, in a process of its own, so that its end can be watched.
#[worker]
fn short_main() -> Result<()> {
    let ctx = procbox_guest::context()?;
    println!("main: there is at least one CPU: {}", ctx.cpu_count() >= 1);
    let turns = [ctx.event()?, ctx.event()?, ctx.event()?];
    for (i, name) in ["first", "second"].into_iter().enumerate() {
        ctx.process(works).args((name, &turns[i], &turns[i + 1])).name(name).start()?;
    }
    for child in ctx.active_children() {
        println!("main: child {}, its pid is a number: {}", child.name(), child.pid()? > 0);
    }
    println!("main: ends here");
    turns[0].set();
    Ok(())
}

pub(crate) fn show(ctx: &Context) -> Shown {
    let status = ctx.process(short_main).start()?.join()?;
    println!("main {status}, after its workers");
    Ok(())
}
