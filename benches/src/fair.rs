//! What is left for an honest process of a sandbox beside others that compute: of the CPUs, and of the
//! promise that a kill does not wait.

use crate::Case;
use crate::ours::pipe;
use procbox_core::{Context, Process, Queue};
use procbox_host::{Program, Sandbox};
use std::time::{Duration, Instant};

/// How many compute beside an honest pair, which is owed half of the CPUs then.
const BESIDE_A_PAIR: usize = 500;
/// How many compute while others are killed.
const BESIDE_A_KILL: usize = 1000;
/// Kills of a sample: each waits for its process to begin.
const KILLS: u64 = 20;

/// Ping-pong of a pair with half of the CPUs to itself, and with all of them beside 500 that compute:
/// at most 1.25 of the first, if contexts share fairly. And a kill, until it is joined, beside 1,000.
pub(super) fn cases(program: &Program) -> anyhow::Result<Vec<Case>> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let half = sandbox(cpus.div_ceil(2))?.context(program.clone())?;
    let all = sandbox(cpus)?;
    let (honest, others) = (all.context(program.clone())?, all.context(program.clone())?);
    let crowd = others.clone();
    let ping_pong = move |n| {
        let _crowd = Crowd::start(&crowd, BESIDE_A_PAIR)?;
        pipe(&honest, n)
    };
    let kill = |ctx: Context, crowd| {
        move |n| {
            let _crowd = Crowd::start(&ctx, crowd)?;
            (0..n).map(|_| kill_one(&ctx)).sum()
        }
    };
    let case = |group, contender, ops, run| Case { group, contender, ops, run };
    Ok(vec![
        case("fair/ping-pong", "half the CPUs", None, Box::new(move |n| pipe(&half, n))),
        case("fair/ping-pong", "beside 500", None, Box::new(ping_pong)),
        case("fair/kill", "alone", Some(KILLS), Box::new(kill(others.clone(), 0))),
        case("fair/kill", "beside 1000", Some(KILLS), Box::new(kill(others, BESIDE_A_KILL))),
    ])
}

fn sandbox(cpus: usize) -> anyhow::Result<Sandbox> {
    Ok(Sandbox::builder().parallelism(cpus).max_processes(BESIDE_A_KILL + 10).build()?)
}

/// The time from the kill of a process that computes to its end.
fn kill_one(ctx: &Context) -> anyhow::Result<Duration> {
    let begun: Queue<()> = ctx.queue(1)?;
    let process = ctx.process("compute").args((&begun,)).start()?;
    begun.get()?;
    let killed = Instant::now();
    process.kill()?;
    process.join()?;
    Ok(killed.elapsed())
}

/// Processes that compute until they are killed, each a tree of its own.
struct Crowd(Vec<Process>);

impl Crowd {
    fn start(ctx: &Context, size: usize) -> anyhow::Result<Crowd> {
        let begun: Queue<()> = ctx.unbounded_queue()?;
        // What there is already is killed if one cannot be started.
        let mut crowd = Crowd(Vec::with_capacity(size));
        for _ in 0..size {
            crowd.0.push(ctx.process("compute").args((&begun,)).start()?);
        }
        Ok(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // All first: who is joined alone has waited for those that still compute.
        self.0.iter().for_each(|process| drop(process.kill()));
        self.0.iter().for_each(|process| drop(process.join()));
    }
}
