//! Waiting costs nothing: a thousand blocked processes, and what CPU time they use.

use anyhow::ensure;
use procbox::{Context, Process};
use procbox_tests::{Backend, watched};
use std::time::{Duration, Instant};

/// How many processes are blocked.
const BLOCKED: usize = 1000;
/// How long they are watched.
const WATCHED: Duration = Duration::from_secs(10);
/// What they may use of one core.
const SHARE: f64 = 0.01;

/// The CPU time of a process and its threads, in seconds: to the nanosecond, where the ticks of
/// /proc/PID/stat would hide what a thousand processes use of one each.
fn cpu_seconds(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanos = threads.filter_map(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<u64>().ok()
    });
    nanos.sum::<u64>() as f64 / 1e9
}

fn a_thousand_blocked_processes_use_no_cpu(ctx: &Context, native: bool) -> anyhow::Result<()> {
    let (started, forever) = (ctx.semaphore(0)?, ctx.event()?);
    let start = |_| ctx.process("says_so_and_blocks").args((&started, &forever)).start();
    let processes: Vec<Process> = (0..BLOCKED).map(start).collect::<procbox::Result<_>>()?;
    for _ in 0..BLOCKED {
        started.acquire()?;
    }
    let mut pids = vec![std::process::id()];
    if native {
        pids.extend(processes.iter().filter_map(|p| p.pid().ok()));
    }
    // The last of them to say so has still to block, and the runtime to come to rest.
    std::thread::sleep(Duration::from_millis(300));
    let before: f64 = pids.iter().map(|pid| cpu_seconds(*pid)).sum();
    ensure!(before > 0.0, "this kernel does not say what a thread has used");
    let began = Instant::now();
    std::thread::sleep(WATCHED);
    let used = pids.iter().map(|pid| cpu_seconds(*pid)).sum::<f64>() - before;
    let share = used / began.elapsed().as_secs_f64();
    forever.set();
    for p in processes {
        ensure!(p.join()?.success());
    }
    ensure!(share < SHARE, "they used {:.2} % of a core", share * 100.0);
    Ok(())
}

/// One after the other: what is measured is this whole process.
#[test]
fn a_thousand_blocked_processes_use_no_cpu_on_either_backend() {
    watched(Backend::Sandbox, |ctx| a_thousand_blocked_processes_use_no_cpu(ctx, false));
    watched(Backend::Native, |ctx| a_thousand_blocked_processes_use_no_cpu(ctx, true));
}
