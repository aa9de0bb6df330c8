//! What stays behind: nothing. These tests look at the whole process, so they are alone in their
//! executable and take turns. Also here: handles that go to a context which is not theirs.

use anyhow::ensure;
use procbox::backend::Message;
use procbox::sandbox::Program;
use procbox::{Context, Error, Queue, Sandbox, Wait, ready};
use procbox_tests::{Backend, Belongings, belongings, context, sandbox, watched};
use std::sync::{Mutex, MutexGuard, PoisonError};

fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The watchdog sees to an end.
fn until(done: impl Fn() -> bool) {
    while !done() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// A sandbox that the other tests do not use, and a context in it.
fn sandbox_of_its_own(processes: usize) -> anyhow::Result<(Sandbox, Context)> {
    let sandbox = Sandbox::builder().max_processes(processes).build()?;
    let path = procbox_tests::program("conformance", Backend::Sandbox);
    let ctx = sandbox.context(Program::wasm(path)?)?;
    Ok((sandbox, ctx))
}

/// A thousand processes: half of them joined, a quarter killed, a quarter left to themselves.
fn start_a_thousand(ctx: &Context) -> anyhow::Result<()> {
    let (started, forever) = (ctx.event()?, ctx.event()?);
    for n in 0..1000 {
        match n % 4 {
            0 => drop(ctx.process("nothing").start()?),
            1 => {
                let p = ctx.process("blocks").args((&started, &forever)).start()?;
                p.kill()?;
                ensure!(p.join()?.exitcode() == -9);
            }
            _ => ensure!(ctx.process("nothing").start()?.join()?.success()),
        }
    }
    until(|| ctx.active_children().is_empty());
    Ok(())
}

/// The first start brings up what is kept: a zygote, threads, a channel to them.
fn after_a_start(ctx: &Context) -> anyhow::Result<Belongings> {
    ensure!(ctx.process("nothing").start()?.join()?.success());
    Ok(belongings())
}

#[test]
fn a_thousand_native_starts_leave_no_process_file_thread_or_shared_memory() {
    let _turn = alone();
    watched(Backend::Native, |ctx| {
        let before = after_a_start(ctx)?;
        start_a_thousand(ctx)?;
        until(|| belongings().are_no_more_than(before));
        Ok(())
    });
}

#[test]
fn a_native_context_that_ends_leaves_no_process_file_thread_or_shared_memory() {
    let _turn = alone();
    watched(Backend::Native, |_| {
        let before = belongings();
        for _ in 0..3 {
            let ctx = context(Backend::Native)?;
            ensure!(ctx.process("nothing").start()?.join()?.success());
            let (started, forever) = (ctx.event()?, ctx.event()?);
            ctx.process("blocks").args((&started, &forever)).daemon(true).start()?;
            started.wait()?;
        }
        until(|| belongings().are_no_more_than(before));
        Ok(())
    });
}

#[test]
fn a_thousand_sandboxed_starts_leave_no_instance_file_or_thread() {
    let _turn = alone();
    watched(Backend::Sandbox, |ctx| {
        start_a_thousand(ctx)?;
        let before = after_a_start(ctx)?;
        start_a_thousand(ctx)?;
        until(|| sandbox().processes() == 0 && belongings().are_no_more_than(before));
        Ok(())
    });
}

#[test]
fn a_sandboxed_context_that_ends_leaves_no_instance() {
    let _turn = alone();
    watched(Backend::Sandbox, |_| {
        let ctx = context(Backend::Sandbox)?;
        let (started, forever) = (ctx.event()?, ctx.event()?);
        ctx.process("blocks").args((&started, &forever)).daemon(true).start()?;
        started.wait()?;
        drop(ctx);
        until(|| sandbox().processes() == 0);
        Ok(())
    });
}

#[test]
fn a_sandbox_that_is_dropped_ends_what_is_blocked_in_it() {
    let _turn = alone();
    watched(Backend::Sandbox, |_| {
        let (sandbox, ctx) = sandbox_of_its_own(5)?;
        let (here, there) = ctx.pipe::<u32>()?;
        let (started, forever) = (ctx.event()?, ctx.event()?);
        let parent = ctx.process("blocks_beside_a_holder").args((&there, &started, &forever));
        let parent = parent.start()?;
        drop(there);
        started.wait()?;
        // Its child is no daemon, and nobody's now.
        parent.kill()?;
        parent.join()?;
        ensure!(sandbox.processes() == 1);
        drop((ctx, sandbox));
        ensure!(here.recv() == Err(Error::Closed));
        Ok(())
    });
}

#[test]
fn a_pool_that_cannot_start_all_its_workers_keeps_none() {
    let _turn = alone();
    watched(Backend::Sandbox, |_| {
        let (small, ctx) = sandbox_of_its_own(3)?;
        let pool = ctx.pool::<(u64,), u64>("double").workers(4).build();
        ensure!(matches!(pool, Err(Error::Exhausted(_))), "{pool:?}");
        ensure!(small.processes() == 0 && ctx.active_children().is_empty());
        Ok(())
    });
}

/// Everything of `theirs` that could be given to `ctx`.
fn gives_away(ctx: &Context, theirs: &Context) -> anyhow::Result<()> {
    let foreign = |what: &str, result: procbox::Result<()>| {
        ensure!(result == Err(Error::ForeignHandle), "{what}: {result:?}");
        Ok(())
    };
    let start = |worker: &str, message| {
        let p = ctx.process(worker).raw_args(message).daemon(true).start();
        p.and_then(|p| p.kill())
    };
    let event = (&theirs.event()?, &theirs.event()?);
    foreign("event", start("blocks", Message::of(&event)?))?;
    let lock = (&theirs.lock()?, &theirs.event()?, &theirs.event()?);
    foreign("lock", start("holds_lock", Message::of(&lock)?))?;
    let permit = (&theirs.semaphore(1)?, &theirs.event()?, &theirs.event()?);
    foreign("semaphore", start("holds_permit", Message::of(&permit)?))?;
    let pipe = (&theirs.pipe::<u32>()?.0,);
    foreign("pipe", start("echoes", Message::of(&pipe)?))?;
    let inner: Queue<u32> = theirs.queue(1)?;
    let outer: Queue<Queue<u32>> = ctx.queue(1)?;
    foreign("queue in a queue", outer.put(&inner))?;
    ensure!(outer.is_empty());
    let (_here, there) = ctx.pipe::<Queue<u32>>()?;
    foreign("queue in a pipe", there.send(&inner))?;
    foreign("ready", ready(ctx, &[inner.waitable()], Wait::Never).map(drop))?;
    let pool = ctx.pool::<(procbox::Event,), u64>("waits_task").workers(1).build()?;
    foreign("task", pool.apply((&theirs.event()?,)).map(drop))?;
    drop(pool);
    let p = theirs.process("nothing").start()?;
    foreign("ready for a process", ready(ctx, &[p.sentinel()?], Wait::Never).map(drop))?;
    p.join()?;
    // It was refused, and nothing else happened.
    ensure!(ctx.process("nothing").start()?.join()?.success());
    Ok(())
}

#[test]
fn a_native_context_refuses_handles_of_another() {
    let _turn = alone();
    watched(Backend::Native, |ctx| gives_away(ctx, &context(Backend::Native)?));
}

#[test]
fn a_native_context_refuses_handles_of_a_sandbox() {
    let _turn = alone();
    watched(Backend::Native, |ctx| gives_away(ctx, &context(Backend::Sandbox)?));
}

#[test]
fn a_sandbox_refuses_native_handles() {
    let _turn = alone();
    watched(Backend::Sandbox, |ctx| gives_away(ctx, &context(Backend::Native)?));
}

#[test]
fn a_sandbox_refuses_handles_of_another() {
    let _turn = alone();
    watched(Backend::Sandbox, |ctx| gives_away(ctx, &sandbox_of_its_own(10)?.1));
}

#[test]
fn a_hundred_components_of_each_kind_leave_nothing_behind() {
    let _turn = alone();
    let path = procbox_tests::program("component", Backend::Sandbox);
    let made = Sandbox::builder().max_processes(8).build();
    let context = made.and_then(|sandbox| {
        let grants = procbox::sandbox::Grants::default().quiet(true);
        sandbox.context_with(Program::wasm(path)?, grants)
    });
    procbox_tests::watched_in(context, |ctx| {
        let round = |times: usize| -> anyhow::Result<()> {
            for worker in ["crash", "echo", "exit", "own", "socket"].repeat(times) {
                ctx.process(worker).args((procbox::Bytes::from("1"),)).start()?.join()?;
            }
            Ok(())
        };
        round(3)?;
        let before = belongings();
        round(100)?;
        let after = belongings();
        ensure!(after.are_no_more_than(before), "{before:?}, then {after:?}");
        Ok(())
    });
}
