//! What else one could use.

use super::{Case, timed};
use crossbeam::channel;
use ipc_channel::ipc;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const MESSAGE: [u8; 64] = [7; 64];

pub(super) fn cases() -> Vec<Case> {
    let case = |group, contender, run: fn(u64) -> anyhow::Result<Duration>| Case {
        group,
        contender,
        ops: None,
        run: Box::new(run),
    };
    vec![
        case("spawn", "std::process", spawn),
        case("queue/64B/1p1c", "crossbeam-channel", crossbeam_queue),
        case("queue/64B/1p1c", "ipc-channel", ipc_queue),
        case("pipe/ping-pong", "ipc-channel", ipc_ping_pong),
    ]
}

fn spawn(n: u64) -> anyhow::Result<Duration> {
    timed(n, || {
        let status = Command::new("/bin/true").stdin(Stdio::null()).status()?;
        anyhow::ensure!(status.success(), "/bin/true failed");
        Ok(())
    })
}

/// Between two threads: what a queue costs that need not leave the process.
fn crossbeam_queue(n: u64) -> anyhow::Result<Duration> {
    let (sender, receiver) = channel::bounded(1024);
    let producer = std::thread::spawn(move || (0..n).try_for_each(|_| sender.send(MESSAGE)));
    let began = Instant::now();
    for _ in 0..n {
        receiver.recv()?;
    }
    let took = began.elapsed();
    joined(producer.join())??;
    Ok(took)
}

fn ipc_queue(n: u64) -> anyhow::Result<Duration> {
    let (sender, receiver) = ipc::bytes_channel()?;
    let producer = std::thread::spawn(move || (0..n).try_for_each(|_| sender.send(&MESSAGE)));
    let began = Instant::now();
    for _ in 0..n {
        received(receiver.recv())?;
    }
    let took = began.elapsed();
    joined(producer.join())??;
    Ok(took)
}

fn ipc_ping_pong(n: u64) -> anyhow::Result<Duration> {
    let (there, there_end) = ipc::bytes_channel()?;
    let (back, back_end) = ipc::bytes_channel()?;
    let echo = std::thread::spawn(move || -> anyhow::Result<()> {
        for _ in 0..n {
            back.send(&received(there_end.recv())?)?;
        }
        Ok(())
    });
    let began = Instant::now();
    for _ in 0..n {
        there.send(&MESSAGE[..8])?;
        received(back_end.recv())?;
    }
    let took = began.elapsed();
    joined(echo.join())??;
    Ok(took)
}

fn received<T, E: std::fmt::Debug>(result: Result<T, E>) -> anyhow::Result<T> {
    result.map_err(|e| anyhow::anyhow!("ipc-channel: {e:?}"))
}

fn joined<T>(result: std::thread::Result<T>) -> anyhow::Result<T> {
    result.map_err(|_| anyhow::anyhow!("the peer's thread panicked"))
}
