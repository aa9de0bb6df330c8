//! Processes that are killed at random all the while, and philosophers.

use super::tasks::double;
use procbox_cases::walked::KEY;
use procbox_guest::prelude::*;
use std::time::Duration;

/// Puts numbered messages, now and then a large one.
#[worker]
fn produces_numbered(out: Queue<(u64, u64, Bytes)>, who: u64) -> Result<()> {
    (0..).try_for_each(|number| out.put(&(who, number, procbox_cases::storm::payload(who, number))))
}

/// Holds a lock and a permit, and sends handles about.
#[worker]
fn holds_and_carries(lock: Lock, permits: Semaphore, carry: Queue<Event>) -> Result<()> {
    let ctx = procbox_guest::context()?;
    loop {
        let guard = lock.lock()?;
        let permit = permits.permit()?;
        drop(guard);
        // Full or empty: others are quicker.
        let _ = carry.try_put(&ctx.event()?);
        drop(permit);
        let _ = carry.try_get().map(|event| event.set());
    }
}

/// Starts children all the while, and looks at what comes of them.
#[worker]
fn breeds(done: Queue<u64>) -> anyhow::Result<()> {
    let ctx = procbox_guest::context()?;
    let answers = ctx.queue::<u64>(1)?;
    for number in 0.. {
        let p = ctx.process(answers_thrice).args((&answers, number)).start()?;
        anyhow::ensure!(p.join()?.success() && answers.try_get() == Ok(3 * number), "{number}");
        // Full: it was told often enough.
        let _ = done.try_put(&number);
    }
    Ok(())
}

#[worker]
fn answers_thrice(to: Queue<u64>, number: u64) -> Result<()> {
    to.put(&(3 * number))
}

/// Gives tasks to pools all the while.
#[worker]
fn pools_for_ever(done: Queue<u64>) -> anyhow::Result<()> {
    let ctx = procbox_guest::context()?;
    for number in 0.. {
        let pool = ctx.pool(double).workers(2).chunk_size(1);
        let pool = if number % 2 == 0 { pool } else { pool.fresh_per_task() }.build()?;
        anyhow::ensure!(pool.map(0..4u64)? == [0, 2, 4, 6], "{number}");
        let _ = done.try_put(&number);
    }
    Ok(())
}

/// Listens under a name of its own, and has a child that talks to it.
#[worker]
fn meets_its_child(name: String, done: Queue<u64>) -> anyhow::Result<()> {
    let ctx = procbox_guest::context()?;
    for number in 0.. {
        let listener = ctx.listen(&*name, KEY)?;
        let child = ctx.process(says_once).args((&name, number)).daemon(true).start()?;
        anyhow::ensure!(listener.accept::<u64>()?.recv()? == number, "{number}");
        anyhow::ensure!(child.join()?.success(), "{number}");
        let _ = done.try_put(&number);
    }
    Ok(())
}

#[worker]
fn says_once(name: String, number: u64) -> Result<()> {
    procbox_guest::context()?.connect::<u64>(name, KEY)?.send(&number)
}

/// Every so many dinners, one has something brought.
const COURSES: u64 = 25;

/// Takes two forks for each dinner, the lower one first, until it is over. Says how many it were.
#[worker]
fn dines_in_order(
    forks: (Lock, Lock),
    me: u64,
    kitchen: (Queue<u64>, Queue<u64>),
    over: Event,
    dinners: Queue<u64>,
) -> Result<()> {
    let mut eaten = 0;
    while !over.is_set() {
        let _first = forks.0.lock()?;
        let _second = forks.1.lock()?;
        if eaten % COURSES == me {
            kitchen.0.put(&me)?;
            kitchen.1.get()?;
        }
        eaten += 1;
        std::thread::yield_now();
    }
    dinners.put(&eaten)
}

/// Brings what is ordered, and takes longer than it takes to be suspected.
#[worker]
fn cooks(orders: Queue<u64>, dishes: Vec<Queue<u64>>, millis: u64) -> Result<()> {
    loop {
        match orders.get() {
            Ok(who) => {
                std::thread::sleep(Duration::from_millis(millis));
                dishes[who as usize].put(&who)?;
            }
            Err(Error::Closed) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}
