//! Workers that use what stands on ledgers: each of them takes one thing in one way.

use anyhow::{bail, ensure};
use procbox_cases::Shared;
use procbox_guest::prelude::*;
use procbox_guest::{Once, RwLock};
use std::time::Duration;

/// Takes it, says that it has it, and gives it back when it is told to.
#[worker]
fn has_it(it: Shared, how: String, held: Event, go: Event) -> anyhow::Result<()> {
    let keep = || {
        held.set();
        go.wait()
    };
    match (&it, how.as_str()) {
        (Shared::RLock(lock), _) => {
            let _guards = (lock.lock()?, lock.lock()?);
            keep()?;
        }
        (Shared::Bounded(semaphore), _) => {
            let _permit = semaphore.permit()?;
            keep()?;
        }
        (Shared::RwLock(lock), "read") => {
            let _guard = lock.read()?;
            keep()?;
        }
        (Shared::RwLock(lock), _) => {
            let _guard = lock.write()?;
            keep()?;
        }
        (Shared::Once(once), _) => once.call(|_| keep().map(drop))?,
        (Shared::Condition(condition), _) => {
            let _guard = condition.lock()?;
            keep()?;
        }
        (Shared::Barrier(_), _) => bail!("nobody has a barrier"),
    }
    Ok(())
}

/// Waits for it, and says how that ended, with what it is told of the dead.
#[worker]
fn waits_for_it(it: Shared, how: String, about: Event, out: Queue<String>) -> Result<()> {
    about.set();
    let ended = match (&it, how.as_str()) {
        (Shared::RLock(lock), _) => lock.lock().map(|guard| guard.owner_died()),
        (Shared::Bounded(semaphore), _) => semaphore.permit().map(|_| false),
        (Shared::RwLock(lock), "read") => lock.read().map(|guard| guard.owner_died()),
        (Shared::RwLock(lock), _) => lock.write().map(|guard| guard.owner_died()),
        (Shared::Once(once), "wait") => once.wait().map(|()| false),
        (Shared::Once(once), _) => {
            let mut died = None;
            once.call(|state| {
                died = Some(state.owner_died());
                Ok(())
            })
            .map(|()| died == Some(true))
        }
        (Shared::Condition(condition), _) => condition
            .lock()
            .and_then(|guard| {
                out.put("has the lock")?;
                condition.wait(guard)
            })
            .map(|guard| guard.owner_died()),
        (Shared::Barrier(barrier), "a while") => {
            barrier.wait_timeout(Duration::from_millis(50)).map(|_| false)
        }
        (Shared::Barrier(barrier), _) => barrier.wait().map(|_| false),
    };
    out.put(&format!("{ended:?}"))
}

/// Goes through a barrier so many times, with what is not to be done twice in a round.
#[worker]
fn goes_through(barrier: Barrier, counter: Queue<u64>, times: u64) -> anyhow::Result<()> {
    for round in 0..times {
        barrier.wait_then(|| {
            let n = counter.try_get()?;
            counter.try_put(&(n + 1))
        })?;
        // All have passed this round, and none the next.
        let passed = barrier.wait()?;
        if passed.is_last() {
            ensure!(passed.index() + 1 == barrier.parties()?, "{passed:?}");
        }
        let n = counter.get()?;
        counter.put(&n)?;
        ensure!(n == round + 1, "{n} in round {round}");
        barrier.wait()?;
    }
    Ok(())
}

/// Adds to a number that only a writer may change, and looks that no reader sees it half changed.
#[worker]
fn reads_and_writes(lock: RwLock, halves: Queue<(u64, u64)>, times: u64) -> anyhow::Result<()> {
    for _ in 0..times {
        {
            let _guard = lock.write()?;
            let (a, b) = halves.try_get()?;
            ensure!(a == b);
            halves.try_put(&(a + 1, b))?;
            std::thread::yield_now();
            let (a, b) = halves.try_get()?;
            halves.try_put(&(a, b + 1))?;
        }
        let _guard = lock.read()?;
        ensure!(halves.len() == 1);
    }
    Ok(())
}

/// Does it once, unless another does, and counts who did.
#[worker]
fn comes_to_do_it(once: Once, done: Queue<u32>, me: u32) -> Result<()> {
    once.call(|_| done.put(&me))
}

/// Takes items, and marks as many of them done.
#[worker]
fn takes_items(q: JoinableQueue<u64>, take: u64, mark: u64, held: Event, go: Event) -> Result<()> {
    for _ in 0..take {
        q.get()?;
    }
    (0..mark).try_for_each(|_| q.task_done())?;
    held.set();
    go.wait().map(drop)
}

/// Handles items until the queue is closed.
#[worker]
fn handles_items(q: JoinableQueue<u64>, sum: Queue<u64>) -> Result<()> {
    loop {
        match q.get() {
            Ok(n) => {
                let before = sum.get()?;
                sum.put(&(before + n))?;
                q.task_done()?;
            }
            Err(Error::Closed) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

/// Puts the numbers below `n`.
#[worker]
fn puts_items(q: JoinableQueue<u64>, n: u64) -> Result<()> {
    (0..n).try_for_each(|item| q.put(&item))
}

/// Takes from a buffer that another fills, by a condition for each side; how much.
#[worker]
fn empties(filled: Condition, emptied: Condition, q: Queue<u64>, n: u64) -> anyhow::Result<()> {
    for expected in 0..n {
        let guard = filled.wait_for(filled.lock()?, || !q.is_empty())?;
        let got = q.try_get()?;
        ensure!(got == expected, "{got}, not {expected}");
        emptied.notify(1)?;
        drop(guard);
    }
    Ok(())
}
