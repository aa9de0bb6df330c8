//! A worker that is a struct: its fields are the arguments, its `run` is the work. A clock.

use crate::Shown;
use procbox_guest::prelude::*;
use serde::{Deserialize, Serialize};
use std::thread::sleep;
use std::time::Duration;

#[derive(Serialize, Deserialize)]
struct Clock {
    interval: Duration,
    ticks: u32,
}

#[worker]
impl Clock {
    fn run(self) -> Result<()> {
        for i in 1..=self.ticks {
            sleep(self.interval);
            println!("clock: {} ms", self.interval.as_millis() * u128::from(i));
        }
        Ok(())
    }
}

pub(crate) fn show(ctx: &Context) -> Shown {
    let clock = Clock { interval: Duration::from_millis(20), ticks: 5 };
    let p = ctx.process(&clock).start()?;
    println!("main: the clock {}", p.join()?);
    Ok(())
}
