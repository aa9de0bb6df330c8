//! Processes: start, join, names and numbers, ending them.

use crate::support::*;
use crate::{Clock, Order};
use anyhow::{bail, ensure};
use procbox_guest::{Backend, Bytes, Context, Error, ExitStatus, Identity, Limit, Queue};
use std::time::Duration;

pub(crate) fn a_process_is_started_and_joined(ctx: &Context) -> Verdict {
    let p = ctx.process("nothing").build();
    ensure!(!p.is_alive() && p.exitcode().is_none());
    p.start()?;
    same(p.join()?, ExitStatus::SUCCESS)?;
    ensure!(!p.is_alive());
    same(p.exitcode(), Some(0))?;
    same(p.join()?, ExitStatus::SUCCESS)
}

pub(crate) fn a_running_process_is_alive_and_has_no_exitcode(ctx: &Context) -> Verdict {
    let p = blocked(ctx)?;
    ensure!(p.is_alive());
    same(p.exitcode(), None)?;
    same(p.status(), None)?;
    p.kill()?;
    p.join()?;
    ensure!(!p.is_alive());
    Ok(())
}

pub(crate) fn a_process_starts_only_once(ctx: &Context) -> Verdict {
    let p = ctx.process("nothing").start()?;
    refused(p.start(), Error::AlreadyStarted)?;
    p.join()?;
    refused(p.start(), Error::AlreadyStarted)
}

pub(crate) fn a_process_that_was_not_started_says_so(ctx: &Context) -> Verdict {
    let p = ctx.process("nothing").build();
    refused(p.join(), Error::NotStarted)?;
    refused(p.join_timeout(SHORT), Error::NotStarted)?;
    refused(p.pid(), Error::NotStarted)?;
    refused(p.terminate(), Error::NotStarted)?;
    refused(p.kill(), Error::NotStarted)?;
    refused(p.sentinel(), Error::NotStarted)
}

pub(crate) fn a_closed_process_says_so(ctx: &Context) -> Verdict {
    let p = ctx.process("nothing").start()?;
    p.join()?;
    p.close()?;
    refused(p.join(), Error::Closed)?;
    refused(p.kill(), Error::Closed)?;
    ensure!(!p.is_alive());
    Ok(())
}

pub(crate) fn a_running_process_cannot_be_closed(ctx: &Context) -> Verdict {
    let p = blocked(ctx)?;
    refused(p.close(), Error::StillRunning)?;
    p.kill()?;
    p.join()?;
    p.close()?;
    Ok(())
}

pub(crate) fn a_process_has_a_name(ctx: &Context) -> Verdict {
    let number = |name: &str| name.strip_prefix("Process-").and_then(|n| n.parse::<u64>().ok());
    let (first, second) = (ctx.process("nothing").build(), ctx.process("nothing").build());
    let (a, b) = (number(&first.name()), number(&second.name()));
    ensure!(a.is_some(), "{} is not Process-N", first.name());
    same(b, a.map(|n| n + 1))?;
    let out = ctx.queue::<Identity>(1)?;
    let p = ctx.process("says_who").args((&out,)).name("clock").start()?;
    same(p.name(), "clock")?;
    same(out.get()?.name, "clock")?;
    p.join()?;
    let p = ctx.process("says_who").args((&out,)).build();
    p.set_name("watch")?;
    p.start()?;
    same(out.get()?.name, "watch")?;
    refused(p.set_name("late"), Error::AlreadyStarted)?;
    same(p.name(), "watch")?;
    p.join()?;
    Ok(())
}

pub(crate) fn a_process_has_a_number_of_its_own(ctx: &Context) -> Verdict {
    let out = ctx.queue::<Identity>(2)?;
    let start = || ctx.process("says_who").args((&out,)).start();
    let (a, b) = (start()?, start()?);
    let mut said = vec![out.get()?.pid, out.get()?.pid];
    let mut known = vec![a.pid()?, b.pid()?];
    said.sort_unstable();
    known.sort_unstable();
    same(&said, &known)?;
    ensure!(said[0] != said[1] && !said.contains(&ctx.current_process().pid));
    a.join()?;
    b.join()?;
    same(a.pid()?, if a.pid()? == known[0] { known[0] } else { known[1] })
}

