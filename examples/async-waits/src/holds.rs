//! Many waits at once: each is a task of the runtime's, and none has a thread.

use crate::measure::{memory, threads};
use anyhow::ensure;
use procbox::{Context, Event, Process, Queue, Result, Semaphore};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Of ten waits, so many are for messages, for events, for permits and for tasks; the rest join.
const MESSAGES: usize = 4;
const EVENTS: usize = 2;
const PERMITS: usize = 1;
const TASKS: usize = 2;
/// So many wait for one queue, or one event.
const SHARE: usize = 10;
/// The processes that are joined by all who join.
const PROCESSES: usize = 8;

/// What it took.
pub struct Held {
    waits: usize,
    /// Threads more than before, while all waits were held.
    pub threads_more: usize,
    /// KiB more than before.
    memory_more: usize,
    begun: Duration,
    ended: Duration,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} waits: {} threads more, {} KiB more, begun in {:?}, all ended in {:?}",
            self.waits, self.threads_more, self.memory_more, self.begun, self.ended
        )
    }
}

/// What the waits are for.
struct Things {
    queues: Vec<Queue<u64>>,
    events: Vec<Event>,
    semaphore: Semaphore,
    go: Event,
    processes: Vec<Process>,
}

/// A wait that is counted once it is pending.
async fn counted<T>(waiting: Arc<AtomicUsize>, wait: impl Future<Output = T>) -> T {
    let mut wait = pin!(wait);
    let mut is_counted = false;
    poll_fn(|cx| {
        let polled = wait.as_mut().poll(cx);
        if polled.is_pending() && !is_counted {
            is_counted = true;
            waiting.fetch_add(1, Ordering::SeqCst);
        }
        polled
    })
    .await
}

/// Holds so many waits, and ends them.
pub fn hold(ctx: &Context, runtime: &Runtime, waits: usize) -> anyhow::Result<Held> {
    let tenth = waits.div_ceil(10);
    let things = things(ctx, tenth)?;
    let pool = ctx.pool::<(Event,), u64>("waits_task").workers(2).build()?;
    let before = (threads(), memory());
    let began = Instant::now();
    let waiting = Arc::new(AtomicUsize::new(0));
    let mut all: Vec<JoinHandle<Result<()>>> = Vec::new();
    for n in 0..MESSAGES * tenth {
        let (queue, waiting) = (things.queues[n / SHARE].clone(), waiting.clone());
        let wait = async move { queue.get_async().await.map(drop) };
        all.push(runtime.spawn(counted(waiting, wait)));
    }
    for n in 0..EVENTS * tenth {
        let (event, waiting) = (things.events[n / SHARE].clone(), waiting.clone());
        all.push(runtime.spawn(counted(waiting, async move { event.wait_async().await })));
    }
    for _ in 0..PERMITS * tenth {
        let (semaphore, waiting) = (things.semaphore.clone(), waiting.clone());
        // Each hands its permit on.
        let wait = async move { semaphore.permit_async().await.map(drop) };
        all.push(runtime.spawn(counted(waiting, wait)));
    }
    for _ in 0..TASKS * tenth {
        let (task, waiting) = (pool.apply_async((&things.go,))?, waiting.clone());
        all.push(runtime.spawn(counted(waiting, async move { task.await.map(drop) })));
    }
    for n in 0..(10 - MESSAGES - EVENTS - PERMITS - TASKS) * tenth {
        let (process, waiting) = (things.processes[n % PROCESSES].clone(), waiting.clone());
        let wait = async move { process.join_async().await.map(drop) };
        all.push(runtime.spawn(counted(waiting, wait)));
    }
    while waiting.load(Ordering::SeqCst) < all.len() {
        std::thread::yield_now();
    }
    let (begun, waits) = (began.elapsed(), all.len());
    let (threads, memory) = (threads(), memory());
    let ending = Instant::now();
    end(&things, tenth)?;
    for wait in all {
        runtime.block_on(wait)??;
    }
    ensure!(things.queues.iter().all(Queue::is_empty), "a message is left");
    Ok(Held {
        waits,
        threads_more: threads.saturating_sub(before.0),
        memory_more: memory.saturating_sub(before.1),
        begun,
        ended: ending.elapsed(),
    })
}

fn things(ctx: &Context, tenth: usize) -> anyhow::Result<Things> {
    let queues = (0..MESSAGES * tenth).step_by(SHARE).map(|_| ctx.queue(SHARE));
    let events = (0..EVENTS * tenth).step_by(SHARE).map(|_| ctx.event());
    let forever = ctx.event()?;
    let process = |_| -> Result<Process> {
        let started = ctx.event()?;
        let p = ctx.process("blocks").args((&started, &forever)).daemon(true).start()?;
        started.wait()?;
        Ok(p)
    };
    Ok(Things {
        queues: queues.collect::<Result<_>>()?,
        events: events.collect::<Result<_>>()?,
        semaphore: ctx.semaphore(0)?,
        go: ctx.event()?,
        processes: (0..PROCESSES).map(process).collect::<Result<_>>()?,
    })
}

/// Ends all of them.
fn end(things: &Things, tenth: usize) -> Result<()> {
    for n in 0..MESSAGES * tenth {
        things.queues[n / SHARE].put(&(n as u64))?;
    }
    things.events.iter().for_each(Event::set);
    things.semaphore.release()?;
    things.go.set();
    things.processes.iter().try_for_each(Process::kill)
}

/// Polls a wait once, and drops it.
pub async fn dropped_after_a_poll(wait: impl Future) -> bool {
    let mut wait = pin!(wait);
    poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx).is_pending())).await
}
