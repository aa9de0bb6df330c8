//! A pool whose workers are killed at random all the while: every task ends exactly once.

use anyhow::ensure;
use procbox::{Context, Error, Pool};
use procbox_tests::{Backend, watched};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How many tasks; `PROCBOX_CHAOS_TASKS` asks for more.
fn tasks() -> u64 {
    std::env::var("PROCBOX_CHAOS_TASKS").ok().and_then(|n| n.parse().ok()).unwrap_or(200_000)
}

/// A worker is killed this often.
const EVERY: Duration = Duration::from_millis(1);

/// Runs `body` while a bystander kills one of the context's processes every now and then. Says how
/// many it killed.
fn with_a_killer<T>(ctx: &Context, body: impl FnOnce() -> T) -> (T, u64) {
    let (over, killed) = (AtomicBool::new(false), AtomicU64::new(0));
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = 0x2545_f491_4f6c_dd1du64;
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(EVERY);
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let alive = ctx.active_children();
                if let Some(victim) = alive.get(random as usize % alive.len().max(1))
                    && victim.kill().is_ok()
                {
                    killed.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let result = body();
        over.store(true, Ordering::Relaxed);
        result
    });
    (result, killed.into_inner())
}

fn pool(ctx: &Context, retries: u32) -> procbox::Result<Pool<(u64,), u64>> {
    ctx.pool("double").workers(4).chunk_size(1).retries(retries).build()
}

fn every_task_ends_once_with_its_result_or_with_a_death(ctx: &Context) -> anyhow::Result<()> {
    let n = tasks();
    let pool = pool(ctx, 0)?;
    let mut ended = vec![0u8; n as usize];
    let (all, killed) = with_a_killer(ctx, || -> anyhow::Result<()> {
        for (index, result) in pool.imap_unordered(0..n) {
            ended[index] += 1;
            match result {
                Ok(value) => ensure!(value == 2 * index as u64, "{index} gave {value}"),
                Err(Error::WorkerDied { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    });
    all?;
    ensure!(killed > 0, "nobody was killed");
    ensure!(ended.iter().all(|times| *times == 1), "a task did not end exactly once");
    Ok(())
}

fn with_retries_every_result_arrives_and_is_right(ctx: &Context) -> anyhow::Result<()> {
    let n = tasks();
    let pool = pool(ctx, 10)?;
    let (all, killed) = with_a_killer(ctx, || pool.map(0..n));
    ensure!(all? == (0..n).map(|i| 2 * i).collect::<Vec<_>>());
    ensure!(killed > 0, "nobody was killed");
    ensure!(pool.counters().replaced <= killed, "more were replaced than killed");
    pool.close();
    Ok(pool.join()?)
}

macro_rules! on_both {
    ($($name:ident),*) => {
        mod native {
            $(#[test] fn $name() { super::watched(super::Backend::Native, super::$name); })*
        }
        mod sandbox {
            $(#[test] fn $name() { super::watched(super::Backend::Sandbox, super::$name); })*
        }
    };
}

on_both! {
    every_task_ends_once_with_its_result_or_with_a_death,
    with_retries_every_result_arrives_and_is_right
}