pub(crate) fn the_daemon_flag_is_set_before_start_only(ctx: &Context) -> Verdict {
    let out = ctx.queue::<Identity>(1)?;
    let p = ctx.process("says_who").args((&out,)).build();
    ensure!(!p.daemon());
    p.set_daemon(true)?;
    p.start()?;
    ensure!(p.daemon() && out.get()?.daemon);
    refused(p.set_daemon(false), Error::AlreadyStarted)?;
    p.join()?;
    refused(p.set_daemon(false), Error::AlreadyStarted)?;
    ensure!(p.daemon());
    Ok(())
}

pub(crate) fn the_authkey_is_inherited(ctx: &Context) -> Verdict {
    let own = ctx.current_process().authkey;
    ensure!(own.len() >= 16, "a key of {} bytes", own.len());
    let out = ctx.queue::<Identity>(1)?;
    let p = ctx.process("says_who").args((&out,)).start()?;
    same(out.get()?.authkey, own.clone())?;
    same(p.authkey(), own)?;
    p.join()?;
    Ok(())
}

pub(crate) fn a_worker_knows_its_parent(ctx: &Context) -> Verdict {
    let me = ctx.current_process();
    same(ctx.parent_process(), me.parent.clone())?;
    let out = ctx.queue::<Identity>(1)?;
    let p = ctx.process("says_who").args((&out,)).start()?;
    let who = out.get()?;
    same(who.pid, p.pid()?)?;
    same(who.name, p.name())?;
    same(who.parent, Some((me.pid, me.name)))?;
    p.join()?;
    Ok(())
}

pub(crate) fn active_children_are_those_that_live(ctx: &Context) -> Verdict {
    let names = || {
        let mut names: Vec<_> = ctx.active_children().iter().map(|p| p.name()).collect();
        names.sort();
        names
    };
    same(names(), Vec::<String>::new())?;
    let forever = ctx.event()?;
    let start = |name: &str| {
        let started = ctx.event()?;
        ctx.process("blocks").args((&started, &forever)).daemon(true).name(name).start()
    };
    let (a, b) = (start("a")?, start("b")?);
    same(names(), vec!["a", "b"])?;
    let pids: Vec<_> = ctx.active_children().iter().map(|p| p.pid()).collect::<Result<_, _>>()?;
    ensure!(pids.contains(&a.pid()?) && pids.contains(&b.pid()?));
    a.kill()?;
    a.join()?;
    same(names(), vec!["b"])?;
    forever.set();
    b.join()?;
    same(names(), Vec::<String>::new())
}

pub(crate) fn a_worker_may_be_a_struct_with_run(ctx: &Context) -> Verdict {
    let out = ctx.queue::<u32>(3)?;
    let p = ctx.process(&Clock { ticks: 3, out: out.clone() }).start()?;
    same([out.get()?, out.get()?, out.get()?], [0, 1, 2])?;
    same(exitcode(&p)?, 0)
}

pub(crate) fn a_struct_travels_as_an_argument(ctx: &Context) -> Verdict {
    let reply = ctx.queue(1)?;
    let order = Order {
        id: u64::MAX / 2,
        name: "schnödes \0 ☃".into(),
        tags: vec![Some(-128), None, Some(127)],
        lock: ctx.lock()?,
        reply: Some(reply.clone()),
    };
    let p = ctx.process("takes_order").args((&order,)).start()?;
    let back: Order = reply.get()?;
    same(back.id, order.id * 2)?;
    same(back.name, &order.name[..])?;
    same(back.tags, order.tags)?;
    ensure!(back.reply.is_none());
    same(exitcode(&p)?, 0)?;
    // The lock that came back is the one that went: holding it once is holding it.
    let _guard = order.lock.try_lock()?;
    refused(back.lock.try_lock(), Error::AlreadyHeld)
}

pub(crate) fn terminate_ends_a_blocked_process(ctx: &Context) -> Verdict {
    let p = blocked(ctx)?;
    p.terminate()?;
    same(exitcode(&p)?, -15)?;
    p.terminate()?;
    p.kill()?;
    same(p.exitcode(), Some(-15))
}

