//! The C library's semaphore in shared memory, whose permits nobody gives back for the dead; and a pair of
//! them for ping-pong: what waking another process costs, and nothing else.

use crate::child::{Child, Shared};
use nix::libc;
use procbox_benches::{Case, timed};
use std::time::{Duration, Instant};

pub(super) fn cases() -> Vec<Case> {
    let case = |group, contender, run: fn(u64) -> anyhow::Result<Duration>| Case {
        group,
        contender,
        ops: None,
        run: Box::new(run),
    };
    vec![
        case("semaphore/uncontended", "sem_t", uncontended),
        case("pipe/ping-pong", "pair of sem_t", ping_pong),
    ]
}

/// One between processes, with so many permits.
fn semaphore(permits: u32) -> anyhow::Result<Shared<libc::sem_t>> {
    let semaphore = Shared::new()?;
    // SAFETY: it is a place for one.
    let failed = unsafe { libc::sem_init(semaphore.get(), 1, permits) };
    anyhow::ensure!(failed == 0, "sem_init");
    Ok(semaphore)
}

fn wait(semaphore: &Shared<libc::sem_t>) -> anyhow::Result<()> {
    // SAFETY: `semaphore` has initialized it.
    anyhow::ensure!(unsafe { libc::sem_wait(semaphore.get()) } == 0, "sem_wait");
    Ok(())
}

fn post(semaphore: &Shared<libc::sem_t>) -> anyhow::Result<()> {
    // SAFETY: `semaphore` has initialized it.
    anyhow::ensure!(unsafe { libc::sem_post(semaphore.get()) } == 0, "sem_post");
    Ok(())
}

fn uncontended(n: u64) -> anyhow::Result<Duration> {
    let semaphore = semaphore(1)?;
    timed(n, || {
        wait(&semaphore)?;
        post(&semaphore)
    })
}

fn ping_pong(n: u64) -> anyhow::Result<Duration> {
    let (there, back) = (semaphore(0)?, semaphore(0)?);
    let echo = Child::start(|| {
        (0..n).try_for_each(|_| {
            wait(&there)?;
            post(&back)
        })
    })?;
    let began = Instant::now();
    for _ in 0..n {
        post(&there)?;
        wait(&back)?;
    }
    let took = began.elapsed();
    echo.join()?;
    Ok(took)
}
