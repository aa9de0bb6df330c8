//! Every wait has an end if you want one, and so has every process.
//
// prints nothing came
// prints the process is out of wall-clock time

use procbox_guest::prelude::*;
use std::time::Duration;

#[worker]
fn never_ends() {
    loop {
        std::thread::yield_now();
    }
}

fn main() -> Result<()> {
    let ctx = procbox_guest::init()?;
    let q = ctx.queue::<u32>(1)?;
    match q.get_timeout(Duration::from_millis(10)) {
        Err(Error::Empty) => println!("nothing came"),
        other => println!("{other:?}"),
    }
    let p = ctx.process(never_ends).timeout(Duration::from_millis(50)).start()?;
    if let Some(limit) = p.join()?.limit() {
        println!("the process is out of {limit}");
    }
    Ok(())
}
