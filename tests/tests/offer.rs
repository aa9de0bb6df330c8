//! What a program that embeds both backends lets others see. One test: a process offers once.

use anyhow::{Context as _, ensure};
use procbox::watch::{Snapshot, offer, running};
use procbox::{Context, Queue};
use procbox_tests::{Backend, PATIENCE, watched};
use std::time::Instant;

/// How this process looks from outside.
fn snapshot() -> anyhow::Result<Snapshot> {
    let me = running()?.into_iter().find(|there| there.pid() == std::process::id());
    Ok(me.context("it cannot be seen")?.snapshot()?)
}

fn its_processes_queues_and_locks_are_seen(ctx: &Context, native: bool) -> anyhow::Result<()> {
    let offer = offer()?;
    let q: Queue<u32> = ctx.queue(16)?;
    let lock = ctx.lock()?;
    q.put(&1)?;
    q.put(&2)?;
    let (held, go) = (ctx.event()?, ctx.event()?);
    let p = ctx.process("holds_lock").args((&lock, &held, &go)).name("\x1b[31mred").start()?;
    held.wait()?;
    let pid = p.pid()?;

    // It says that it holds the lock, and then it waits.
    let began = Instant::now();
    let seen = loop {
        let seen = snapshot()?;
        let it = seen.processes.iter().find(|process| process.pid == pid);
        let state = it.context("it is not there")?.state.clone();
        if state == if native { "sleeps" } else { "waits" } {
            break seen;
        }
        ensure!(began.elapsed() < PATIENCE, "it never waits: {seen:?}");
        std::thread::yield_now();
    };
    ensure!((seen.pid, seen.alive) == (std::process::id(), 1), "{seen:?}");
    let it = seen.processes.iter().find(|process| process.pid == pid).context("gone")?;
    ensure!(it.name == "\x1b[31mred" && it.cpu.is_some(), "{it:?}");
    ensure!(it.kind == if native { "native" } else { "sandbox" }, "{it:?}");
    ensure!(native || it.waits[0].0.starts_with("event "), "{it:?}");
    let states: Vec<_> = seen.things.iter().map(|it| (&it.name[..], &it.state[..])).collect();
    ensure!(states.contains(&("queue 1", "2 of 16 messages")), "{states:?}");
    ensure!(states.contains(&("lock 1", &format!("held by process {}", pid))), "{states:?}");

    go.set();
    ensure!(p.join()?.success());
    ensure!(snapshot()?.things.iter().any(|it| it.state == "free"));
    ensure!(snapshot()?.alive == 0);
    drop((q, lock));
    ensure!(snapshot()?.things.is_empty(), "what is gone is still seen");
    drop(offer);
    ensure!(snapshot().is_err(), "it still offers");
    Ok(())
}

#[test]
fn an_embedding_program_is_seen_on_both_backends() {
    for backend in [Backend::Native, Backend::Sandbox] {
        let native = backend == Backend::Native;
        watched(backend, move |ctx| its_processes_queues_and_locks_are_seen(ctx, native));
    }
}
