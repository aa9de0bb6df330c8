//! What an honest tree keeps beside one that computes with as many processes as it may start.

use crate::Case;
use crate::ours::pipe;
use procbox_core::{Context, Process};
use procbox_host::{Program, Sandbox};
use std::time::{Duration, Instant};

/// How many compute beside an honest pair, which is owed half of the CPUs then.
const BESIDE_A_PAIR: usize = 500;
/// How many compute while one after the other is killed.
const BESIDE_A_KILL: usize = 1000;

/// Ping-pong of a pair with half of the CPUs to itself, and with all of them beside 500 that compute:
/// at most 1.25 of the first, if trees share fairly. And a kill, until it is joined, beside 1,000.
pub(super) fn cases(program: &Program) -> anyhow::Result<Vec<Case>> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let half = sandbox(cpus.div_ceil(2))?.context(program.clone())?;
    let all = sandbox(cpus)?;
    let (honest, crowd) = (all.context(program.clone())?, all.context(program.clone())?);
    let others = crowd.clone();
    let ping_pong = move |n| {
        let _crowd = Crowd::start(&others, BESIDE_A_PAIR)?;
        pipe(&honest, n)
    };
    let kill = |ctx: Context, crowd| {
        move |n| {
            let mut crowd = Crowd::start(&ctx, crowd)?;
            let began = Instant::now();
            for _ in 0..n {
                crowd.replace_one()?;
            }
            Ok(began.elapsed())
        }
    };
    let case = |group, contender, run: Box<dyn FnMut(u64) -> anyhow::Result<Duration>>| Case {
        group,
        contender,
        ops: None,
        run,
    };
    Ok(vec![
        case("fair/ping-pong", "half the CPUs", Box::new(move |n| pipe(&half, n))),
        case("fair/ping-pong", "beside 500", Box::new(ping_pong)),
        case("fair/kill", "alone", Box::new(kill(crowd.clone(), 0))),
        case("fair/kill", "beside 1000", Box::new(kill(crowd, BESIDE_A_KILL))),
    ])
}

fn sandbox(cpus: usize) -> anyhow::Result<Sandbox> {
    Ok(Sandbox::builder().parallelism(cpus).max_processes(BESIDE_A_KILL + 10).build()?)
}

/// Processes that compute until they are killed, each a tree of its own.
struct Crowd {
    ctx: Context,
    processes: std::collections::VecDeque<Process>,
}

impl Crowd {
    fn start(ctx: &Context, size: usize) -> anyhow::Result<Crowd> {
        let mut crowd = Crowd { ctx: ctx.clone(), processes: Default::default() };
        for _ in 0..size {
            crowd.processes.push_back(crowd.ctx.process("compute").start()?);
        }
        Ok(crowd)
    }

    /// Starts another, then kills the one that has run for longest and waits for its end.
    fn replace_one(&mut self) -> anyhow::Result<()> {
        self.processes.push_back(self.ctx.process("compute").start()?);
        if let Some(oldest) = self.processes.pop_front() {
            oldest.kill()?;
            oldest.join()?;
        }
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // All first: who is joined alone has waited for those that still compute.
        self.processes.iter().for_each(|process| drop(process.kill()));
        self.processes.iter().for_each(|process| drop(process.join()));
    }
}