pub(crate) fn kill_ends_a_blocked_process(ctx: &Context) -> Verdict {
    let p = blocked(ctx)?;
    p.kill()?;
    same(exitcode(&p)?, -9)
}

pub(crate) fn terminate_ends_a_busy_loop(ctx: &Context) -> Verdict {
    let p = spinning(ctx)?;
    p.terminate()?;
    same(exitcode(&p)?, -15)
}

pub(crate) fn kill_ends_a_busy_loop(ctx: &Context) -> Verdict {
    let p = spinning(ctx)?;
    p.kill()?;
    same(exitcode(&p)?, -9)
}

pub(crate) fn a_process_can_be_killed_at_once_after_its_start(ctx: &Context) -> Verdict {
    let forever = ctx.event()?;
    for _ in 0..20 {
        let p = ctx.process("blocks").args((&ctx.event()?, &forever)).daemon(true).start()?;
        p.kill()?;
        same(exitcode(&p)?, -9)?;
    }
    Ok(())
}

pub(crate) fn kill_tree_ends_what_a_process_has_started_too(ctx: &Context) -> Verdict {
    let (here, there) = ctx.pipe::<Bytes>()?;
    let (started, forever) = (ctx.event()?, ctx.event()?);
    let parent = ctx.process("blocks_beside_a_holder").args((&there, &started, &forever));
    let parent = parent.start()?;
    drop(there);
    started.wait()?;
    if ctx.backend() == Backend::Guest {
        // A sandboxed process has no such call.
        ensure!(matches!(parent.kill_tree(), Err(Error::Unsupported(_))));
        forever.set();
        return same(exitcode(&parent)?, 0);
    }
    parent.kill_tree()?;
    refused(here.recv(), Error::Closed)?;
    same(exitcode(&parent)?, -9)?;
    // Nothing happens if it has ended.
    Ok(parent.kill_tree()?)
}

pub(crate) fn a_timeout_ends_what_a_process_has_started_too(ctx: &Context) -> Verdict {
    let (here, there) = ctx.pipe::<Bytes>()?;
    let (started, forever) = (ctx.event()?, ctx.event()?);
    let parent = ctx.process("blocks_beside_a_holder").args((&there, &started, &forever));
    let parent = parent.timeout(Duration::from_secs(1)).start()?;
    drop(there);
    // Whether the child was there by then or not.
    refused(here.recv(), Error::Closed)?;
    same(parent.join()?.limit(), Some(Limit::WallClock))
}

pub(crate) fn what_a_process_has_used_is_said(ctx: &Context) -> Verdict {
    let (started, go) = (ctx.event()?, ctx.event()?);
    let p = ctx.process("blocks").args((&started, &go)).daemon(true).build();
    refused(p.usage(), Error::NotStarted)?;
    p.start()?;
    if ctx.backend() == Backend::Guest {
        // A sandboxed process has no such call.
        ensure!(matches!(p.usage(), Err(Error::Unsupported(_))));
        return Ok(p.kill()?);
    }
    started.wait()?;
    let so_far = p.usage()?;
    go.set();
    same(exitcode(&p)?, 0)?;
    let usage = p.usage()?;
    ensure!(usage.wall_time >= so_far.wall_time && usage.wall_time > Duration::ZERO, "{usage:?}");
    // Some hundred KiB at least, by any measure.
    ensure!(usage.peak_memory.is_some_and(|bytes| bytes > 64 << 10), "{usage:?}");
    ensure!(usage.processes.is_none_or(|n| n == 1) && !usage.lacked_memory, "{usage:?}");
    // It is over: nothing is added any more.
    same(p.usage()?, usage)
}

pub(crate) fn busy_loops_starve_nobody(ctx: &Context) -> Verdict {
    let busy = (0..4).map(|_| spinning(ctx)).collect::<Result<Vec<_>, _>>()?;
    same(exitcode(&ctx.process("nothing").start()?)?, 0)?;
    busy.iter().try_for_each(|p| p.kill())?;
    busy.iter().try_for_each(|p| same(exitcode(p)?, -9))
}

