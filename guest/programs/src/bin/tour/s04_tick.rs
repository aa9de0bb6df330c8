//! A worker that ticks three times. Main says who it is first.

use crate::Shown;
use procbox_guest::prelude::*;
use std::thread::sleep;
use std::time::Duration;

#[worker]
fn ticks(go: Event, times: u32) -> Result<()> {
    go.wait()?;
    for i in 1..=times {
        println!("worker: tick {i}");
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

pub(crate) fn show(ctx: &Context) -> Shown {
    let go = ctx.event()?;
    let p = ctx.process(ticks).args((&go, 3)).name("ticker").start()?;
    println!("main: its name is {}, its pid is a number: {}", p.name(), p.pid()? > 0);
    println!("main: it is alive: {}, its exit code is {:?}", p.is_alive(), p.exitcode());
    go.set();
    p.join()?;
    println!("main: it is alive: {}, its exit code is {:?}", p.is_alive(), p.exitcode());
    Ok(())
}
