//! The cases. Nothing sleeps to let something happen: it waits for the condition.

use crate::workers;
use procbox_core::*;
use std::time::{Duration, Instant};

type Case = fn() -> Result<()>;

macro_rules! cases {
    ($($name:ident)*) => { pub(crate) const ALL: &[(&str, Case)] = &[$((stringify!($name), $name)),*]; };
}

cases! {
    two_hundred_processes_leave_nothing_behind
    more_starts_than_the_process_table_has_slots
    one_that_ignores_its_limit_of_cpu_time_is_killed_for_it
    one_can_wait_for_125_queues_and_no_more
    exit_codes
    output_is_captured_and_input_is_given
    plain_programs_run_too
    a_timeout_ends_a_process_and_says_so
    an_unknown_worker_is_named
    the_program_tells_its_workers
    a_lock_keeps_processes_apart
    a_killed_holder_gives_the_lock_back
    a_lock_is_its_holders
    a_killed_holder_gives_its_permit_back
    semaphore_counts
    an_event_wakes_all_and_waits_run_out
    one_producer_one_consumer_in_order
    four_producers_four_consumers
    a_killed_producer_never_breaks_the_queue
    a_killed_carrier_of_handles_never_breaks_the_queue
    full_empty_closed_too_large
    bytes_are_bounded_too
    a_message_of_64_mib
    handles_travel_in_messages
    a_pipe_goes_both_ways
    a_pipe_closes_when_its_other_end_is_killed
    an_end_in_a_queue_is_not_gone
    ready_says_which
    processes_start_processes
    a_daemon_dies_with_its_killed_parent
    an_orphan_lives_on
    the_first_process_can_be_killed
    a_pool_does_its_tasks
    ctrl_c_interrupts_the_main_thread
    ctrl_c_interrupts_another_thread_that_answers
    an_orphan_that_nobody_reaps_gives_back_what_it_held
}

/// Other programs that this binary is, told by its arguments.
pub(crate) fn main_of_another(args: &[String]) -> Option<i32> {
    match args.first()?.as_str() {
        "killed-root" => Some(i32::from(killed_root().is_err())),
        _ => None,
    }
}

fn ctx() -> Result<Context> {
    procbox_native::Native::builder().build()
}