pub(crate) fn a_join_that_runs_out_can_be_repeated(ctx: &Context) -> Verdict {
    let (started, go) = (ctx.event()?, ctx.event()?);
    let p = ctx.process("blocks").args((&started, &go)).daemon(true).start()?;
    refused(runs_out(|t| p.join_timeout(t))?, Error::TimedOut)?;
    refused(p.join_timeout(Duration::ZERO), Error::TimedOut)?;
    go.set();
    same(p.join_timeout(Duration::from_secs(50))?, ExitStatus::SUCCESS)
}

pub(crate) fn many_may_live_at_once(ctx: &Context) -> Verdict {
    let go = ctx.event()?;
    let out = ctx.queue::<u32>(50)?;
    let start = |_| ctx.process("puts_when_told").args((&go, &out)).start();
    let all = (0..50).map(start).collect::<Result<Vec<_>, _>>()?;
    same(ctx.active_children().len(), 50)?;
    go.set();
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    same(out.len(), 50)
}

pub(crate) fn two_hundred_starts_one_after_another(ctx: &Context) -> Verdict {
    for _ in 0..200 {
        same(exitcode(&ctx.process("nothing").start()?)?, 0)?;
    }
    same(ctx.active_children().len(), 0)
}

pub(crate) fn workers_start_workers(ctx: &Context) -> Verdict {
    let out = ctx.queue::<Vec<u32>>(1)?;
    let p = ctx.process("starts_down_to").args((3u32, vec![ctx.current_process().pid], &out));
    same(exitcode(&p.start()?)?, 0)?;
    let mut pids = out.get()?;
    same(pids.len(), 5)?;
    pids.sort_unstable();
    pids.dedup();
    same(pids.len(), 5)
}

pub(crate) fn an_unknown_worker_is_named_with_those_that_there_are(ctx: &Context) -> Verdict {
    match ctx.process("nobody").start() {
        Err(Error::NoSuchWorker { name, available }) => {
            same(name, "nobody")?;
            ensure!(available.iter().any(|w| w == "nothing"), "{available:?}");
            ensure!(available.iter().any(|w| w == "Clock"), "{available:?}");
            Ok(())
        }
        other => bail!("{other:?}"),
    }
}

pub(crate) fn a_process_that_could_not_be_started_says_why_again(ctx: &Context) -> Verdict {
    let p = ctx.process("nobody").build();
    let Err(why @ Error::NoSuchWorker { .. }) = p.start() else { bail!("it started") };
    refused(p.start(), why)?;
    refused(p.join(), Error::NotStarted)?;
    ensure!(!p.is_alive() && ctx.active_children().is_empty());
    Ok(())
}

pub(crate) fn interrupt_ends_a_process_that_does_not_answer_it(ctx: &Context) -> Verdict {
    for process in [blocked(ctx)?, spinning(ctx)?] {
        process.interrupt()?;
        same((exitcode(&process)?, process.join()?.cli_status()), (-2, 130))?;
    }
    // However soon it comes. It may also come too late.
    let never = ctx.event()?;
    for _ in 0..100 {
        let p = ctx.process("blocks").args((&ctx.event()?, &never)).start()?;
        p.interrupt()?;
        same(exitcode(&p)?, -2)?;
    }
    Ok(())
}

pub(crate) fn interrupt_ends_the_blocked_call_of_a_process_that_answers(ctx: &Context) -> Verdict {
    let (started, out) = (ctx.event()?, ctx.queue::<bool>(1)?);
    let p = ctx.process("answers_an_interrupt").args((&started, &out)).start()?;
    about_to_block(&started)?;
    p.interrupt()?;
    // It says whether it was interrupted, and ends as it likes.
    same(out.get()?, true)?;
    same(exitcode(&p)?, 0)
}

pub(crate) fn arguments_that_do_not_decode_fail_the_worker(ctx: &Context) -> Verdict {
    same(exitcode(&ctx.process("takes_a_number").args((7u32,)).start()?)?, 0)?;
    same(exitcode(&ctx.process("takes_a_number").args(("seven",)).start()?)?, 1)?;
    same(exitcode(&ctx.process("takes_a_number").start()?)?, 1)?;
    same(exitcode(&ctx.process("takes_a_number").args((7u32, 7u32)).start()?)?, 1)?;
    let q: Queue<u32> = ctx.queue(1)?;
    same(exitcode(&ctx.process("spins").args((&q,)).daemon(true).start()?)?, 1)
}
