//! The program that the conformance cases start, natively and in the sandbox: workers for every
//! promise, and a `main` that ends as its arguments say.

// Workers are started by name.
#![allow(dead_code, reason = "the cases, in another crate, start these workers by name")]

mod answers;
mod circles;
mod crash;
mod leavings;
mod ledgers;
mod meetings;
mod memory;
mod namesakes;
mod primitives;
mod processes;
mod simulated;
mod storm;
mod tasks;
#[cfg(target_os = "linux")]
mod threads;
mod walked;
mod warm;

use procbox_guest::prelude::*;
use std::io::Write;

/// Runs a case here, in a worker. What fails is put into the queue.
#[worker]
fn run_case(name: String, failure: Queue<String>) -> anyhow::Result<()> {
    procbox_cases::run_case(&procbox_guest::context()?, &name, &failure)
}

fn main() -> anyhow::Result<()> {
    let ctx = procbox_guest::init()?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["echo", words @ ..] => words.iter().for_each(|word| println!("{word}")),
        ["cat"] => drop(std::io::copy(&mut std::io::stdin(), &mut std::io::stdout())?),
        ["exit", code] => std::process::exit(code.parse()?),
        ["get-ready"] => procbox_guest::snapshot(|| println!("ready")),
        ["fail"] => anyhow::bail!("as it should"),
        ["panic"] => panic!("as it should"),
        ["abort"] => std::process::abort(),
        ["access"] => crash::access_out_of_bounds(),
        ["overflow"] => crash::overflow_the_stack(),
        ["divide"] => crash::divide_by_zero(),
        ["spin"] => {
            announce()?;
            crash::spin()
        }
        ["block"] => {
            announce()?;
            ctx.event()?.wait()?;
        }
        ["block-in-join"] => {
            let p = blocked(&ctx)?;
            announce()?;
            p.join()?;
        }
        #[cfg(target_os = "linux")]
        ["on-threads", place, name] => threads::run(place, name)?,
        ["answer-in", what] => answers::answer_in(&ctx, what)?,
        _ => anyhow::bail!("conformance is started by the tests, and they say what it should do"),
    }
    Ok(())
}

/// A worker that is blocked for ever.
fn blocked(ctx: &Context) -> Result<Process> {
    let (started, forever) = (ctx.event()?, ctx.event()?);
    let p = ctx.process(processes::blocks).args((&started, &forever)).start()?;
    started.wait()?;
    Ok(p)
}

/// Says on stdout that it is at work, for whoever is about to end it.
fn announce() -> std::io::Result<()> {
    println!("started");
    std::io::stdout().flush()
}
