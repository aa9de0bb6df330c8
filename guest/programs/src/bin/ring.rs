//! A ring of processes that pass a token round.
//!
//!     procbox run target/programs/ring.wasm [PROCESSES] [ROUNDS]

use procbox_guest::prelude::*;
use std::env::args;

/// Takes the token from one queue and puts it, one greater, into the next.
#[worker]
fn member(from: Queue<u64>, to: Queue<u64>, rounds: u64) -> Result<()> {
    for _ in 0..rounds {
        to.put(&(from.get()? + 1))?;
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let ctx = procbox_guest::init()?;
    let members: usize = args().nth(1).map_or(Ok(4), |a| a.parse())?;
    let rounds: u64 = args().nth(2).map_or(Ok(1000), |a| a.parse())?;
    let queues = (0..=members).map(|_| ctx.queue(1)).collect::<Result<Vec<_>>>()?;
    let processes = (queues.windows(2))
        .map(|pair| ctx.process(member).args((&pair[0], &pair[1], rounds)).start())
        .collect::<Result<Vec<_>>>()?;
    let mut token = 0;
    for _ in 0..rounds {
        queues[0].put(&token)?;
        token = queues[members].get()?;
    }
    for process in processes {
        process.join()?;
    }
    println!("the token went through {token} hands");
    Ok(())
}
