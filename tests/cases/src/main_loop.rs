//! The main loop.

use crate::support::*;
use procbox_guest::{Context, Error, MainLoop, Queue};
use std::time::Duration;

pub(crate) fn a_worker_asks_main_to_quit(ctx: &Context) -> Verdict {
    let main: MainLoop<String> = ctx.main_loop()?;
    let p = ctx.process("asks_main").args((&main.poster(), 2u32, 3i32)).start()?;
    let mut said = Vec::new();
    same(main.run(|text| said.push(text)), Ok(3))?;
    same(said, ["0", "1"])?;
    same(exitcode(&p)?, 0)
}

pub(crate) fn calls_of_one_poster_run_in_order(ctx: &Context) -> Verdict {
    let main: MainLoop<(u32, u32)> = ctx.main_loop()?;
    let start = |who: u32| ctx.process("calls_main").args((&main.poster(), who, 500u32)).start();
    let workers = (0..3).map(start).collect::<Result<Vec<_>, _>>()?;
    let (right, mut next) = (main.poster(), [0u32; 3]);
    let code = main.run(|(who, n)| {
        let next = &mut next[who as usize];
        *next = if *next == n { n + 1 } else { u32::MAX };
        if n == 499 {
            let _ = right.post(&(who, 500u32));
        }
        if n == 500 && who == 2 {
            let _ = right.exit(0);
        }
    })?;
    same(code, 0)?;
    workers.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    same(next[2], 501)
}

pub(crate) fn a_main_loop_that_waits_in_vain_times_out(ctx: &Context) -> Verdict {
    let main: MainLoop<u32> = ctx.main_loop()?;
    refused(runs_out(|t| main.run_timeout(t, drop))?, Error::TimedOut)?;
    refused(main.run_timeout(Duration::ZERO, drop), Error::TimedOut)?;
    main.poster().exit(-4)?;
    same(main.run_timeout(Duration::MAX, drop), Ok(-4))
}

pub(crate) fn a_loop_that_is_gone_takes_no_calls(ctx: &Context) -> Verdict {
    let main: MainLoop<u32> = ctx.main_loop()?;
    let right = main.poster();
    drop(main);
    refused(right.post(&1), Error::Closed)?;
    refused(right.exit(1), Error::Closed)
}

pub(crate) fn what_is_not_a_call_is_refused_and_the_loop_goes_on(ctx: &Context) -> Verdict {
    let main: MainLoop<String> = ctx.main_loop()?;
    // The right is handed to a worker that takes it for something else.
    let p = ctx.process("puts_garbage").args((&main.poster(),)).start()?;
    same(exitcode(&p)?, 0)?;
    let failed = main.run(drop).map_err(|e| matches!(e, Error::Decode { .. }));
    same(failed, Err(true))?;
    main.poster().exit(0)?;
    same(main.run(drop), Ok(0))
}

pub(crate) fn threads_post_closures(ctx: &Context) -> Verdict {
    let main: MainLoop<()> = ctx.main_loop()?;
    let done: Queue<bool> = ctx.queue(1)?;
    let (closures, right, out) = (main.closures(), main.poster(), done.clone());
    let here = std::thread::current().id();
    let thread = std::thread::spawn(move || {
        closures.post(move || {
            let _ = out.put(&(std::thread::current().id() == here));
        })?;
        right.exit(0)
    });
    same(main.run(drop), Ok(0))?;
    same(thread.join().ok(), Some(Ok(())))?;
    same(done.get(), Ok(true))
}