/// Waits for a condition; says what did not come true.
fn until(what: &str, done: impl Fn() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(20), "it never came true that {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}

fn join(p: &Process) -> Result<i32> {
    p.join_timeout(Duration::from_secs(20)).map(ExitStatus::exitcode)
}

fn one_that_ignores_its_limit_of_cpu_time_is_killed_for_it() -> Result<()> {
    let limit = Duration::from_millis(50);
    let p = ctx()?.process("ignores_its_limit").cpu_time(limit).start()?;
    assert_eq!(p.join()?, ExitStatus::limited(procbox_core::Limit::CpuTime));
    Ok(())
}

fn one_can_wait_for_125_queues_and_no_more() -> Result<()> {
    let ctx = ctx()?;
    let queues = (0..126).map(|_| ctx.queue::<u8>(1)).collect::<Result<Vec<_>>>()?;
    let all: Vec<_> = queues.iter().map(Queue::waitable).collect();
    assert!(matches!(ready(&ctx, &all, Wait::Never), Err(Error::Invalid(_))));
    let short = Wait::AtMost(Duration::from_millis(5));
    assert_eq!(ready(&ctx, &all[..125], short), Err(Error::TimedOut));
    queues[124].put(&1)?;
    assert_eq!(ready(&ctx, &all[..125], Wait::Forever)?, [124]);
    Ok(())
}

fn more_starts_than_the_process_table_has_slots() -> Result<()> {
    let ctx = ctx()?;
    for n in 0..9000 {
        let p = ctx.process("nothing").start()?;
        assert_eq!(join(&p)?, 0, "start {n}");
    }
    Ok(())
}

fn two_hundred_processes_leave_nothing_behind() -> Result<()> {
    let before_all = open_files();
    let context = ctx()?;
    assert_eq!(join(&context.process("nothing").start()?)?, 0);
    until("the first is reaped", || open_files() > 0);
    let before = open_files();
    for _ in 0..200 {
        assert_eq!(join(&context.process("nothing").start()?)?, 0);
    }
    for _ in 0..50 {
        drop(context.process("nothing").start()?);
    }
    until("no descriptor is left", || {
        assert!(context.active_children().len() <= 50);
        open_files() <= before
    });
    let children =
        std::fs::read_to_string(format!("/proc/self/task/{0}/children", std::process::id()));
    let zombies = children
        .unwrap_or_default()
        .split_whitespace()
        .filter(|pid| pid.parse().is_ok_and(|pid| !is_running(pid)))
        .count();
    assert_eq!(zombies, 0);
    drop(context);
    until("the context's descriptors are closed", || open_files() <= before_all);
    Ok(())
}

fn exit_codes() -> Result<()> {
    let ctx = ctx()?;
    let run = |name: &str| ctx.process(name).start().and_then(|p| join(&p));
    assert_eq!(run("nothing")?, 0);
    assert_eq!(run("fails")?, 1);
    assert_eq!(run("panics")?, 101);
    assert_eq!(run("aborts")?, -6);
    assert_eq!(run("overflows")?, -11);
    assert_eq!(run("writes_to_null")?, -11);
    assert_eq!(join(&ctx.process(workers::exits::worker()).args((7,)).start()?)?, 7);
    let never = ctx.event()?;
    let p = ctx.process(workers::waits_for::worker()).args((&never,)).start()?;
    assert_eq!(p.join_timeout(Duration::from_millis(1)), Err(Error::TimedOut));
    assert!(p.is_alive() && p.exitcode().is_none());
    p.terminate()?;
    assert_eq!(join(&p)?, -15);
    let p = ctx.process(workers::waits_for::worker()).args((&never,)).start()?;
    p.kill()?;
    assert_eq!(join(&p)?, -9);
    p.kill()?;
    Ok(())
}

fn output_is_captured_and_input_is_given() -> Result<()> {
    let ctx = ctx()?;
    let p = ctx
        .process(workers::prints::worker())
        .args(("hello\nworld",))
        .stdout(Output::Capture)
        .start()?;
    assert_eq!(join(&p)?, 0);
    assert_eq!(p.output()?, b"hello\nworld");
    assert_eq!(p.output()?, b"");
    let bytes = vec![b'x'; 300_000];
    let p = ctx.process("copies").stdin(Input::Bytes(bytes.clone())).stdout(Output::Capture);
    let p = p.start()?;
    assert_eq!(join(&p)?, 0);
    assert_eq!(p.output()?, bytes);
    let p = ctx.process("copies").stdin(Input::Null).stdout(Output::Null).start()?;
    assert_eq!(join(&p)?, 0);
    Ok(())
}

fn plain_programs_run_too() -> Result<()> {
    use procbox_native::{Native, Program};
    let cat = Native::builder().program(Program::open("/bin/cat")?).build()?;
    let p = cat.main(["-"]).stdin(Input::Bytes(b"abc".to_vec())).stdout(Output::Capture).start()?;
    assert_eq!(join(&p)?, 0);
    assert_eq!(p.output()?, b"abc");
    let sh = Native::builder().program(Program::open("/bin/sh")?).env("N", "5").build()?;
    assert_eq!(join(&sh.main(["-c", "exit $N"]).daemon(true).start()?)?, 5);
    assert!(matches!(sh.process("w").start(), Err(Error::NoSuchWorker { .. })));
    assert!(matches!(Program::open("/no/such"), Err(Error::NotFound(_))));
    for not in ["/etc/passwd", "/etc", "/dev/null"] {
        assert!(matches!(Program::open(not), Err(Error::NotRunnable { .. })), "{not}");
    }
    Ok(())
}

fn a_timeout_ends_a_process_and_says_so() -> Result<()> {
    let ctx = ctx()?;
    let never = ctx.event()?;
    let p = ctx
        .process(workers::waits_for::worker())
        .args((&never,))
        .timeout(Duration::from_millis(50))
        .start()?;
    let status = p.join()?;
    assert_eq!((status.exitcode(), status.limit()), (-9, Some(Limit::WallClock)));
    Ok(())
}

fn an_unknown_worker_is_named() -> Result<()> {
    match ctx()?.process("nobody").start() {
        Err(Error::NoSuchWorker { name, available }) => {
            assert_eq!(name, "nobody");
            assert!(available.iter().any(|name| name == "echoes"));
            Ok(())
        }
        other => panic!("{other:?}"),
    }
}

fn the_program_tells_its_workers() -> Result<()> {
    let exe = std::env::current_exe().map_err(|e| Error::os("current_exe", e))?;
    let program = procbox_native::Program::open(exe)?;
    assert!(program.speaks_procbox());
    let mut from_file: Vec<String> = program.workers()?.into_iter().map(|w| w.name).collect();
    let mut linked: Vec<String> = ctx()?.workers()?.into_iter().map(|w| w.name).collect();
    from_file.sort();
    linked.sort();
    assert_eq!(from_file, linked);
    assert!(program.workers()?.iter().all(|w| w.signature.as_deref() == Some("fn")));
    // A context of the program by its path starts its workers too.
    let ctx = procbox_native::Native::builder().program(program).build()?;
    assert_eq!(join(&ctx.process(workers::exits::worker()).args((3,)).start()?)?, 3);
    Ok(())
}

fn a_lock_keeps_processes_apart() -> Result<()> {
    let ctx = ctx()?;
    let (lock, cell) = (ctx.lock()?, ctx.queue::<u64>(1)?);
    cell.put(&0)?;
    let start = |_| ctx.process(workers::counts::worker()).args((&lock, &cell, 5000u64)).start();
    let those = (0..4).map(start).collect::<Result<Vec<_>>>()?;
    for p in &those {
        assert_eq!(join(p)?, 0);
    }
    assert_eq!(cell.get()?, 20_000);
    Ok(())
}

fn a_killed_holder_gives_the_lock_back() -> Result<()> {
    let ctx = ctx()?;
    let (lock, held, never) = (ctx.lock()?, ctx.event()?, ctx.event()?);
    for _ in 0..20 {
        held.clear();
        let p = ctx.process(workers::holds_lock::worker()).args((&lock, &held, &never)).start()?;
        held.wait()?;
        assert!(matches!(lock.try_lock(), Err(Error::TimedOut)));
        let waiter =
            ctx.process(workers::holds_lock::worker()).args((&lock, &held, &never)).start()?;
        waiter.kill()?;
        p.kill()?;
        let guard = lock.lock()?;
        // The waiter may have had it in between, and been killed too.
        assert!(guard.owner_died());
        drop(guard);
        join(&p)?;
        join(&waiter)?;
        drop(lock.lock()?);
        assert!(!lock.lock()?.owner_died());
    }
    Ok(())
}

fn a_lock_is_its_holders() -> Result<()> {
    let lock = ctx()?.lock()?;
    assert_eq!(lock.release(), Err(Error::NotHolder));
    let guard = lock.lock()?;
    assert!(matches!(lock.lock(), Err(Error::AlreadyHeld)));
    std::thread::scope(|s| {
        s.spawn(|| {
            assert!(matches!(lock.try_lock(), Err(Error::TimedOut)));
            assert_eq!(lock.release(), Err(Error::NotHolder));
        });
    });
    drop(guard);
    let _ = lock.acquire()?;
    lock.release()
}

fn a_killed_holder_gives_its_permit_back() -> Result<()> {
    let ctx = ctx()?;
    let (semaphore, held, never) = (ctx.semaphore(1)?, ctx.event()?, ctx.event()?);
    for _ in 0..20 {
        held.clear();
        let p = ctx
            .process(workers::holds_permit::worker())
            .args((&semaphore, &held, &never))
            .start()?;
        held.wait()?;
        assert_eq!(semaphore.try_acquire(), Err(Error::TimedOut));
        p.kill()?;
        // Nobody joins: the reaper recovers and wakes.
        semaphore.acquire()?;
        semaphore.release()?;
        assert_eq!(semaphore.available(), 1);
    }
    Ok(())
}

fn semaphore_counts() -> Result<()> {
    let ctx = ctx()?;
    let semaphore = ctx.semaphore(2)?;
    let (a, b) = (semaphore.permit()?, semaphore.permit()?);
    assert!(matches!(semaphore.try_permit(), Err(Error::TimedOut)));
    let short = Duration::from_millis(5);
    assert!(matches!(semaphore.permit_timeout(short), Err(Error::TimedOut)));
    drop(a);
    b.forget();
    assert_eq!(semaphore.available(), 1);
    semaphore.release()?;
    assert_eq!(semaphore.available(), 2);
    Ok(())
}

fn an_event_wakes_all_and_waits_run_out() -> Result<()> {
    let ctx = ctx()?;
    let event = ctx.event()?;
    assert!(!event.wait_timeout(Duration::from_millis(5))?);
    let start = |_| ctx.process(workers::waits_for::worker()).args((&event,)).start();
    let those = (0..3).map(start).collect::<Result<Vec<_>>>()?;
    event.set();
    for p in &those {
        assert_eq!(join(p)?, 0);
    }
    assert!(event.wait_timeout(Duration::MAX)?);
    event.clear();
    assert!(!event.is_set());
    Ok(())
}

fn one_producer_one_consumer_in_order() -> Result<()> {
    let ctx = ctx()?;
    for bound in [1, 16, 100_000] {
        let many = if bound == 1 { 2_000 } else { 100_000 };
        let queue = ctx.queue::<(u64, u64)>(bound)?;
        let p = ctx.process(workers::produces::worker()).args((&queue, 1u64, many)).start()?;
        for i in 0..many {
            assert_eq!(queue.get()?, (1, i));
        }
        assert_eq!(join(&p)?, 0);
        assert!(queue.is_empty());
    }
    Ok(())
}

fn four_producers_four_consumers() -> Result<()> {
    let ctx = ctx()?;
    let (queue, sums) = (ctx.queue::<(u64, u64)>(64)?, ctx.unbounded_queue::<u64>()?);
    let consumer = |_| ctx.process(workers::consumes::worker()).args((&queue, &sums)).start();
    let consumers = (0..4).map(consumer).collect::<Result<Vec<_>>>()?;
    let producer =
        |who| ctx.process(workers::produces::worker()).args((&queue, who, 5_000u64)).start();
    let producers = (0..4u64).map(producer).collect::<Result<Vec<_>>>()?;
    for p in &producers {
        assert_eq!(join(p)?, 0);
    }
    queue.close();
    for p in &consumers {
        assert_eq!(join(p)?, 0);
    }
    let sum: u64 = (0..4).map(|_| sums.get()).sum::<Result<u64>>()?;
    assert_eq!(sum, 4 * (4_999 * 5_000 / 2));
    Ok(())
}

fn a_killed_producer_never_breaks_the_queue() -> Result<()> {
    let ctx = ctx()?;
    let queue = ctx.queue::<(u64, u64)>(64)?;
    let carried = ctx.event()?;
    for round in 0..50u64 {
        let p = ctx
            .process(workers::produces_forever::worker())
            .args((&queue, round, &carried))
            .start()?;
        let mut next = 0;
        // Some are killed while they wait for room, some while they put.
        for _ in 0..(round * 37) % 1000 + 1 {
            let (who, i) = queue.get()?;
            assert_eq!((who, i), (round, next));
            next += 1;
        }
        p.kill()?;
        if round % 2 == 0 {
            join(&p)?;
        }
        while join(&p).is_ok_and(|_| !queue.is_empty()) {
            assert_eq!(queue.get()?, (round, next));
            next += 1;
        }
        assert!(matches!(queue.try_get(), Err(Error::Empty)));
        assert_eq!(queue.len(), 0);
    }
    for i in 0..64 {
        queue.try_put(&(0, i))?;
    }
    assert_eq!(queue.try_put(&(0, 64)), Err(Error::Full));
    Ok(())
}

fn a_killed_carrier_of_handles_never_breaks_the_queue() -> Result<()> {
    let ctx = ctx()?;
    let queue = ctx.queue::<(u64, Event)>(16)?;
    let event = ctx.event()?;
    for round in 0..30 {
        let p = ctx.process(workers::carries_forever::worker()).args((&queue, &event)).start()?;
        for i in 0..=round * 3 {
            let (n, carried) = queue.get()?;
            assert_eq!(n, i);
            carried.set();
            assert!(event.is_set());
            event.clear();
        }
        p.kill()?;
        join(&p)?;
        while let Ok((_, carried)) = queue.try_get() {
            carried.clear();
        }
        assert!(queue.is_empty());
    }
    Ok(())
}

fn full_empty_closed_too_large() -> Result<()> {
    let ctx = ctx()?;
    let queue = ctx.queue::<u8>(2)?;
    let short = Duration::from_millis(5);
    assert_eq!(queue.get_timeout(short), Err(Error::Empty));
    assert_eq!(queue.try_get(), Err(Error::Empty));
    queue.put(&1)?;
    queue.put(&2)?;
    assert!(queue.is_full());
    assert_eq!(queue.try_put(&3), Err(Error::Full));
    assert_eq!(queue.put_timeout(&3, short), Err(Error::Full));
    queue.close();
    assert_eq!(queue.put(&3), Err(Error::Closed));
    assert_eq!((queue.get()?, queue.get()?), (1, 2));
    assert_eq!(queue.get(), Err(Error::Closed));
    let small = ctx.queue_with::<String>(Bounds { messages: None, bytes: 100 })?;
    let too_large = small.put(&"x".repeat(200));
    assert!(matches!(too_large, Err(Error::TooLarge { limit: 100, .. })));
    let other = self::ctx()?.event()?;
    let events = ctx.queue::<Event>(1)?;
    assert_eq!(events.put(&other), Err(Error::ForeignHandle));
    Ok(())
}

fn bytes_are_bounded_too() -> Result<()> {
    let queue = ctx()?.queue_with::<()>(Bounds { messages: None, bytes: 100 })?;
    let raw = queue.raw();
    raw.put(&[1; 50], &[], Wait::Never)?;
    raw.put(&[2; 50], &[], Wait::Never)?;
    assert_eq!(raw.put(&[3], &[], Wait::Never), Err(Error::Full));
    raw.put(&[], &[], Wait::Never)?;
    let mut message = Message::default();
    raw.get(&mut message, Wait::Never)?;
    assert_eq!(message.bytes, [1; 50]);
    raw.put(&[3], &[], Wait::Never)?;
    assert_eq!(raw.len(), 3);
    Ok(())
}

fn a_message_of_64_mib() -> Result<()> {
    let ctx = ctx()?;
    let (input, output) = (ctx.unbounded_queue::<Vec<u8>>()?, ctx.unbounded_queue::<Vec<u8>>()?);
    let p = ctx.process(workers::echoes_blobs::worker()).args((&input, &output)).start()?;
    let blob: Vec<u8> = (0..64 << 20).map(|i: u32| (i ^ i >> 8) as u8).collect();
    input.raw().put(&blob, &[], Wait::Forever)?;
    let mut back = Message::default();
    output.raw().get(&mut back, Wait::Forever)?;
    assert!(back.bytes == blob);
    assert_eq!(join(&p)?, 0);
    Ok(())
}

fn handles_travel_in_messages() -> Result<()> {
    let ctx = ctx()?;
    let inbox = ctx.queue::<(Sender<String>, Event)>(1)?;
    let p = ctx.process(workers::answers_through::worker()).args((&inbox,)).start()?;
    let (receiver, sender) = ctx.simplex_pipe::<String>()?;
    let done = ctx.event()?;
    inbox.put(&(sender.clone(), done.clone()))?;
    drop(sender);
    assert!(done.wait()?);
    assert_eq!(receiver.recv()?, "hello");
    assert_eq!(join(&p)?, 0);
    assert_eq!(receiver.recv(), Err(Error::Closed));
    Ok(())
}

fn a_pipe_goes_both_ways() -> Result<()> {
    let ctx = ctx()?;
    let (here, there) = ctx.pipe::<u64>()?;
    let p = ctx.process(workers::echoes::worker()).args((&there,)).start()?;
    drop(there);
    for i in 0..100 {
        here.send(&i)?;
        assert_eq!(here.recv()?, i + 1);
    }
    assert!(!here.poll(Duration::from_millis(1))?);
    assert_eq!(here.recv_timeout(Duration::from_millis(1)), Err(Error::TimedOut));
    drop(here);
    assert_eq!(join(&p)?, 0);
    Ok(())
}

fn a_pipe_closes_when_its_other_end_is_killed() -> Result<()> {
    let ctx = ctx()?;
    for _ in 0..20 {
        let (here, there) = ctx.pipe::<u64>()?;
        let p = ctx.process(workers::echoes::worker()).args((&there,)).start()?;
        drop(there);
        here.send(&1)?;
        assert_eq!(here.recv()?, 2);
        p.kill()?;
        // Nobody joins: the reaper's recovery wakes the receiver.
        assert_eq!(here.recv(), Err(Error::Closed));
        assert_eq!(here.send(&1), Err(Error::Closed));
        assert!(here.poll(Duration::ZERO)?);
    }
    Ok(())
}

fn an_end_in_a_queue_is_not_gone() -> Result<()> {
    let ctx = ctx()?;
    let (receiver, sender) = ctx.simplex_pipe::<u64>()?;
    let post = ctx.queue::<Sender<u64>>(2)?;
    post.put(&sender)?;
    drop(sender);
    assert_eq!(receiver.try_recv(), Err(Error::TimedOut));
    let sender = post.get()?;
    sender.send(&5)?;
    post.put(&sender)?;
    drop(sender);
    assert_eq!(receiver.recv()?, 5);
    assert_eq!(receiver.try_recv(), Err(Error::TimedOut));
    // The queue goes, and the end in it with it.
    drop(post);
    assert_eq!(receiver.recv(), Err(Error::Closed));
    Ok(())
}

fn ready_says_which() -> Result<()> {
    let ctx = ctx()?;
    let queue = ctx.queue::<u8>(1)?;
    let (here, there) = ctx.pipe::<u64>()?;
    let never = ctx.event()?;
    let p = ctx.process(workers::waits_for::worker()).args((&never,)).start()?;
    let those = [queue.waitable(), here.waitable(), p.sentinel()?];
    let short = Wait::AtMost(Duration::from_millis(5));
    assert_eq!(ready(&ctx, &those, short), Err(Error::TimedOut));
    queue.put(&1)?;
    assert_eq!(ready(&ctx, &those, Wait::Forever)?, [0]);
    queue.get()?;
    there.send(&1)?;
    assert_eq!(ready(&ctx, &those, Wait::Forever)?, [1]);
    here.recv()?;
    p.kill()?;
    assert_eq!(ready(&ctx, &those, Wait::Forever)?, [2]);
    let foreign = self::ctx()?.queue::<u8>(1)?;
    assert_eq!(ready(&ctx, &[foreign.waitable()], Wait::Never), Err(Error::ForeignHandle));
    Ok(())
}

fn processes_start_processes() -> Result<()> {
    let ctx = ctx()?;
    let results = ctx.queue::<(String, u32, u32)>(8)?;
    let p =
        ctx.process(workers::parent_of_two::worker()).args((&results,)).name("middle").start()?;
    assert_eq!(results.get()?, ("middle".into(), p.pid()?, std::process::id()));
    assert_eq!(join(&p)?, 0);
    let mut names = Vec::new();
    for _ in 0..2 {
        // There when the middle one has ended: it joins its own.
        let (name, pid, parent) = results.try_get()?;
        assert!(pid != p.pid()? && parent == p.pid()?);
        names.push(name);
    }
    names.sort();
    assert_eq!(names, ["Process-1", "Process-2"]);
    Ok(())
}

fn a_daemon_dies_with_its_killed_parent() -> Result<()> {
    let ctx = ctx()?;
    let (pids, never) = (ctx.queue::<u32>(1)?, ctx.event()?);
    let (here, there) = ctx.pipe::<u64>()?;
    let p = ctx.process(workers::starts_daemon::worker()).args((&pids, &there, &never)).start()?;
    drop(there);
    let daemon = pids.get()?;
    assert!(is_running(daemon));
    here.send(&1)?;
    assert_eq!(here.recv()?, 2);
    p.kill()?;
    until("the daemon is dead", || !is_running(daemon));
    // What it held is given back, though its parent could not do it.
    until("the pipe is closed", || {
        let _ = ctx.process("nothing").start().and_then(|p| join(&p));
        here.try_recv() == Err(Error::Closed)
    });
    Ok(())
}

fn an_orphan_lives_on() -> Result<()> {
    let ctx = ctx()?;
    let (pids, end) = (ctx.queue::<u32>(1)?, ctx.queue::<u32>(1)?);
    let (ready, go) = (ctx.event()?, ctx.event()?);
    let p =
        ctx.process(workers::starts_survivor::worker()).args((&pids, &ready, &go, &end)).start()?;
    let orphan = pids.get()?;
    ready.wait()?;
    p.kill()?;
    assert_eq!(join(&p)?, -9);
    assert!(is_running(orphan));
    go.set();
    assert_eq!(end.get()?, 7);
    until("the orphan has ended", || !is_running(orphan));
    Ok(())
}

/// A first process that is killed: its daemon dies, its other child sees the pipe's end.
fn killed_root() -> Result<()> {
    let ctx = procbox_native::context()?;
    let (here, there) = ctx.pipe::<u64>()?;
    let child = ctx.process(workers::echoes::worker()).args((&there,)).start()?;
    let daemon = ctx.process(workers::echoes::worker()).args((&there,)).daemon(true).start()?;
    here.send(&1)?;
    here.recv()?;
    println!("{} {}", child.pid()?, daemon.pid()?);
    drop(there);
    std::thread::park();
    Ok(())
}

fn the_first_process_can_be_killed() -> Result<()> {
    use procbox_native::{Native, Program};
    let exe = std::env::current_exe().map_err(|e| Error::os("current_exe", e))?;
    let ctx = Native::builder().program(Program::open(exe)?).build()?;
    let p = ctx.main(["killed-root"]).stdout(Output::Capture).start()?;
    let said = std::cell::RefCell::new(Vec::new());
    until("it says its children", || {
        said.borrow_mut().extend(p.output().unwrap_or_default());
        said.borrow().ends_with(b"\n")
    });
    let said = String::from_utf8_lossy(&said.borrow()).into_owned();
    let pids: Vec<u32> = said.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    assert!(pids.len() == 2 && pids.iter().all(|pid| is_running(*pid)));
    p.kill()?;
    assert_eq!(join(&p)?, -9);
    until("both are gone", || pids.iter().all(|pid| !is_running(*pid)));
    Ok(())
}

fn a_pool_does_its_tasks() -> Result<()> {
    let ctx = ctx()?;
    let pool = ctx.pool(workers::squares::worker()).workers(3).build()?;
    let tasks = (20..220u64).map(|n| pool.apply_async((n,))).collect::<Result<Vec<_>>>()?;
    for (n, task) in (20..220).zip(&tasks) {
        assert_eq!(task.get()?, n * n);
    }
    assert!(matches!(pool.apply((13,)), Err(Error::Task(why)) if why.contains("thirteen")));
    assert_eq!(pool.apply((5,))?, 25);
    pool.close();
    pool.join()
}

fn ctrl_c_interrupts_another_thread_that_answers() -> Result<()> {
    let ctx = ctx()?;
    let (queue, ready) = (ctx.queue::<u8>(1)?, ctx.event()?);
    let answering = std::thread::spawn({
        let ready = ready.clone();
        move || {
            procbox_native::answer_ctrl_c()?;
            ready.set();
            queue.get()
        }
    });
    ready.wait()?;
    std::thread::sleep(Duration::from_millis(20));
    let me = std::process::id().to_string();
    let _ = std::process::Command::new("kill").args(["-INT", &me]).status();
    assert!(matches!(answering.join(), Ok(Err(Error::Interrupted))));
    procbox_native::clear_interrupt();
    Ok(())
}

/// The last case: this process adopts orphans from here on, and reaps none.
fn an_orphan_that_nobody_reaps_gives_back_what_it_held() -> Result<()> {
    procbox_native::adopt_orphans()?;
    let ctx = ctx()?;
    let (here, there) = ctx.pipe::<u64>()?;
    let (pids, ready, never) = (ctx.queue::<u32>(1)?, ctx.event()?, ctx.event()?);
    let args = (&pids, &there, &ready, &never);
    let parent = ctx.process(workers::starts_holder::worker()).args(args).start()?;
    drop(there);
    ready.wait()?;
    let orphan = pids.get()?;
    parent.kill()?;
    assert_eq!(join(&parent)?, -9);
    let _ = std::process::Command::new("kill").args(["-KILL", &orphan.to_string()]).status();
    assert_eq!(here.recv(), Err(Error::Closed));
    Ok(())
}

fn ctrl_c_interrupts_the_main_thread() -> Result<()> {
    use procbox_native::{answer_ctrl_c, clear_interrupt, interrupted, on_interrupt};
    use std::sync::atomic::{AtomicU32, Ordering};
    static CALLED: AtomicU32 = AtomicU32::new(0);
    let ctx = ctx()?;
    answer_ctrl_c()?;
    on_interrupt(|came| {
        CALLED.fetch_add(u32::from(came), Ordering::SeqCst);
    });
    let (queue, event, lock) = (ctx.queue::<u8>(1)?, ctx.event()?, ctx.lock()?);
    let held = ctx.event()?;
    let p = ctx.process(workers::holds_lock::worker()).args((&lock, &held, &event)).start()?;
    held.wait()?;
    let blocked: [(&str, &dyn Fn() -> Option<Error>); 5] = [
        ("get", &|| queue.get().err()),
        ("wait", &|| event.wait().err()),
        ("lock", &|| lock.lock().err()),
        ("join", &|| p.join().err()),
        ("ready", &|| ready(&ctx, &[queue.waitable()], Wait::AtMost(Duration::MAX)).err()),
    ];
    for (what, call) in blocked {
        let me = std::process::id();
        let ctrl_c = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            std::process::Command::new("kill").args(["-INT", &me.to_string()]).status()
        });
        assert_eq!(call(), Some(Error::Interrupted), "{what}");
        assert!(interrupted());
        assert!(ctrl_c.join().is_ok());
        clear_interrupt();
    }
    until("the hook was called", || CALLED.load(Ordering::SeqCst) > 0);
    // The workers of one that answers do not heed the terminal, but heed their parent.
    for _ in 0..50 {
        let p = ctx.process("waits_for").args((&event,)).start()?;
        let _ = std::process::Command::new("kill").args(["-INT", &p.pid()?.to_string()]).status();
        assert!(p.is_alive());
        p.interrupt()?;
        assert_eq!(join(&p)?, -2);
    }
    p.kill()?;
    assert_eq!(join(&p)?, -9);
    assert!(lock.lock()?.owner_died());
    Ok(())
}
