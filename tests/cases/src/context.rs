//! The context, waiting for several things, and waits without end.

use crate::support::*;
use anyhow::ensure;
use procbox_guest::{Backend, Context, Error, Wait, ready};
use std::time::Duration;

pub(crate) fn the_program_tells_its_workers(ctx: &Context) -> Verdict {
    let workers = ctx.workers()?;
    let find = |name: &str| workers.iter().find(|w| w.name == name);
    for name in ["nothing", "exits", "run_case", "Clock", "double"] {
        ensure!(find(name).is_some(), "{name} is not among {workers:?}");
    }
    let signature = find("exits").and_then(|w| w.signature.as_deref()).unwrap_or_default();
    ensure!(signature.starts_with("exits(code: i32)"), "{signature:?}");
    Ok(())
}

pub(crate) fn a_context_knows_where_it_is(ctx: &Context) -> Verdict {
    ensure!(ctx.cpu_count() >= 1);
    let me = ctx.current_process();
    match ctx.parent_process() {
        None => same(me.name, "MainProcess")?,
        Some((pid, name)) => ensure!(pid != 0 && pid != me.pid && !name.is_empty()),
    }
    let out = ctx.queue::<String>(1)?;
    let p = ctx.process("says_its_backend").args((&out,)).start()?;
    let theirs = match ctx.backend() {
        Backend::Native => "native",
        Backend::Local => "local",
        _ => "guest",
    };
    same(out.get()?, theirs)?;
    same(exitcode(&p)?, 0)
}

pub(crate) fn ready_says_which_queues_have_something(ctx: &Context) -> Verdict {
    let all = [ctx.queue::<u32>(1)?, ctx.queue(1)?, ctx.queue(1)?];
    let those = [all[0].waitable(), all[1].waitable(), all[2].waitable()];
    refused(ready(ctx, &those, Wait::Never), Error::TimedOut)?;
    refused(ready(ctx, &[], Wait::Never), Error::TimedOut)?;
    ensure!(matches!(ready(ctx, &[], Wait::Forever), Err(Error::Invalid(_))));
    refused(runs_out(|t| ready(ctx, &those, Wait::AtMost(t)))?, Error::TimedOut)?;
    all[1].put(&1)?;
    same(ready(ctx, &those, Wait::Forever)?, [1])?;
    all[0].put(&1)?;
    same(ready(ctx, &those, Wait::Never)?, [0, 1])?;
    all[1].get()?;
    all[2].close();
    same(ready(ctx, &those, Wait::AtMost(Duration::MAX))?, [0, 2])
}

pub(crate) fn ready_waits_for_a_process_too(ctx: &Context) -> Verdict {
    let (started, go) = (ctx.event()?, ctx.event()?);
    let p = ctx.process("blocks").args((&started, &go)).daemon(true).start()?;
    let q = ctx.queue::<u32>(1)?;
    let those = [q.waitable(), p.sentinel()?];
    refused(runs_out(|t| ready(ctx, &those, Wait::AtMost(t)))?, Error::TimedOut)?;
    go.set();
    same(ready(ctx, &those, Wait::Forever)?, [1])?;
    same(p.exitcode(), Some(0))?;
    q.put(&1)?;
    same(ready(ctx, &those, Wait::Forever)?, [0, 1])
}

pub(crate) fn ready_is_woken_by_whatever_comes_first(ctx: &Context) -> Verdict {
    let (here, there) = ctx.pipe::<u32>()?;
    let (go, out) = (ctx.event()?, ctx.queue::<u32>(1)?);
    let p = blocked(ctx)?;
    let those = [p.sentinel()?, here.waitable(), out.waitable()];
    let putter = ctx.process("puts_when_told").args((&go, &out)).start()?;
    go.set();
    same(ready(ctx, &those, Wait::Forever)?, [2])?;
    out.get()?;
    let sender = ctx.process("sends_one_and_leaves").args((&there, 7u32)).start()?;
    drop(there);
    same(ready(ctx, &those, Wait::Forever)?, [1])?;
    same(here.recv()?, 7)?;
    same(ready(ctx, &those, Wait::Forever)?, [1])?;
    refused(here.recv(), Error::Closed)?;
    p.kill()?;
    until(|| ready(ctx, &those, Wait::Forever) == Ok(vec![0, 1]));
    putter.join()?;
    sender.join()?;
    Ok(())
}

pub(crate) fn an_enormous_timeout_waits_for_ever(ctx: &Context) -> Verdict {
    // What it waits for comes later, so that the wait is a real one.
    let (go, out) = (ctx.event()?, ctx.queue::<u32>(1)?);
    let putter = || ctx.process("puts_when_told").args((&go, &out)).daemon(true).start();
    for timeout in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_nanos(u64::MAX)] {
        go.clear();
        let p = putter()?;
        let setter = ctx.process("sets").args((&go,)).start()?;
        ensure!(go.wait_timeout(timeout)?);
        out.get_timeout(timeout)?;
        p.join_timeout(timeout)?;
        setter.join_timeout(timeout)?;
    }
    let (started, forever) = (ctx.event()?, ctx.event()?);
    let p = ctx.process("blocks").args((&started, &forever)).timeout(Duration::MAX).start()?;
    started.wait()?;
    forever.set();
    same(exitcode(&p)?, 0)
}

pub(crate) fn main_is_an_entry_too(ctx: &Context) -> Verdict {
    same(exitcode(&ctx.main(["exit", "3"]).start()?)?, 3)?;
    same(exitcode(&ctx.main(["fail"]).start()?)?, 1)?;
    same(exitcode(&ctx.main(["exit", "0"]).name("m").start()?)?, 0)
}

pub(crate) fn input_is_given_and_output_is_kept(ctx: &Context) -> Verdict {
    use procbox_guest::{Input, Output};
    let p = ctx.main(["echo", "a", "b c", ""]).stdout(Output::Capture).start()?;
    same(exitcode(&p)?, 0)?;
    same(String::from_utf8_lossy(&p.output()?), "a\nb c\n\n")?;
    same(p.output()?.len(), 0)?;
    let text = "line\n".repeat(50_000);
    let p = ctx.main(["cat"]).stdin(Input::Bytes(text.clone().into())).stdout(Output::Capture);
    let p = p.start()?;
    same(exitcode(&p)?, 0)?;
    ensure!(p.output()? == text.as_bytes(), "what was printed is not what was read");
    let p = ctx.main(["cat"]).stdin(Input::Null).stdout(Output::Capture).start()?;
    same(exitcode(&p)?, 0)?;
    same(p.output()?.len(), 0)?;
    let p = ctx.main(["cat"]).stdout(Output::Capture).start()?;
    same(exitcode(&p)?, 0)?;
    same(p.output()?.len(), 0)?; // Who is not given the parent's input does not read it.
    let p = ctx.main(["echo", "unseen"]).stdout(Output::Null).start()?;
    same(exitcode(&p)?, 0)
}
