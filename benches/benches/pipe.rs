//! A small message there and another back.

use ipc_channel::ipc::{self, IpcBytesReceiver};
use procbox::{Bytes, Context, Queue};
use procbox_benches::{contender, contexts, run};
use std::time::{Duration, Instant};

fn main() -> anyhow::Result<()> {
    run(|criterion| {
        let mut group = criterion.benchmark_group("pipe/ping-pong");
        for (name, ctx) in contexts()? {
            contender(&mut group, name, |n| procbox(&ctx, n));
        }
        contender(&mut group, "ipc-channel", ipc);
        group.finish();
        Ok(())
    })
}

/// Between two processes, timed by one of them.
fn procbox(ctx: &Context, n: u64) -> anyhow::Result<Duration> {
    let (a, b) = ctx.pipe::<Bytes>()?;
    let took: Queue<u64> = ctx.queue(1)?;
    let echo = ctx.worker("echo").args((&b,)).start()?;
    let ping = ctx.worker("ping").args((&a, n, &took)).start()?;
    // The echo ends when the last other end is gone.
    drop((a, b));
    let nanos = took.get()?;
    ping.join()?;
    echo.join()?;
    Ok(Duration::from_nanos(nanos))
}

/// Between two threads.
fn ipc(n: u64) -> anyhow::Result<Duration> {
    let receive =
        |from: &IpcBytesReceiver| from.recv().map_err(|e| anyhow::anyhow!("ipc-channel: {e:?}"));
    let (there, there_end) = ipc::bytes_channel()?;
    let (back, back_end) = ipc::bytes_channel()?;
    let echo = std::thread::spawn(move || -> anyhow::Result<()> {
        (0..n).try_for_each(|_| Ok(back.send(&receive(&there_end)?)?))
    });
    let began = Instant::now();
    for _ in 0..n {
        there.send(&[7u8; 8])?;
        receive(&back_end)?;
    }
    let took = began.elapsed();
    echo.join().map_err(|_| anyhow::anyhow!("the echo panicked"))??;
    Ok(took)
}
