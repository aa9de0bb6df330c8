//! The walk in the sandbox: a process is killed at the first place at which it can be, another one at
//! the second, and so on through all of an operation; and every time those beside it go on, nothing is
//! lost but what was in dead hands, and nothing is left behind.
//!
//! A sandboxed process ends where it waits and where it is interrupted, which is at the heads of its
//! functions and loops: a simulation goes to each of these. Among the tests some places of each operation
//! are tried; `PROCBOX_WALK_STRIDE` says how many to go on by at once, and with 1 it is all of them
//! (`make walk`). With threads, where processes run at the same time, one is killed at a random moment;
//! `PROCBOX_WALK_KILLS` says how often.

mod check;
mod pools;
mod world;

use procbox_cases::walked::OPERATIONS;
use std::time::Duration;
use world::{End, World};

/// So many places of each operation are tried among the tests.
const SAMPLES: u64 = 24;
/// The first guess at how many there are.
const FIRST: u64 = 64;
/// So many processes are killed at random among the tests.
const KILLS: u64 = 100;

fn asked(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Goes through all places of an operation, which is done up to one of them by `step`: whether it has
/// come to its own end there. Says how many processes it has ended.
fn walk(mut step: impl FnMut(u64) -> anyhow::Result<bool>) -> anyhow::Result<u64> {
    let (mut places, mut killed) = (FIRST, 0);
    while !step(places)? {
        (places, killed) = (2 * places, killed + 1);
    }
    let stride = asked("PROCBOX_WALK_STRIDE").unwrap_or(places / SAMPLES).max(1);
    // Not the same ones for ever: the number differs from build to build.
    for at in (places % stride..places).step_by(stride as usize) {
        killed += u64::from(!step(at)?);
    }
    Ok(killed)
}

fn walks(operations: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let _turn = world::turn();
    for (number, (operation, beside)) in OPERATIONS.iter().enumerate() {
        if operations(operation) {
            let world = World::simulated(number as u64)?;
            let step = |at| world.step(operation, beside, End::At(at));
            println!("{operation}: {} killed", walk(step)?);
        }
    }
    Ok(())
}

/// True of those in which the process starts others.
fn starts(operation: &str) -> bool {
    ["start", "pool", "main_loop"].iter().any(|of_those| operation.starts_with(of_those))
}

#[test]
fn killed_at_any_place_of_an_operation_nothing_is_lost() -> anyhow::Result<()> {
    walks(|operation| !starts(operation))
}

#[test]
fn killed_at_any_place_with_children_nothing_is_lost() -> anyhow::Result<()> {
    walks(starts)
}

#[test]
fn killed_at_a_random_moment_of_an_operation_nothing_is_lost() -> anyhow::Result<()> {
    let _turn = world::turn();
    let kills = asked("PROCBOX_WALK_KILLS").unwrap_or(KILLS);
    let world = World::threaded()?;
    let mut killed = 0;
    let mut longest = Duration::from_micros(50);
    for round in 0.. {
        let (operation, beside) = OPERATIONS[round % OPERATIONS.len()];
        // Numbers without chance in them; up to the end of the operation, as long as that takes here.
        let part = (round as u32).wrapping_mul(0x9e37_79b1) >> 16;
        let moment = longest * part / (1 << 16);
        if world.step(operation, beside, End::After(moment))? {
            longest = longest * 7 / 8;
        } else {
            (killed, longest) = (killed + 1, longest + longest / 16);
        }
        if killed == kills {
            break;
        }
    }
    println!("{killed} killed");
    Ok(())
}
