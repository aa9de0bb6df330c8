//! Pipes.

use crate::support::*;
use anyhow::ensure;
use procbox_guest::{Bytes, Context, Error, Pipe, Process, Result};
use std::time::Duration;

fn echo(ctx: &Context) -> Result<(Pipe<Bytes>, Process)> {
    let (here, there) = ctx.pipe()?;
    let p = ctx.process("echoes").args((&there,)).daemon(true).start()?;
    Ok((here, p))
}

pub(crate) fn a_duplex_pipe_goes_both_ways(ctx: &Context) -> Verdict {
    let (a, b) = ctx.pipe::<u32>()?;
    a.send(&1)?;
    b.send(&2)?;
    same((a.recv()?, b.recv()?), (2, 1))?;
    refused(a.try_recv(), Error::TimedOut)?;
    let (here, p) = echo(ctx)?;
    here.send(&Bytes(b"ping".to_vec()))?;
    same(here.recv()?, Bytes(b"ping".to_vec()))?;
    drop(here);
    same(exitcode(&p)?, 0)
}

pub(crate) fn a_simplex_pipe_goes_one_way(ctx: &Context) -> Verdict {
    let (receiver, sender) = ctx.simplex_pipe::<u32>()?;
    let p = ctx.process("sends_numbers").args((&sender, 1000u32)).start()?;
    drop(sender);
    (0..1000).try_for_each(|i| same(receiver.recv()?, i))?;
    refused(receiver.recv(), Error::Closed)?;
    same(exitcode(&p)?, 0)
}

pub(crate) fn a_pipe_keeps_message_boundaries(ctx: &Context) -> Verdict {
    let (here, p) = echo(ctx)?;
    let sizes = [0usize, 1, 2, 1000, 0, 65_535, 65_536, 1, 1 << 20, 3];
    sizes.iter().try_for_each(|size| here.send(&Bytes(vec![*size as u8; *size])))?;
    for size in sizes {
        same(here.recv()?, Bytes(vec![size as u8; size]))?;
    }
    drop(here);
    same(exitcode(&p)?, 0)
}

pub(crate) fn poll_says_whether_recv_would_block(ctx: &Context) -> Verdict {
    let (a, b) = ctx.pipe::<u32>()?;
    ensure!(!a.poll(Duration::ZERO)?);
    same(runs_out(|t| a.poll(t))?, Ok(false))?;
    b.send(&1)?;
    ensure!(a.poll(Duration::ZERO)? && a.poll(Duration::MAX)?);
    same(a.recv()?, 1)?;
    ensure!(!a.poll(Duration::ZERO)?);
    drop(b);
    ensure!(a.poll(Duration::ZERO)? && a.poll(SHORT)?);
    refused(a.recv(), Error::Closed)
}

pub(crate) fn a_wait_for_a_message_runs_out(ctx: &Context) -> Verdict {
    let (a, b) = ctx.pipe::<u32>()?;
    refused(a.try_recv(), Error::TimedOut)?;
    refused(a.recv_timeout(Duration::ZERO), Error::TimedOut)?;
    refused(runs_out(|t| a.recv_timeout(t))?, Error::TimedOut)?;
    b.send_timeout(&1, Duration::MAX)?;
    same(a.recv_timeout(Duration::MAX)?, 1)?;
    b.try_send(&2)?;
    same(a.try_recv()?, 2)
}

pub(crate) fn an_end_that_was_dropped_is_gone(ctx: &Context) -> Verdict {
    let (a, b) = ctx.pipe::<u32>()?;
    let other = b.clone();
    b.send(&1)?;
    b.send(&2)?;
    drop(b);
    same((a.recv()?, a.recv()?), (1, 2))?;
    refused(a.try_recv(), Error::TimedOut)?;
    other.send(&3)?;
    drop(other);
    // What was sent is received, and then it is over.
    same(a.recv()?, 3)?;
    refused(a.recv(), Error::Closed)?;
    refused(a.try_recv(), Error::Closed)?;
    refused(a.send(&4), Error::Closed)?;
    refused(a.try_send(&4), Error::Closed)
}

pub(crate) fn an_end_whose_worker_ended_is_gone(ctx: &Context) -> Verdict {
    let (here, there) = ctx.pipe::<u32>()?;
    let p = ctx.process("sends_one_and_leaves").args((&there, 7u32)).start()?;
    drop(there);
    same(here.recv()?, 7)?;
    refused(here.recv(), Error::Closed)?;
    refused(here.send(&1), Error::Closed)?;
    same(exitcode(&p)?, 0)
}

pub(crate) fn an_end_whose_worker_was_killed_is_gone(ctx: &Context) -> Verdict {
    let (here, p) = echo(ctx)?;
    here.send(&Bytes(vec![1]))?;
    here.recv()?;
    p.kill()?;
    // Waits for it, rather than for the end of the process.
    refused(here.recv(), Error::Closed)?;
    refused(here.send(&Bytes(vec![1])), Error::Closed)?;
    same(exitcode(&p)?, -9)
}

pub(crate) fn a_kill_wakes_who_waits_at_the_other_end(ctx: &Context) -> Verdict {
    let (a, b) = ctx.pipe::<Bytes>()?;
    let (about, out) = (ctx.event()?, ctx.queue::<String>(1)?);
    let killed = ctx.process("echoes").args((&a,)).daemon(true).start()?;
    let waiter = ctx.process("tells_recv").args((&b, &about, &out)).daemon(true).start()?;
    drop((a, b));
    about_to_block(&about)?;
    same(out.len(), 0)?;
    killed.kill()?;
    same(out.get()?, "Err(Closed)")?;
    same(exitcode(&waiter)?, 0)
}

pub(crate) fn a_kill_wakes_who_cannot_send_to_the_other_end(ctx: &Context) -> Verdict {
    let (a, b) = ctx.pipe::<Bytes>()?;
    let (about, out) = (ctx.event()?, ctx.queue::<String>(1)?);
    let (held, forever) = (ctx.event()?, ctx.event()?);
    let killed = ctx.process("holds_an_end").args((&a, &held, &forever)).daemon(true).start()?;
    held.wait()?;
    let waiter =
        ctx.process("sends_until_it_fails").args((&b, &about, &out)).daemon(true).start()?;
    drop((a, b));
    about_to_block(&about)?;
    killed.kill()?;
    same(out.get()?, "Err(Closed)")?;
    same(exitcode(&waiter)?, 0)
}

pub(crate) fn an_end_travels_in_a_message(ctx: &Context) -> Verdict {
    let (here, there) = ctx.pipe::<Bytes>()?;
    let inbox = ctx.queue::<Pipe<Bytes>>(1)?;
    inbox.put(&there)?;
    drop(there);
    // It is in the queue: not gone.
    refused(here.try_recv(), Error::TimedOut)?;
    let p = ctx.process("echoes_at_an_end_from").args((&inbox,)).daemon(true).start()?;
    here.send(&Bytes(vec![5]))?;
    same(here.recv()?, Bytes(vec![5]))?;
    drop(here);
    same(exitcode(&p)?, 0)
}

pub(crate) fn an_end_in_a_message_to_nobody_is_gone(ctx: &Context) -> Verdict {
    let (here, there) = ctx.pipe::<u32>()?;
    let (a, b) = ctx.pipe::<Pipe<u32>>()?;
    a.send(&there)?;
    drop(there);
    refused(here.try_recv(), Error::TimedOut)?;
    drop(b);
    refused(here.recv(), Error::Closed)?;
    drop(a);
    Ok(())
}
