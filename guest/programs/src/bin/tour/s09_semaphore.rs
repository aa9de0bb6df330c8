//! Two permits, three workers: the third gets in when one of the others leaves.

use crate::Shown;
use procbox_guest::prelude::*;
use std::time::Duration;

#[worker]
fn visits(name: String, permits: Semaphore, inside: Queue<String>, leave: Event) -> Result<()> {
    let _permit = permits.permit()?;
    inside.put(&name)?;
    leave.wait().map(drop)
}

pub(crate) fn show(ctx: &Context) -> Shown {
    let (permits, inside) = (ctx.semaphore(2)?, ctx.queue::<String>(3)?);
    let start = |name: &str| {
        let leave = ctx.event()?;
        let p = ctx.process(visits).args((name, &permits, &inside, &leave)).start()?;
        Ok::<_, Error>((p, leave))
    };
    let (first, first_leaves) = start("the first")?;
    println!("main: {} is inside", inside.get()?);
    let (second, second_leaves) = start("the second")?;
    println!("main: {} is inside, free permits: {}", inside.get()?, permits.available());
    let (third, third_leaves) = start("the third")?;
    let waits = inside.get_timeout(Duration::from_millis(100)) == Err(Error::Empty);
    println!("main: the third waits: {waits}");
    first_leaves.set();
    first.join()?;
    println!("main: the first has left, {} is inside", inside.get()?);
    second_leaves.set();
    third_leaves.set();
    second.join()?;
    third.join()?;
    println!("main: all have left, free permits: {}", permits.available());
    Ok(())
}
