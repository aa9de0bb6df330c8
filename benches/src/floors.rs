//! What a pool cannot cost less than: its messages without its account of who has what, and the encoding of
//! what is in them.

use crate::{Case, MAP_ITEMS};
use procbox_core::codec::{decode, encode};
use procbox_core::{Context, Process, Queue, Wait, ready};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The messages that are on their way to a process, as many as a pool's small tasks.
const AHEAD: u64 = 32;

/// Numbers by queues to as many processes as a pool has, and back; and a million numbers encoded and
/// decoded as arguments and as results, by one thread, without a message.
pub(super) fn cases(backends: &[(&'static str, Context)]) -> Vec<Case> {
    let queues = |(contender, ctx): &(&'static str, Context)| {
        let (contender, ctx) = (*contender, ctx.clone());
        let run = Box::new(move |n| there_and_back(&ctx, n));
        Case { group: "floor/pool-empty", contender, ops: None, run }
    };
    let mut cases: Vec<Case> = backends.iter().map(queues).collect();
    let (group, contender) = ("floor/pool-map", "one thread");
    cases.push(Case { group, contender, ops: Some(MAP_ITEMS), run: Box::new(coded) });
    cases
}

/// A process that echoes numbers, and those of them that have not come back.
struct Echo {
    process: Process,
    to: Queue<u64>,
    from: Queue<u64>,
    away: u64,
}

impl Echo {
    fn start(ctx: &Context) -> anyhow::Result<Echo> {
        let (to, from) = (ctx.queue(AHEAD as usize)?, ctx.queue(AHEAD as usize)?);
        let process = ctx.process("echo_numbers").args((&to, &from)).start()?;
        to.put(&0)?;
        from.get()?;
        Ok(Echo { process, to, from, away: 0 })
    }
}

fn there_and_back(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    let echoes = (0..ctx.cpu_count()).map(|_| Echo::start(ctx));
    let mut echoes = echoes.collect::<anyhow::Result<Vec<_>>>()?;
    let (mut sent, mut back) = (0, 0);
    let began = Instant::now();
    while back < n {
        let before = back;
        for echo in &mut echoes {
            while echo.from.try_get().is_ok() {
                echo.away -= 1;
                back += 1;
            }
            while echo.away < AHEAD && sent < n {
                echo.to.put(&sent)?;
                echo.away += 1;
                sent += 1;
            }
        }
        if back == before {
            let all: Vec<_> = echoes.iter().map(|echo| echo.from.waitable()).collect();
            ready(ctx, &all, Wait::Forever)?;
        }
    }
    let took = began.elapsed();
    for echo in echoes {
        echo.to.close();
        echo.process.join()?;
    }
    Ok(took)
}

fn coded(n: u64) -> anyhow::Result<Duration> {
    let (mut arguments, mut result) = (Vec::new(), Vec::new());
    let began = Instant::now();
    for number in 0..n {
        arguments.clear();
        result.clear();
        encode(&(number,), &mut arguments)?;
        let (argument,): (u64,) = decode(black_box(&arguments), &[])?;
        encode(&argument, &mut result)?;
        black_box(decode::<u64>(black_box(&result), &[])?);
    }
    Ok(began.elapsed())
}
