//! Workers that wait for one another.

use procbox_guest::RwLock;
use procbox_guest::prelude::*;

/// Takes two locks, the second when another has its first too.
#[worker]
fn takes_both(
    first: Lock,
    second: Lock,
    mine: Event,
    theirs: Event,
    out: Queue<String>,
) -> Result<()> {
    let _held = first.lock()?;
    mine.set();
    theirs.wait()?;
    let both = second.lock().map(drop);
    out.put(&format!("{both:?}"))
}

/// Joins two that take two locks crosswise.
#[worker]
fn waits_for_a_circle(out: Queue<String>) -> Result<()> {
    let ctx = procbox_guest::context()?;
    let (locks, held) = ([ctx.lock()?, ctx.lock()?], [ctx.event()?, ctx.event()?]);
    let start = |at: usize| {
        let args = (&locks[at], &locks[1 - at], &held[at], &held[1 - at], &out);
        ctx.process(takes_both).args(args).start()
    };
    let both = [start(0)?, start(1)?];
    both.iter().try_for_each(|p| p.join().map(drop))
}

#[worker]
fn takes_both_permits(
    first: Semaphore,
    second: Semaphore,
    mine: Event,
    theirs: Event,
    out: Queue<String>,
) -> Result<()> {
    let _held = first.permit()?;
    mine.set();
    theirs.wait()?;
    let both = second.acquire();
    out.put(&format!("{both:?}"))
}

#[worker]
fn writes_both(
    first: RwLock,
    second: RwLock,
    mine: Event,
    theirs: Event,
    out: Queue<String>,
) -> Result<()> {
    let _held = first.write()?;
    mine.set();
    theirs.wait()?;
    let both = second.write().map(drop);
    out.put(&format!("{both:?}"))
}

#[worker]
fn dines(first: Lock, second: Lock, times: u32) -> Result<()> {
    for _ in 0..times {
        let _first = first.lock()?;
        let _second = second.lock()?;
        std::thread::yield_now();
    }
    Ok(())
}

#[worker]
fn tells_lock(lock: Lock, out: Queue<String>) -> Result<()> {
    let locked = lock.lock().map(drop);
    out.put(&format!("{locked:?}"))
}

#[worker]
fn says_what_it_got(q: Queue<u32>, out: Queue<String>) -> Result<()> {
    let got = q.get();
    out.put(&format!("{got:?}"))
}

#[worker]
fn joins_whom_it_keeps_waiting(out: Queue<String>) -> Result<()> {
    let ctx = procbox_guest::context()?;
    let q = ctx.queue::<u32>(1)?;
    let p = ctx.process(says_what_it_got).args((&q, &out)).start()?;
    let joined = p.join().map(drop);
    out.put(&format!("{joined:?}"))
}

#[worker]
fn gets_and_puts(from: Queue<u32>, to: Queue<u32>, out: Queue<String>) -> Result<()> {
    let got = from.get();
    out.put(&format!("{got:?}"))?;
    to.put(&got.unwrap_or(0))
}

#[worker]
fn waits_and_sets(mine: Event, next: Event, out: Queue<String>) -> Result<()> {
    let waited = mine.wait();
    out.put(&format!("{waited:?}"))?;
    next.set();
    Ok(())
}

#[worker]
fn gets_under_a_lock(lock: Lock, q: Queue<u32>, held: Event, out: Queue<String>) -> Result<()> {
    let _held = lock.lock()?;
    held.set();
    let got = q.get();
    out.put(&format!("{got:?}"))
}

#[worker]
fn puts_under_a_lock(lock: Lock, q: Queue<u32>, held: Event, out: Queue<String>) -> Result<()> {
    held.wait()?;
    let locked = lock.lock().map(drop);
    out.put(&format!("{locked:?}"))?;
    q.put(&1)
}

/// Puts a request that carries the queue for the answer, and waits for that.
#[worker]
fn asks(theirs: Queue<Queue<u32>>, mine: Queue<Queue<u32>>, out: Queue<String>) -> Result<()> {
    let reply = procbox_guest::context()?.queue::<u32>(1)?;
    theirs.put(&reply)?;
    let got = reply.get();
    drop(mine);
    out.put(&format!("{got:?}"))
}

#[worker]
fn asks_by_pipe(pipe: Pipe<Queue<u32>>, out: Queue<String>) -> Result<()> {
    let reply = procbox_guest::context()?.queue::<u32>(1)?;
    pipe.send(&reply)?;
    let got = reply.get();
    out.put(&format!("{got:?}"))
}
