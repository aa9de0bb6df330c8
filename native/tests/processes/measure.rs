//! Rough numbers for the work that the design sets goals for; the benchmarks are in `benches/`.

use crate::workers;
use procbox_core::{Result, Semaphore, Wait};
use std::process::Command;
use std::time::{Duration, Instant};

fn say(what: &str, each: Duration) {
    println!("{what}: {:.1} ns", each.as_nanos() as f64);
}

/// All of them, or those of starting processes.
pub(crate) fn all(starts_only: bool) {
    let done = if starts_only {
        procbox_native::context().and_then(|ctx| starting(&ctx))
    } else {
        measure()
    };
    if let Err(e) = done {
        println!("{e}");
    }
}

fn measure() -> Result<()> {
    let ctx = procbox_native::context()?;
    let lock = ctx.lock()?;
    let many = 2_000_000u32;
    let begin = Instant::now();
    for _ in 0..many {
        let _ = lock.acquire()?;
        lock.release()?;
    }
    println!("lock: {:.1} ns", begin.elapsed().as_nanos() as f64 / f64::from(many));

    let raw = ctx.raw().semaphore(1)?;
    let permits = Semaphore::from_raw(raw.clone());
    for _ in 0..3 {
        let begin = Instant::now();
        for _ in 0..many {
            raw.acquire(Wait::Forever)?;
            raw.release()?;
        }
        let without = begin.elapsed().as_nanos() as f64 / f64::from(many);
        let begin = Instant::now();
        for _ in 0..many {
            drop(permits.permit()?);
        }
        let each = begin.elapsed().as_nanos() as f64 / f64::from(many);
        println!("permit: {each:.1} ns, {without:.1} ns without the thread's account of it");
    }

    // The peer: a robust pthread mutex between processes.
    // SAFETY: initialised as the manual says, and used by this thread alone.
    let each = unsafe {
        use nix::libc::*;
        let mut attributes = std::mem::zeroed();
        let mut mutex = std::mem::zeroed();
        pthread_mutexattr_init(&mut attributes);
        pthread_mutexattr_setpshared(&mut attributes, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&mut attributes, PTHREAD_MUTEX_ROBUST);
        pthread_mutex_init(&mut mutex, &attributes);
        let begin = Instant::now();
        for _ in 0..many {
            pthread_mutex_lock(&mut mutex);
            pthread_mutex_unlock(&mut mutex);
        }
        begin.elapsed().as_nanos() as f64 / f64::from(many)
    };
    println!("pthread robust: {each:.1} ns");

    for bound in [1024, 1 << 20] {
        let queue = ctx.queue::<(u64, u64)>(bound)?;
        let many = 1_000_000u32;
        let p = ctx
            .process(workers::produces::worker())
            .args((&queue, 1u64 << 60, u64::from(many)))
            .start()?;
        queue.get()?;
        let begin = Instant::now();
        for _ in 1..many {
            queue.get()?;
        }
        println!("queue/{bound}: {:.1} ns", begin.elapsed().as_nanos() as f64 / f64::from(many));
        p.join()?;
    }
    let queue = ctx.queue::<()>(1024)?;
    let p = ctx.process(workers::produces_64::worker()).args((&queue, 1_000_000u64)).start()?;
    let mut message = procbox_core::raw::Message::default();
    queue.raw().get(&mut message, Wait::Forever)?;
    let begin = Instant::now();
    for _ in 1..1_000_000 {
        queue.raw().get(&mut message, Wait::Forever)?;
    }
    say("queue/64B/1p1c", begin.elapsed() / 1_000_000);
    p.join()?;

    let (here, there) = ctx.pipe::<u64>()?;
    let p = ctx.process(workers::echoes::worker()).args((&there,)).start()?;
    drop(there);
    let begin = Instant::now();
    for i in 0..20_000 {
        here.send(&i)?;
        here.recv()?;
    }
    say("pipe round trip", begin.elapsed() / 20_000);
    drop(here);
    p.join()?;

    starting(&ctx)
}

fn starting(ctx: &procbox_core::Context) -> Result<()> {
    let mut starting = Duration::ZERO;
    let begin = Instant::now();
    for _ in 0..500 {
        let begin = Instant::now();
        let p = ctx.process("nothing").start()?;
        starting += begin.elapsed();
        p.join()?;
    }
    say("start+join", begin.elapsed() / 500);
    say("start alone", starting / 500);
    let begin = Instant::now();
    for _ in 0..200 {
        let _ = Command::new("/bin/true").status();
    }
    say("std::process true", begin.elapsed() / 200);
    let begin = Instant::now();
    for _ in 0..500 {
        // SAFETY: the child does nothing but exit.
        unsafe {
            match nix::libc::fork() {
                0 => nix::libc::_exit(0),
                pid => nix::libc::waitpid(pid, std::ptr::null_mut(), 0),
            };
        }
    }
    say("fork+wait", begin.elapsed() / 500);
    Ok(())
}
