//! Waits and tasks that are cancelled, in a loop: nothing is left of them.

use crate::holds::dropped_after_a_poll;
use crate::measure::{memory, threads, until};
use anyhow::ensure;
use procbox::native::{SharedMemory, shared_memory};
use procbox::{Context, Error, Event};
use std::fmt;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Memory that the allocator keeps of so much coming and going, in KiB.
const ALLOCATOR: usize = 8 << 10;

/// What it took, and what is left.
pub struct Cancelled {
    times: usize,
    waits: Duration,
    tasks: Duration,
    threads: (usize, usize),
    memory: (usize, usize),
    /// What the shared memory of a native context has in it.
    shared: Option<(SharedMemory, SharedMemory)>,
}

impl Cancelled {
    /// True if there are no more threads and objects than before.
    pub fn is_all_gone(&self) -> bool {
        self.threads.1 <= self.threads.0
            && self.memory.1 <= self.memory.0 + ALLOCATOR
            && self.shared.is_none_or(|(before, now)| now.primitives <= before.primitives)
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cancelled { times, waits, tasks, threads, memory, shared } = self;
        write!(f, "{times} times 4 waits cancelled in {waits:?}, {times} tasks in {tasks:?}: ")?;
        write!(f, "threads {} then {}, ", threads.0, threads.1)?;
        write!(f, "KiB {} then {}", memory.0, memory.1)?;
        match shared {
            Some((before, now)) => {
                write!(f, ", shared objects {} then {}", before.primitives, now.primitives)
            }
            None => Ok(()),
        }
    }
}

/// Cancels so many waits of each kind, and so many tasks.
pub fn cancel(ctx: &Context, runtime: &Runtime, times: usize) -> anyhow::Result<Cancelled> {
    let (queue, event, lock) = (ctx.queue::<u64>(1)?, ctx.event()?, ctx.rwlock()?);
    let semaphore = ctx.semaphore(0)?;
    let pool = ctx.pool::<(Event,), u64>("waits_task").workers(1).build()?;
    // The worker has one that waits; those behind it are taken back.
    let go = ctx.event()?;
    let first = pool.apply_async((&go,))?;
    let written = lock.write()?;
    let round = async {
        ensure!(dropped_after_a_poll(queue.get_async()).await, "there was a message");
        ensure!(dropped_after_a_poll(event.wait_async()).await, "it was set");
        ensure!(dropped_after_a_poll(semaphore.acquire_async()).await, "there was a permit");
        ensure!(dropped_after_a_poll(lock.read_async()).await, "nobody writes");
        Ok(())
    };
    // What is made once is there.
    runtime.block_on(round)?;
    let task = async || {
        let task = pool.apply_async((&go,))?;
        ensure!(dropped_after_a_poll((&task).into_future()).await, "it had ended");
        ensure!(task.cancel(), "it had ended");
        ensure!(task.await == Err(Error::Cancelled), "it was not cancelled");
        Ok(())
    };
    runtime.block_on(task())?;
    let before = (threads(), memory(), shared_memory(ctx));
    let began = Instant::now();
    runtime.block_on(async {
        for _ in 0..times {
            dropped_after_a_poll(queue.get_async()).await;
            dropped_after_a_poll(event.wait_async()).await;
            dropped_after_a_poll(semaphore.acquire_async()).await;
            dropped_after_a_poll(lock.read_async()).await;
        }
    });
    let waits = began.elapsed();
    let began = Instant::now();
    runtime.block_on(async {
        for _ in 0..times {
            task().await?;
        }
        anyhow::Ok(())
    })?;
    let tasks = began.elapsed();
    drop(written);
    // All is as it was: what was waited for in vain is to be had.
    queue.put(&1)?;
    ensure!(runtime.block_on(queue.get_async())? == 1);
    drop(lock.try_write()?);
    go.set();
    runtime.block_on(first.into_future())?;
    until(|| threads() <= before.0);
    let shared = before.2.zip(shared_memory(ctx));
    let (threads, memory) = ((before.0, threads()), (before.1, memory()));
    Ok(Cancelled { times, waits, tasks, threads, memory, shared })
}
