//! The cases: what only the native backend can show. What every backend must is in the conformance suite.
//! Nothing sleeps to let something happen: it waits for the condition.

use crate::{forgotten, kernel, storm, until, workers};
use procbox_core::*;
use std::time::Duration;

pub(crate) type Case = fn() -> Result<()>;

macro_rules! cases {
    ($($name:ident)*) => { pub(crate) const ALL: &[(&str, Case)] = &[$((stringify!($name), $name)),*]; };
}

cases! {
    more_starts_than_the_process_table_has_slots
    one_that_ignores_its_limit_of_cpu_time_is_killed_for_it
    one_can_wait_for_any_number_of_queues
    a_pool_of_hundreds_of_workers_answers
    children_of_killed_and_replaced_breeders_are_never_broken
    a_start_by_a_zygote_that_is_killed_or_stopped_fails_or_runs_but_not_both
    output_is_captured_and_input_is_given
    plain_programs_run_too
    the_program_tells_its_workers
    a_lock_is_its_threads
    what_a_process_has_for_another_comes_back_when_it_is_killed
    a_killed_carrier_of_handles_never_breaks_the_queue
    a_daemon_dies_with_its_killed_parent
    the_first_process_can_be_killed
    any_thread_of_an_orphan_learns_of_its_parents_death
    ctrl_c_interrupts_the_main_thread
    ctrl_c_interrupts_another_thread_that_answers
    what_procbox_passes_on_and_what_its_group_had_are_one_ctrl_c
    an_orphan_that_nobody_reaps_gives_back_what_it_held
}

/// Other programs that this binary is, told by its arguments.
pub(crate) fn main_of_another(args: &[String]) -> Option<i32> {
    match args.first()?.as_str() {
        "killed-root" => Some(i32::from(killed_root(workers::echoes::worker()).is_err())),
        "killed-root-of-threads" => {
            Some(i32::from(killed_root(workers::echoes_in_a_thread::worker()).is_err()))
        }
        storm::PARENT => Some(i32::from(storm::parent().is_err())),
        "asked-twice" => Some(asked_twice().map_or(1, |()| 0)),
        kernel::ARGUMENT => kernel::program().err().map_or(Some(0), |e| {
            eprintln!("{e}");
            Some(1)
        }),
        forgotten::ARGUMENT => {
            let ended = forgotten::program(args.get(1)?)?();
            ended.err().map_or(Some(0), |e| {
                eprintln!("{e}");
                Some(1)
            })
        }
        _ => None,
    }
}

/// As the program has it that embeds sandboxed processes.
fn what_a_process_has_for_another_comes_back_when_it_is_killed() -> Result<()> {
    let ctx = ctx()?;
    let (lock, held) = (ctx.lock()?, ctx.event()?);
    for _ in 0..20 {
        let p = ctx.process(workers::has_for_another::worker()).args((&lock, &held)).start()?;
        held.wait()?;
        held.clear();
        assert_eq!(lock.try_lock().err(), Some(Error::TimedOut));
        let waits = || lock.lock().map(|guard| guard.owner_died());
        let told = std::thread::scope(|scope| {
            let waiter = scope.spawn(waits);
            p.kill()?;
            waiter.join().map_err(|_| Error::Closed)?
        })?;
        assert!(told);
        assert!(!lock.lock()?.owner_died());
        p.join()?;
    }
    let raw = workers::raw(&lock)?;
    assert!(!raw.acquire_for()?.owner_died);
    assert_eq!(lock.try_lock().err(), Some(Error::TimedOut));
    raw.release_for(true)?;
    assert_eq!(raw.release_for(true), Err(Error::NotHolder));
    assert!(lock.lock()?.owner_died());
    let guard = lock.lock()?;
    assert_eq!(raw.acquire_for(), Err(Error::TimedOut));
    assert_eq!(raw.release_for(false), Err(Error::NotHolder));
    drop(guard);
    Ok(())
}

fn ctx() -> Result<Context> {
    procbox_native::Native::builder().build()
}

pub(crate) fn is_running(pid: u32) -> bool {
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

fn one_can_wait_for_any_number_of_queues() -> Result<()> {
    let ctx = ctx()?;
    for many in [1usize, 124, 125, 126, 127, 128, 129, 1000] {
        let queues = (0..many).map(|_| ctx.queue::<(u64, u64)>(1)).collect::<Result<Vec<_>>>()?;
        let all: Vec<_> = queues.iter().map(Queue::waitable).collect();
        assert_eq!(ready(&ctx, &all, Wait::Never), Err(Error::TimedOut), "{many}");
        let short = Wait::AtMost(Duration::from_millis(5));
        assert_eq!(ready(&ctx, &all, short), Err(Error::TimedOut), "{many}");
        // Whichever it is that a process puts into, and when.
        for at in [0, many / 2, many - 1] {
            let args = (&queues[at], at as u64, 1);
            let p = ctx.process(workers::produces::worker()).args(args).start()?;
            assert_eq!(ready(&ctx, &all, Wait::Forever)?, [at], "{many}");
            assert_eq!(queues[at].get()?.0, at as u64);
            // Its end is seen among them too.
            let with_it = [&all[..], &[p.sentinel()?]].concat();
            assert_eq!(ready(&ctx, &with_it, Wait::Forever)?, [many]);
            assert_eq!(join(&p)?, 0);
        }
        queues[many - 1].close();
        assert_eq!(ready(&ctx, &all, Wait::Forever)?, [many - 1], "{many}");
    }
    Ok(())
}

fn a_pool_of_hundreds_of_workers_answers() -> Result<()> {
    let ctx = ctx()?;
    let pool = ctx.pool(workers::takes::worker()).workers(300).chunk_size(1).build()?;
    for _ in 0..3 {
        assert_eq!(pool.map(0..3000u64)?.len(), 3000);
    }
    Ok(())
}

/// The slots of dead processes are used again while these are being recovered.
fn children_of_killed_and_replaced_breeders_are_never_broken() -> Result<()> {
    let ctx = ctx()?;
    let done = ctx.queue::<u64>(64)?;
    let breeder = || ctx.process(workers::breeds::worker()).args((&done,)).start();
    let mut breeders = (0..4).map(|_| breeder()).collect::<Result<Vec<_>>>()?;
    let mut random = 0x2545_f491_4f6c_dd1du64;
    for round in 0..5000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // As many children of any of them later.
        for _ in 0..random % 4 {
            done.get_timeout(Duration::from_secs(20))?;
        }
        let victim = (random >> 32) as usize % breeders.len();
        // One that had ended had met a child that was broken.
        breeders[victim].kill()?;
        assert_eq!(join(&breeders[victim])?, -9, "round {round}");
        breeders[victim] = breeder()?;
    }
    for breeder in breeders {
        breeder.kill()?;
        assert_eq!(join(&breeder)?, -9);
    }
    Ok(())
}

