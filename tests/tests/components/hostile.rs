//! Components that try something: each fails alone, named, while others go on.

use crate::{builder, workers};
use anyhow::ensure;
use procbox::sandbox::TreeLimits;
use procbox::{Bytes, Error, ExitStatus, Limit, Pool};
use procbox_tests::watched_in;
use std::time::Duration;

/// How the process of a worker ends that is asked for this.
fn ends(worker: &str, builder: procbox::sandbox::SandboxBuilder) -> anyhow::Result<ExitStatus> {
    let ctx = workers(builder)?;
    let args = (Bytes::from("x"),);
    Ok(ctx.process(worker).args(args).timeout(Duration::from_secs(50)).start()?.join()?)
}

#[test]
fn each_breaks_its_limit_alone() -> anyhow::Result<()> {
    let short = Duration::from_millis(200);
    let ctx = workers(builder())?;
    let honest: Pool<(Bytes,), Bytes> = ctx.pool("upper").workers(1).build()?;
    let attack: Pool<(Bytes,), Bytes> = ctx.pool("loop").workers(2).task_timeout(short).build()?;
    let tasks = (0..4).map(|_| attack.apply_async((Bytes::default(),)));
    let attacks = tasks.collect::<procbox::Result<Vec<_>>>()?;
    for n in 0..200 {
        ensure!(honest.apply((Bytes::from(format!("t{n}")),))? == Bytes::from(format!("T{n}")));
    }
    for attack in attacks {
        match attack.get() {
            Err(Error::WorkerDied { status, .. }) => {
                ensure!(status.limit() == Some(Limit::WallClock), "{status}");
            }
            other => anyhow::bail!("{other:?}"),
        }
    }
    let flood = ends("flood", builder().tree(TreeLimits::new().output(10_000)))?;
    ensure!(flood.limit() == Some(Limit::Output), "{flood}");
    let fuel = ends("loop", builder().fuel(50_000_000))?;
    ensure!(fuel.limit() == Some(Limit::Fuel), "{fuel}");
    let bomb = ends("bomb", builder())?;
    ensure!(bomb.signal().is_some(), "{bomb}");
    Ok(())
}

#[test]
fn handles_without_an_end_are_refused_and_come_back() {
    watched_in(workers(builder()), |ctx| {
        let pool: Pool<(Bytes,), Bytes> = ctx.pool("many").workers(1).build()?;
        for _ in 0..3 {
            ensure!(pool.apply((Bytes::default(),))? == "exhausted".into());
        }
        Ok(())
    });
}
