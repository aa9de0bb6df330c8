//! Exit codes: one table for both backends.

use crate::support::*;
use anyhow::ensure;
use procbox_guest::worker::{Args, Untyped};
use procbox_guest::{Context, Error, ExitStatus, Limit};
use std::time::{Duration, Instant};

fn status<A: Args<Untyped>>(ctx: &Context, worker: &str, args: A) -> anyhow::Result<ExitStatus> {
    let status = ctx.process(worker).args(args).start()?.join()?;
    // However it ended, it ended only itself.
    ensure!(ctx.process("nothing").start()?.join()?.success());
    Ok(status)
}

fn ends<A: Args<Untyped>>(ctx: &Context, worker: &str, args: A, code: i32, cli: u8) -> Verdict {
    let status = status(ctx, worker, args)?;
    same((status.exitcode(), status.cli_status()), (code, cli))?;
    same(status.success(), code == 0)?;
    same(status.signal(), (code < 0).then_some(-code))
}

pub(crate) fn a_return_is_0(ctx: &Context) -> Verdict {
    ends(ctx, "nothing", (), 0, 0)
}

pub(crate) fn an_err_is_1(ctx: &Context) -> Verdict {
    ends(ctx, "fails", (), 1, 1)
}

pub(crate) fn a_panic_is_101(ctx: &Context) -> Verdict {
    ends(ctx, "panics", (), 101, 101)
}

pub(crate) fn exit_n_is_n(ctx: &Context) -> Verdict {
    for n in [0u8, 1, 3, 101, 255] {
        ends(ctx, "exits", (i32::from(n),), n.into(), n)?;
    }
    // As the OS cuts them.
    ends(ctx, "exits", (256 + 7,), 7, 7)?;
    ends(ctx, "exits", (-1,), 255, 255)
}

pub(crate) fn an_access_out_of_bounds_is_segv(ctx: &Context) -> Verdict {
    ends(ctx, "accesses_out_of_bounds", (), -11, 139)
}

pub(crate) fn a_stack_overflow_is_segv(ctx: &Context) -> Verdict {
    ends(ctx, "overflows_its_stack", (), -11, 139)
}

pub(crate) fn a_division_by_zero_is_fpe(ctx: &Context) -> Verdict {
    ends(ctx, "divides_by_zero", (), -8, 136)
}

pub(crate) fn an_abort_is_abrt(ctx: &Context) -> Verdict {
    ends(ctx, "aborts", (), -6, 134)
}

pub(crate) fn terminate_is_143_and_kill_137_to_a_shell(ctx: &Context) -> Verdict {
    let (terminated, killed) = (blocked(ctx)?, blocked(ctx)?);
    terminated.terminate()?;
    killed.kill()?;
    same((exitcode(&terminated)?, terminated.join()?.cli_status()), (-15, 143))?;
    same((exitcode(&killed)?, killed.join()?.cli_status()), (-9, 137))
}

pub(crate) fn out_of_wall_clock_time_names_the_limit(ctx: &Context) -> Verdict {
    let out_of_time = |status: ExitStatus| {
        same((status.exitcode(), status.cli_status()), (-9, 124))?;
        same(status.limit(), Some(Limit::WallClock))?;
        ensure!(status.to_string().contains("wall-clock"), "{status}");
        anyhow::Ok(())
    };
    let never = ctx.event()?;
    let p = ctx.process("nothing").timeout(Duration::from_secs(1000)).start()?;
    same(exitcode(&p)?, 0)?;
    let p = |t| ctx.process("blocks").args((&never, &ctx.event()?)).timeout(t).start()?.join();
    out_of_time(runs_out(p)??)?;
    let p = |t| ctx.process("spins").args((&never,)).timeout(t).start()?.join();
    out_of_time(runs_out(p)??)
}

pub(crate) fn out_of_cpu_time_is_xcpu(ctx: &Context) -> Verdict {
    let started = ctx.event()?;
    let limit = Duration::from_millis(100);
    let p = ctx.process("spins").args((&started,)).cpu_time(limit).start()?;
    let began = Instant::now();
    let status = p.join()?;
    same((status.exitcode(), status.cli_status()), (-24, 152))?;
    same(status.limit(), Some(Limit::CpuTime))?;
    // It had what it was given: no process uses CPU time faster than time goes by.
    ensure!(started.is_set() && began.elapsed() >= limit / 2, "it had {:?}", began.elapsed());
    Ok(())
}

pub(crate) fn waiting_uses_no_cpu_time(ctx: &Context) -> Verdict {
    let (started, go) = (ctx.event()?, ctx.event()?);
    let limit = Duration::from_millis(100);
    let p = ctx.process("blocks").args((&started, &go)).cpu_time(limit).start()?;
    started.wait()?;
    refused(runs_out(|t| p.join_timeout(t))?, Error::TimedOut)?;
    go.set();
    ensure!(p.join()?.success());
    Ok(())
}

pub(crate) fn a_kill_is_not_a_limit(ctx: &Context) -> Verdict {
    let never = ctx.event()?;
    let p = ctx.process("blocks").args((&never, &ctx.event()?));
    let p = p.timeout(Duration::MAX).cpu_time(Duration::MAX).daemon(true).start()?;
    never.wait()?;
    p.kill()?;
    same(p.join()?, ExitStatus::signaled(9))?;
    same(p.join()?.limit(), None)
}
