//! Two wait for one event, which is set too late for one of them.

use crate::Shown;
use procbox_guest::prelude::*;
use std::time::Duration;

#[worker]
fn waits_for_ever(event: Event, out: Queue<(String, bool)>) -> Result<()> {
    let answer = event.wait()?;
    out.put(&("the one that waits for ever".to_string(), answer))
}

#[worker]
fn waits_a_while(event: Event, out: Queue<(String, bool)>) -> Result<()> {
    let answer = event.wait_timeout(Duration::from_millis(200))?;
    out.put(&("the one that waits for 0.2 s".to_string(), answer))
}

pub(crate) fn show(ctx: &Context) -> Shown {
    let (event, out) = (ctx.event()?, ctx.queue(2)?);
    let patient = ctx.process(waits_for_ever).args((&event, &out)).start()?;
    let hasty = ctx.process(waits_a_while).args((&event, &out)).start()?;
    let (who, answer) = out.get()?;
    println!("main: {who} got {answer}");
    event.set();
    println!("main: now the event is set: {}", event.is_set());
    let (who, answer) = out.get()?;
    println!("main: {who} got {answer}");
    patient.join()?;
    hasty.join()?;
    Ok(())
}
