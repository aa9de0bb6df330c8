//! A producer and a consumer: the time of one small message among many.

use crossbeam::channel;
use ipc_channel::ipc;
use procbox::{Bytes, Context, Queue};
use procbox_benches::{QUEUED, SMALL, contender, contexts, run};
use std::time::{Duration, Instant};

fn main() -> anyhow::Result<()> {
    run(|criterion| {
        let mut group = criterion.benchmark_group("queue/64B/1p1c");
        for (name, ctx) in contexts()? {
            contender(&mut group, name, |n| procbox(&ctx, n));
        }
        contender(&mut group, "crossbeam-channel", crossbeam);
        contender(&mut group, "ipc-channel", ipc);
        group.finish();
        Ok(())
    })
}

/// Between two processes.
fn procbox(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    let queue: Queue<Bytes> = ctx.queue(QUEUED)?;
    let consumer = ctx.worker("get_many").args((&queue, n)).start()?;
    let producer = ctx.worker("put_many").args((&queue, n, SMALL)).start()?;
    let began = Instant::now();
    producer.join()?;
    consumer.join()?;
    Ok(began.elapsed())
}

/// Between two threads: what a queue costs that need not leave the process.
fn crossbeam(n: u64) -> anyhow::Result<Duration> {
    let (sender, receiver) = channel::bounded(QUEUED);
    between_threads(
        n,
        move || Ok(sender.send([7u8; SMALL])?),
        || {
            receiver.recv()?;
            Ok(())
        },
    )
}

/// Between two threads too: a process more would not make it faster.
fn ipc(n: u64) -> anyhow::Result<Duration> {
    let (sender, receiver) = ipc::bytes_channel()?;
    between_threads(
        n,
        move || Ok(sender.send(&[7u8; SMALL])?),
        || {
            receiver.recv().map_err(|e| anyhow::anyhow!("ipc-channel: {e:?}"))?;
            Ok(())
        },
    )
}

fn between_threads(
    n: u64,
    mut send: impl FnMut() -> anyhow::Result<()> + Send + 'static,
    mut receive: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    let producer = std::thread::spawn(move || (0..n).try_for_each(|_| send()));
    let began = Instant::now();
    (0..n).try_for_each(|_| receive())?;
    let took = began.elapsed();
    producer.join().map_err(|_| anyhow::anyhow!("the producer panicked"))??;
    Ok(took)
}
