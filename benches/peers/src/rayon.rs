//! The crate `rayon`, in one process: the ceiling for a pool whose tasks need no process of their own.

use procbox_benches::{Case, MAP_ITEMS};
use rayon::prelude::*;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(super) fn cases() -> Vec<Case> {
    let case = |group, ops, run: fn(u64) -> anyhow::Result<Duration>| Case {
        group,
        contender: "rayon",
        ops,
        run: Box::new(run),
    };
    vec![case("pool/empty", None, tasks), case("pool/map-1M", Some(MAP_ITEMS), map)]
}

/// Each task by itself.
fn tasks(n: u64) -> anyhow::Result<Duration> {
    let done = AtomicU64::new(0);
    let began = Instant::now();
    rayon::scope(|scope| {
        for task in 0..n {
            let done = &done;
            scope.spawn(move |_| {
                black_box(task);
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    let took = began.elapsed();
    anyhow::ensure!(done.into_inner() == n, "tasks are missing");
    Ok(took)
}

/// As it divides them.
fn map(n: u64) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let results: Vec<u64> = (0..n).into_par_iter().map(black_box).collect();
    let took = began.elapsed();
    anyhow::ensure!(results.len() as u64 == n, "results are missing");
    Ok(took)
}
