//! The walk through a worker of a pool: whichever place it is killed at, each task ends once.

use crate::walk;
use crate::world::{self, HANG, World};
use anyhow::{Context as _, ensure};
use procbox::Error;

/// Tasks of one pool.
const TASKS: u64 = 4;

/// Kills the first worker of a pool when it has gone on so many times; whether it came to its own end.
fn step(world: &World, fresh: bool, retries: u32, times: u64) -> anyhow::Result<bool> {
    let pool = world.ctx.pool::<(u64,), u64>("double").workers(2).chunk_size(1).retries(retries);
    let pool = if fresh { pool.fresh_per_task().build()? } else { pool.build()? };
    let victim = world.ctx.active_children().into_iter().next().context("there is no worker")?;
    world.sandbox.kill_after(victim.pid()?, times)?;
    let mut ended = [0; TASKS as usize];
    for (index, result) in pool.imap_unordered(0..TASKS) {
        ended[index] += 1;
        match result {
            Ok(doubled) => ensure!(doubled == 2 * index as u64, "{index} gave {doubled}"),
            Err(Error::WorkerDied { .. }) if retries == 0 => {}
            Err(e) => return Err(e.into()),
        }
    }
    ensure!(ended == [1; TASKS as usize], "{ended:?}");
    pool.close();
    pool.join()?;
    drop(pool);
    let status = victim.join_timeout(HANG)?;
    ensure!(status.success() || status.exitcode() == -9, "{status}");
    world.nothing_is_left(&victim)?;
    Ok(status.success())
}

fn walks(fresh: bool, retries: u32) -> anyhow::Result<()> {
    let _turn = world::turn();
    let world = World::simulated(u64::from(fresh))?;
    let step = |times| {
        step(&world, fresh, retries, times).with_context(|| format!("killed after {times}"))
    };
    println!("a worker of a pool, fresh {fresh}, {retries} retries: {} killed", walk(step)?);
    Ok(())
}

#[test]
fn a_worker_of_a_pool_killed_at_any_place_costs_its_task_at_most() -> anyhow::Result<()> {
    walks(false, 0)
}

#[test]
fn with_retries_it_costs_nothing() -> anyhow::Result<()> {
    walks(false, 3)
}

#[test]
fn a_fresh_worker_costs_its_task_at_most() -> anyhow::Result<()> {
    walks(true, 0)
}
