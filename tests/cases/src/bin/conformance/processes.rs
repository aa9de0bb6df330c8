//! Workers that begin and end in every way.

use crate::crash;
use anyhow::bail;
use procbox_cases::Order;
use procbox_guest::Identity;
use procbox_guest::prelude::*;
use serde::{Deserialize, Serialize};

#[worker]
pub(crate) fn nothing() {}

#[worker]
fn fails() -> anyhow::Result<()> {
    bail!("as it should")
}

#[worker]
fn panics() {
    panic!("as it should")
}

#[worker]
fn exits(code: i32) {
    procbox_guest::exit(code)
}

#[worker]
fn aborts() {
    std::process::abort()
}

#[worker]
fn accesses_out_of_bounds() {
    crash::access_out_of_bounds()
}

#[worker]
fn overflows_its_stack() {
    crash::overflow_the_stack()
}

#[worker]
fn divides_by_zero() {
    crash::divide_by_zero()
}

#[worker]
fn spins(started: Event) {
    started.set();
    crash::spin()
}

#[worker]
fn answers_an_interrupt(started: Event, out: Queue<bool>) -> Result<()> {
    procbox_guest::answer_ctrl_c()?;
    let never = procbox_guest::context()?.event()?;
    started.set();
    let ended = never.wait();
    procbox_guest::clear_interrupt();
    out.put(&(ended == Err(Error::Interrupted)))
}

#[worker]
pub(crate) fn blocks(started: Event, go: Event) -> Result<()> {
    started.set();
    go.wait().map(drop)
}

#[worker]
fn says_so_and_blocks(started: Semaphore, forever: Event) -> Result<()> {
    started.release()?;
    forever.wait().map(drop)
}

#[worker]
fn sets(event: Event) {
    event.set();
}

#[worker]
fn puts_when_told(go: Event, out: Queue<u32>) -> Result<()> {
    go.wait()?;
    out.put(&7)
}

#[worker]
fn takes_a_number(n: u32) -> anyhow::Result<()> {
    if n != 7 {
        bail!("{n}")
    }
    Ok(())
}

#[worker]
fn says_who(out: Queue<Identity>) -> Result<()> {
    out.put(&procbox_guest::context()?.current_process())
}

#[worker]
fn says_its_backend(out: Queue<String>) -> Result<()> {
    out.put(&procbox_guest::context()?.backend().to_string())
}

/// The twin of `procbox_cases::Clock`.
#[derive(Serialize, Deserialize)]
struct Clock {
    ticks: u32,
    out: Queue<u32>,
}

#[worker]
impl Clock {
    fn run(self) -> Result<()> {
        (0..self.ticks).try_for_each(|tick| self.out.put(&tick))
    }
}

#[worker]
fn takes_order(mut order: Order) -> anyhow::Result<()> {
    let Some(reply) = order.reply.take() else { bail!("nowhere to reply to") };
    order.id *= 2;
    let lock = order.lock.clone();
    let _guard = lock.lock()?;
    Ok(reply.put(&order)?)
}

#[worker]
fn tries_to_start(out: Queue<String>) -> Result<()> {
    let p = procbox_guest::context()?.process("nothing").start();
    let p = p.and_then(|p| p.join()).map(drop);
    out.put(&format!("{p:?}"))
}

/// Starts itself `n` times over, each the child of the one before, and gathers their numbers.
#[worker]
fn starts_down_to(n: u32, mut pids: Vec<u32>, out: Queue<Vec<u32>>) -> anyhow::Result<()> {
    let ctx = procbox_guest::context()?;
    pids.push(ctx.current_process().pid);
    if n == 0 {
        return Ok(out.put(&pids)?);
    }
    let child = ctx.process(self::starts_down_to).args((n - 1, pids, &out)).start()?;
    match child.join()?.success() {
        true => Ok(()),
        false => bail!("the child failed"),
    }
}

#[worker]
fn holds_an_end(pipe: Pipe<Bytes>, started: Event, forever: Event) -> Result<()> {
    started.set();
    forever.wait()?;
    drop(pipe);
    Ok(())
}

#[worker]
fn blocks_beside_a_holder(pipe: Pipe<Bytes>, started: Event, forever: Event) -> Result<()> {
    let ctx = procbox_guest::context()?;
    ctx.process(holds_an_end).args((&pipe, &started, &forever)).start()?;
    drop(pipe);
    forever.wait().map(drop)
}

/// Receives until the other end is gone; as a daemon it holds its own end for as long as it lives.
#[worker]
fn listens(pipe: Pipe<u32>, started: Event) {
    started.set();
    while pipe.recv().is_ok() {}
}

#[worker]
fn leaves_a_daemon(pipe: Pipe<u32>) -> Result<()> {
    let ctx = procbox_guest::context()?;
    let started = ctx.event()?;
    ctx.process(listens).args((&pipe, &started)).daemon(true).start()?;
    started.wait().map(drop)
}

#[worker]
fn blocks_beside_a_daemon(pipe: Pipe<u32>, started: Event, forever: Event) -> Result<()> {
    let ctx = procbox_guest::context()?;
    ctx.process(listens).args((&pipe, &started)).daemon(true).start()?;
    drop(pipe);
    forever.wait().map(drop)
}

#[worker]
fn leaves_a_child(go: Event, out: Queue<u32>) -> Result<()> {
    procbox_guest::context()?.process(puts_when_told).args((&go, &out)).start().map(drop)
}

/// The child ends a little later than this worker does.
#[worker]
fn leaves_a_child_and_uses_a_pool(go: Event, out: Queue<u32>) -> Result<()> {
    let ctx = procbox_guest::context()?;
    ctx.process(puts_when_told_and_late).args((&go, &out)).start()?;
    let pool = ctx.pool(super::tasks::double).workers(1).build()?;
    let result = pool.apply_async((4u64,))?;
    result.get()?;
    go.set();
    Ok(())
}

#[worker]
fn puts_when_told_and_late(go: Event, out: Queue<u32>) -> Result<()> {
    go.wait()?;
    std::thread::sleep(std::time::Duration::from_millis(5));
    out.put(&7)
}

#[worker]
fn blocks_beside_a_child(started: Event, go: Event, out: Queue<u32>) -> Result<()> {
    let ctx = procbox_guest::context()?;
    ctx.process(says_and_puts_when_told).args((&started, &go, &out)).start()?;
    ctx.event()?.wait().map(drop)
}

#[worker]
fn says_and_puts_when_told(started: Event, go: Event, out: Queue<u32>) -> Result<()> {
    started.set();
    go.wait()?;
    out.put(&7)
}
