//! `std::sync::Mutex`, in one process: what a lock costs that nobody has to get back from the dead.

use procbox_benches::{Case, timed};
use std::hint::black_box;
use std::sync::PoisonError;
use std::time::Duration;

pub(super) fn cases() -> Vec<Case> {
    let (group, contender) = ("lock/uncontended", "std::sync::Mutex");
    vec![Case { group, contender, ops: None, run: Box::new(lock) }]
}

fn lock(n: u64) -> anyhow::Result<Duration> {
    let mutex = std::sync::Mutex::new(());
    timed(n, || {
        drop(black_box(&mutex).lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    })
}
