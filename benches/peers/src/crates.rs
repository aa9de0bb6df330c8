//! Other crates, and the standard library.

use crossbeam::channel;
use ipc_channel::ipc;
use procbox_benches::{Case, QUEUED, SMALL, timed};
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

const MESSAGE: [u8; SMALL] = [7; SMALL];

pub(super) fn cases() -> Vec<Case> {
    let case = |group, contender, run: fn(u64) -> anyhow::Result<Duration>| Case {
        group,
        contender,
        ops: None,
        run: Box::new(run),
    };
    vec![
        case("spawn", "std::process", spawn),
        case("spawn", "procspawn", procspawn_spawn),
        case("lock/uncontended", "std::sync::Mutex", mutex),
        case("queue/64B/1p1c", "crossbeam-channel", crossbeam_queue),
        case("queue/64B/1p1c", "ipc-channel", ipc_queue),
        case("pipe/ping-pong", "ipc-channel", ipc_ping_pong),
        case("pool/empty", "procspawn", procspawn_pool),
    ]
}

fn spawn(n: u64) -> anyhow::Result<Duration> {
    timed(n, || {
        let status = Command::new("/bin/true").stdin(Stdio::null()).status()?;
        anyhow::ensure!(status.success(), "/bin/true failed");
        Ok(())
    })
}

fn procspawn_spawn(n: u64) -> anyhow::Result<Duration> {
    timed(n, || Ok(procspawn::spawn((), |()| ()).join()?))
}

/// With as many processes as ours has.
fn procspawn_pool(n: u64) -> anyhow::Result<Duration> {
    let pool = procspawn::Pool::new(std::thread::available_parallelism()?.get())?;
    pool.spawn(1u64, |n| n).join()?;
    let began = Instant::now();
    let tasks: Vec<_> = (0..n).map(|n| pool.spawn(n, |n| n)).collect();
    tasks.into_iter().try_for_each(|task| task.join().map(drop))?;
    let took = began.elapsed();
    pool.shutdown();
    Ok(took)
}

/// Between threads: what a lock costs that nobody has to get back from the dead.
fn mutex(n: u64) -> anyhow::Result<Duration> {
    let mutex = std::sync::Mutex::new(());
    timed(n, || {
        drop(black_box(&mutex).lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    })
}

/// Between two threads: what a queue costs that need not leave the process.
fn crossbeam_queue(n: u64) -> anyhow::Result<Duration> {
    let (sender, receiver) = channel::bounded(QUEUED);
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
