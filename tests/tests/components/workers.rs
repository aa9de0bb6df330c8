//! What is promised of workers, of those in components.

use crate::{builder, context_of, workers};
use anyhow::{bail, ensure};
use procbox::sandbox::Grants;
use procbox::{
    Bytes, Context, Error, Event, ExitStatus, Lock, Pipe, Pool, Queue, Sandbox, Semaphore, Worker,
};
use procbox_tests::watched_in;
use std::collections::HashSet;
use std::time::Duration;

/// What a program that aborts gets.
const ABRT: i32 = 6;

type Workers = Pool<(Bytes,), Bytes>;

fn bytes(text: &str) -> (Bytes,) {
    (text.into(),)
}

/// What a worker comes to, in a pool of its own.
fn ask(ctx: &Context, worker: &str, input: &str) -> procbox::Result<String> {
    let pool: Workers = ctx.pool(worker).workers(1).build()?;
    Ok(String::from_utf8_lossy(&pool.apply(bytes(input))?).into_owned())
}

fn watched(body: impl FnOnce(&Context) -> anyhow::Result<()> + Send + 'static) {
    watched_in(workers(builder()), body);
}

#[test]
fn a_pool_maps_in_order() {
    watched(|ctx| {
        for fresh in [false, true] {
            let pool: procbox::PoolBuilder<(Bytes,), Bytes> = ctx.pool("upper").workers(3);
            let pool = if fresh { pool.fresh_per_task() } else { pool.chunk_size(7) }.build()?;
            let inputs: Vec<String> = (0..100).map(|n| format!("text {n}")).collect();
            let upper = pool.starmap(inputs.iter().map(|text| bytes(text)))?;
            let due = inputs.iter().map(|text| Bytes::from(text.to_uppercase()));
            ensure!(upper.into_iter().eq(due), "fresh: {fresh}");
        }
        Ok(())
    });
}

#[test]
fn a_process_is_fresh_for_each_task_if_it_is_told_so_and_else_stays() {
    watched(|ctx| {
        let counts = |pool: Workers| -> procbox::Result<Vec<Bytes>> {
            pool.starmap((0..3).map(|_| bytes("")))
        };
        let stays = counts(ctx.pool("count").workers(1).build()?)?;
        ensure!(stays == ["1", "2", "3"].map(Bytes::from));
        let fresh = counts(ctx.pool("count").workers(1).fresh_per_task().build()?)?;
        ensure!(fresh == ["1", "1", "1"].map(Bytes::from));
        let two: Workers = ctx.pool("count").workers(1).max_tasks_per_child(2).build()?;
        ensure!(counts(two)? == ["1", "2", "1"].map(Bytes::from));
        Ok(())
    });
}

#[test]
fn a_worker_that_fails_says_why_and_goes_on() {
    watched(|ctx| {
        let pool: Workers = ctx.pool("fail").workers(1).build()?;
        for input in ["bread", "salt"] {
            let failed = pool.apply(bytes(input));
            ensure!(failed == Err(Error::Task(format!("no {input}"))), "{failed:?}");
        }
        ensure!(pool.counters().replaced == 0);
        let Err(Error::Task(why)) = ask(ctx, "nobody", "") else { bail!("it knows nobody") };
        ensure!(why == "no worker \"nobody\"");
        Ok(())
    });
}

#[test]
fn a_worker_that_dies_is_replaced_and_the_others_are_not() {
    watched(|ctx| {
        let pool: Workers = ctx.pool("crash").workers(1).build()?;
        match pool.apply(bytes("")) {
            Err(Error::WorkerDied { status, attempts: 1, .. }) => {
                ensure!(status == ExitStatus::signaled(ABRT), "{status}");
            }
            other => bail!("{other:?}"),
        }
        ensure!(ask(ctx, "upper", "a")? == "A");
        Ok(())
    });
}

#[test]
fn a_call_of_a_worker_has_its_status() {
    watched(|ctx| {
        for (worker, code) in [("echo", 0), ("fail", 1), ("exit", 1), ("nobody", 1)] {
            let status = ctx.process(worker).args(bytes("3")).start()?.join()?;
            ensure!(status == ExitStatus::exited(code), "{worker}: {status}");
        }
        let status = ctx.process("echo").args((1u64 << 40,)).start()?.join()?;
        ensure!(status == ExitStatus::exited(1), "arguments that are no bytes: {status}");
        Ok(())
    });
}

#[test]
fn it_can_do_all_with_primitives_of_its_own() {
    watched(|ctx| {
        ensure!(ask(ctx, "own", "")? == "locked");
        Ok(())
    });
}

#[test]
fn handles_come_with_the_input() {
    watched(|ctx| {
        type Args = (Bytes, Lock, Semaphore, Event, Queue<Bytes>, Pipe<Bytes>);
        let pool: Pool<Args, Bytes> = ctx.pool("handles").workers(1).build()?;
        let (mine, _theirs) = ctx.pipe()?;
        let args: Args =
            (Bytes::default(), ctx.lock()?, ctx.semaphore(1)?, ctx.event()?, ctx.queue(1)?, mine);
        let kinds = pool.apply(args)?;
        ensure!(&*kinds == b"lock semaphore event queue pipe");
        // The next task has none of them.
        let none: Pool<(Bytes,), Bytes> = ctx.pool("handles").workers(1).build()?;
        ensure!(none.apply(bytes(""))?.is_empty());
        Ok(())
    });
}