/// The zygotes of this process.
fn zygotes() -> Vec<String> {
    let mut found = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for pid in children.split_whitespace() {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.trim() == "procbox-zygote" {
                found.push(pid.to_string());
            }
        }
    }
    found
}

fn a_start_by_a_zygote_that_is_killed_or_stopped_fails_or_runs_but_not_both() -> Result<()> {
    let before = zygotes();
    let ctx = ctx()?;
    let ran = ctx.queue::<(u64, u64)>(1000)?;
    let mut started = Vec::new();
    for number in 0..200u64 {
        // Most starts make a new zygote.
        let _ = ctx.process("nothing").start().and_then(|p| join(&p));
        let zygote = zygotes().into_iter().find(|pid| !before.contains(pid));
        let how = if number % 50 == 49 { "-STOP" } else { "-KILL" };
        let killer = std::thread::spawn(move || {
            // None if it was killed just now.
            zygote.map(|pid| std::process::Command::new("kill").args([how, &pid]).status())
        });
        let p = ctx.process(workers::answers::worker()).args((&ran, number)).start();
        if let Ok(p) = p {
            assert_eq!(join(&p)?, 0, "start {number}");
            started.push(number);
        }
        let _ = killer.join();
    }
    let mut answered = Vec::new();
    while let Ok((number, _)) = ran.try_get() {
        answered.push(number);
    }
    assert_eq!(answered, started);
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

fn a_lock_is_its_threads() -> Result<()> {
    let lock = ctx()?.lock()?;
    let guard = lock.lock()?;
    std::thread::scope(|s| {
        s.spawn(|| {
            assert!(matches!(lock.try_lock(), Err(Error::TimedOut)));
            assert_eq!(lock.release(), Err(Error::NotHolder));
        });
    });
    drop(guard);
    drop(lock.lock()?);
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

/// A first process that is killed: its daemon dies, its other child sees the pipe's end.
fn killed_root(worker: Worker<(Pipe<u64>,), (), ()>) -> Result<()> {
    let ctx = procbox_native::context()?;
    let (here, there) = ctx.pipe::<u64>()?;
    let child = ctx.process(worker).args((&there,)).start()?;
    let daemon = ctx.process(workers::echoes::worker()).args((&there,)).daemon(true).start()?;
    here.send(&1)?;
    here.recv()?;
    println!("{} {}", child.pid()?, daemon.pid()?);
    drop(there);
    std::thread::park();
    Ok(())
}

fn the_first_process_can_be_killed() -> Result<()> {
    kills_the_first_process("killed-root")
}

/// The main thread sleeps, and in nothing of procbox's.
fn any_thread_of_an_orphan_learns_of_its_parents_death() -> Result<()> {
    kills_the_first_process("killed-root-of-threads")
}

fn kills_the_first_process(program: &str) -> Result<()> {
    use procbox_native::{Native, Program};
    let exe = std::env::current_exe().map_err(|e| Error::os("current_exe", e))?;
    let ctx = Native::builder().program(Program::open(exe)?).build()?;
    let p = ctx.main([program]).stdout(Output::Capture).start()?;
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

/// Sends this process a SIGINT as `interrupt` of a program does.
fn pass_on() {
    let nothing = nix::libc::sigval { sival_ptr: std::ptr::null_mut() };
    // SAFETY: the call reads its arguments only, and SIGINT has a handler.
    assert_eq!(unsafe { nix::libc::sigqueue(nix::libc::getpid(), nix::libc::SIGINT, nothing) }, 0);
    until("it is noted", procbox_native::interrupted);
}

/// Sends this process a SIGINT as `kill` does; when this returns, it was handled.
fn ask() -> Result<()> {
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGINT).map_err(|e| Error::os("raise", e))
}

/// A second one of another sender ends the process, so that this does not return.
fn asked_twice() -> Result<()> {
    procbox_native::answer_ctrl_c()?;
    pass_on();
    ask()?;
    ask()
}

fn what_procbox_passes_on_and_what_its_group_had_are_one_ctrl_c() -> Result<()> {
    procbox_native::answer_ctrl_c()?;
    pass_on();
    ask()?;
    procbox_native::clear_interrupt();
    ask()?;
    pass_on();
    procbox_native::clear_interrupt();
    assert!(!procbox_native::interrupted());
    assert_eq!(ctx()?.main(["asked-twice"]).start()?.join()?.exitcode(), 130);
    Ok(())
}
