//! The crate `ipc-channel`, between two processes: messages by sockets, large ones in shared memory made
//! for each.

use crate::child::Child;
use ipc_channel::ipc;
use procbox_benches::{Case, LARGE, MIDDLE, SMALL};
use std::hint::black_box;
use std::time::{Duration, Instant};

pub(super) fn cases() -> Vec<Case> {
    let case = |group, run: fn(u64) -> anyhow::Result<Duration>| Case {
        group,
        contender: "ipc-channel",
        ops: None,
        run: Box::new(run),
    };
    vec![
        case("queue/64B/1p1c", |n| queue(SMALL, n)),
        case("queue/64KiB/1p1c", |n| queue(MIDDLE, n)),
        case("queue/1MiB/1p1c", |n| queue(LARGE, n)),
        case("pipe/ping-pong", ping_pong),
    ]
}

fn queue(size: usize, n: u64) -> anyhow::Result<Duration> {
    let (sender, receiver) = ipc::bytes_channel()?;
    let message = vec![7; size];
    let producer = Child::start(move || (0..=n).try_for_each(|_| Ok(sender.send(&message)?)))?;
    let get = || -> anyhow::Result<()> {
        let message = received(receiver.recv())?;
        black_box((message.first().copied(), message.last().copied()));
        Ok(())
    };
    get()?;
    let began = Instant::now();
    (0..n).try_for_each(|_| get())?;
    let took = began.elapsed();
    producer.join()?;
    Ok(took)
}

fn ping_pong(n: u64) -> anyhow::Result<Duration> {
    let (there, there_end) = ipc::bytes_channel()?;
    let (back, back_end) = ipc::bytes_channel()?;
    let echo = Child::start(move || {
        (0..n).try_for_each(|_| Ok(back.send(&received(there_end.recv())?)?))
    })?;
    let began = Instant::now();
    for _ in 0..n {
        there.send(&[7; 8])?;
        received(back_end.recv())?;
    }
    let took = began.elapsed();
    echo.join()?;
    Ok(took)
}

fn received<T, E: std::fmt::Debug>(result: Result<T, E>) -> anyhow::Result<T> {
    result.map_err(|e| anyhow::anyhow!("ipc-channel: {e:?}"))
}