#[test]
fn what_a_killed_one_held_comes_back() {
    watched(|ctx| {
        let (lock, semaphore, told) = (ctx.lock()?, ctx.semaphore(1)?, ctx.queue::<Bytes>(4)?);
        for due in ["held", "after a death"] {
            let holder =
                ctx.process("hold").args((Bytes::default(), &lock, &semaphore, &told)).start()?;
            ensure!(told.get()? == due.into());
            ensure!(semaphore.available() == 0);
            holder.kill()?;
            holder.join()?;
            ensure!(semaphore.available() == 1);
        }
        ensure!(lock.acquire()?.owner_died);
        Ok(())
    });
}

#[test]
fn messages_and_handles_go_both_ways() {
    watched(|ctx| {
        let to_us: Queue<(Bytes, Queue<String>)> = ctx.queue(4)?;
        type Args = (Bytes, Queue<(Bytes, Queue<String>)>);
        let pool: Pool<Args, Bytes> = ctx.pool("give").workers(1).build()?;
        let given = pool.apply_async((Bytes::from("a question"), to_us.clone()))?;
        let (text, answers) = to_us.get()?;
        ensure!(text == "a question".into());
        answers.put(&"an answer".to_string())?;
        ensure!(given.get()? == "an answer".into());
        Ok(())
    });
}

#[test]
fn an_initializer_is_called_once_in_each_process() {
    watched(|ctx| {
        let count = |initializer: &'static str| -> procbox::Result<Bytes> {
            let pool = ctx.pool::<(Bytes,), Bytes>("count").workers(1);
            let initializer: Worker<(Bytes,), Bytes, ()> = Worker::new(initializer, ());
            pool.initializer(initializer, bytes("x")).build()?.apply(bytes(""))
        };
        ensure!(count("count")? == "2".into());
        ensure!(matches!(count("fail"), Err(Error::PoolBroken(_))), "{:?}", count("fail"));
        Ok(())
    });
}

#[test]
fn a_process_returns_its_value_or_why_there_is_none() {
    watched(|ctx| {
        let worker = |name: &'static str| Worker::<(Bytes,), Bytes, ()>::new(name, ());
        ensure!(ctx.spawn(worker("upper"), bytes("a"))?.join()? == "A".into());
        let failed = ctx.spawn(worker("fail"), bytes("a"))?.join();
        ensure!(failed == Err(Error::Task("no a".into())), "{failed:?}");
        let died = ctx.spawn(worker("crash"), bytes("a"))?.join();
        ensure!(matches!(died, Err(Error::WorkerDied { .. })), "{died:?}");
        Ok(())
    });
}

#[test]
fn a_wait_that_nobody_can_end_is_told() {
    watched(|ctx| {
        ensure!(ask(ctx, "forever", "")? == "deadlock");
        Ok(())
    });
}

#[test]
fn a_large_result_arrives_and_one_that_is_too_large_fails_alone() {
    watched(|ctx| {
        ensure!(ask(ctx, "large", "10000000")?.len() == 10_000_000);
        let pool: Workers = ctx.pool("large").workers(1).build()?;
        let failed = pool.apply(bytes("1000000000"));
        ensure!(failed.is_err());
        ensure!(pool.apply(bytes("3"))?.len() == 3);
        Ok(())
    });
}

#[test]
fn processes_differ_in_their_random_numbers_and_have_a_clock() {
    watched(|ctx| {
        let pool: Workers = ctx.pool("random").workers(1).fresh_per_task().build()?;
        let seen: HashSet<Bytes> = pool.starmap((0..20).map(|_| bytes("")))?.into_iter().collect();
        ensure!(seen.len() == 20, "{seen:?}");
        ensure!(ask(ctx, "sleep", "20")?.is_empty());
        Ok(())
    });
}

#[test]
fn nobody_has_a_network_and_files_are_those_that_were_granted() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    watched(|ctx| {
        ensure!(ask(ctx, "socket", "")? == "PermissionDenied", "{}", ask(ctx, "socket", "")?);
        ensure!(ask(ctx, "file", "/d/file").is_err());
        Ok(())
    });
    let grants = Grants::default().dir(folder.path(), "/d");
    watched_in(context_of("component", builder(), grants), |ctx| {
        ensure!(ask(ctx, "file", "/d/file")? == "some text, and more");
        Ok(())
    });
    ensure!(std::fs::read(folder.path().join("file"))? == b"some text, and more");
    Ok(())
}

#[test]
fn a_simulation_with_components_is_the_same_twice() -> anyhow::Result<()> {
    let run = || -> anyhow::Result<(Vec<Bytes>, Option<u64>)> {
        let sandbox = Sandbox::builder().max_processes(8).memory(32 << 20).simulate(7).build()?;
        let path = procbox_tests::program("component", procbox_tests::Backend::Sandbox);
        let ctx = sandbox.context(procbox::sandbox::Program::wasm(path)?)?;
        let pool: Workers = ctx.pool("random").workers(3).fresh_per_task().build()?;
        let seen = pool.starmap((0..9).map(|_| bytes("")))?;
        drop(pool);
        drop(ctx);
        Ok((seen, sandbox.trace_hash()))
    };
    let first = run()?;
    ensure!(first.1.is_some() && run()? == first);
    Ok(())
}

#[test]
fn a_thousand_are_alive_at_once() {
    let context = workers(builder().max_processes(1000).memory(4 << 20));
    watched_in(context, |ctx| {
        let told = ctx.queue::<Bytes>(1000)?;
        let start = |_| {
            let (lock, semaphore) = (ctx.lock()?, ctx.semaphore(1)?);
            ctx.process("hold").args((Bytes::default(), &lock, &semaphore, &told)).start()
        };
        let all = (0..1000).map(start).collect::<procbox::Result<Vec<_>>>()?;
        for _ in &all {
            ensure!(told.get_timeout(Duration::from_secs(50))? == "held".into());
        }
        for process in all {
            process.kill()?;
            process.join()?;
        }
        Ok(())
    });
}
