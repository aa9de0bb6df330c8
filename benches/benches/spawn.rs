//! Starts a process that does nothing and waits for its end.

use procbox_benches::{contender, contexts, run, timed};
use std::process::{Command, Stdio};

fn main() -> anyhow::Result<()> {
    // Where procspawn's children begin; anything before this would run in them too.
    procspawn::init();
    run(|criterion| {
        let mut group = criterion.benchmark_group("spawn");
        for (name, ctx) in contexts()? {
            contender(&mut group, name, |n| {
                timed(n, || {
                    let status = ctx.worker("nothing").start()?.join()?;
                    anyhow::ensure!(status.success(), "the worker {status}");
                    Ok(())
                })
            });
        }
        contender(&mut group, "std::process", |n| {
            timed(n, || {
                let status = Command::new("/bin/true").stdin(Stdio::null()).status()?;
                anyhow::ensure!(status.success(), "/bin/true: {status}");
                Ok(())
            })
        });
        contender(&mut group, "procspawn", |n| {
            timed(n, || Ok(procspawn::spawn((), |()| ()).join()?))
        });
        group.finish();
        Ok(())
    })
}
