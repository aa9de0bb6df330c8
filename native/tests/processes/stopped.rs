//! Processes that are stopped (SIGSTOP) wherever they are, also inside a queue, a semaphore or a
//! transaction: they stay so until their neighbours' calls have returned. So a call that waits for a
//! stopped process hangs here, and no test has to say how long a wait may last.

use crate::cases::Case;
use crate::{until, workers};
use procbox_core::{Context, Error, Event, Process, Queue, Result, Semaphore};
use std::time::Duration;

/// The cases.
pub(crate) const ALL: &[(&str, Case)] = &[
    ("bounded_waits_end_whatever_a_stopped_process_holds", bounded_waits_end),
    ("ctrl_c_is_answered_whatever_a_stopped_process_holds", ctrl_c_is_answered),
    ("what_is_dropped_beside_a_stopped_process_is_gone_in_the_end", what_is_dropped_is_gone),
];

const SHORT: Duration = Duration::from_millis(20);

struct World {
    ctx: Context,
    large: Queue<Vec<u8>>,
    handles: Queue<Vec<Event>>,
    permits: Semaphore,
    events: Vec<Event>,
    worker: Process,
}

fn signal(process: &Process, signal: &str) -> Result<()> {
    let pid = process.pid()?.to_string();
    std::process::Command::new("kill")
        .args([signal, &pid])
        .status()
        .map(drop)
        .map_err(|e| Error::os("kill", e))
}

fn state(process: &Process) -> Option<char> {
    let pid = process.pid().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

impl World {
    fn new() -> Result<World> {
        let ctx = procbox_native::Native::builder().build()?;
        let (large, handles) = (ctx.queue(4)?, ctx.queue(4)?);
        let permits = ctx.semaphore(2)?;
        let events = (0..100).map(|_| ctx.event()).collect::<Result<Vec<_>>>()?;
        let args = (&large, &handles, &permits, &events);
        let worker = ctx.process(workers::works_on::worker()).args(args).daemon(true).start()?;
        // It is in the middle of it once something has come.
        large.get()?;
        Ok(World { ctx, large, handles, permits, events, worker })
    }

    /// Runs `work` while the worker is stopped, at a moment of this round's own.
    fn while_stopped(&self, round: u32, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut spin = u64::from(round).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 46;
        while spin > 0 {
            std::hint::black_box(&mut spin);
            spin -= 1;
        }
        signal(&self.worker, "-STOP")?;
        until("it is stopped", || state(&self.worker) == Some('T'));
        let done = work();
        signal(&self.worker, "-CONT")?;
        done
    }

    /// Nothing is broken: the worker works on, and so does this process.
    fn still_works(&self) -> Result<()> {
        let patience = Duration::from_secs(20);
        self.large.get_timeout(patience)?;
        self.handles.get_timeout(patience)?;
        self.permits.permit_timeout(patience).map(drop)?;
        self.ctx.lock()?.lock().map(drop)?;
        assert!(self.worker.is_alive());
        Ok(())
    }
}

/// A wait that ran out, or did not have to.
fn bounded<T>(what: &str, result: Result<T>) -> Option<T> {
    match result {
        Ok(it) => Some(it),
        Err(Error::Full | Error::Empty | Error::TimedOut) => None,
        Err(e) => panic!("{what}: {e}"),
    }
}

fn bounded_waits_end() -> Result<()> {
    let world = World::new()?;
    let one_mebibyte = vec![1u8; 1 << 20];
    for round in 0..12 {
        world.while_stopped(round, || {
            bounded("put", world.large.put_timeout(&one_mebibyte, SHORT));
            bounded("get", world.large.get_timeout(SHORT));
            bounded("put handles", world.handles.put_timeout(&world.events, SHORT));
            bounded("get handles", world.handles.get_timeout(SHORT));
            bounded("try_put", world.large.try_put(&one_mebibyte));
            bounded("try_get", world.handles.try_get());
            // A guard that is dropped gives its permit back, and waits for nobody.
            bounded("permit", world.permits.permit_timeout(SHORT));
            // So is it with one who waits for the end of a process that is ended.
            bounded("join", world.worker.join_timeout(SHORT));
            Ok(())
        })?;
        world.still_works()?;
    }
    Ok(())
}

fn ctrl_c_is_answered() -> Result<()> {
    procbox_native::answer_ctrl_c()?;
    let world = World::new()?;
    for round in 0..8 {
        world.while_stopped(round, || {
            let calls: [&dyn Fn() -> Result<()>; 5] = [
                &|| world.large.get().map(drop),
                &|| world.handles.get().map(drop),
                &|| world.handles.put(&world.events),
                &|| world.ctx.event().map(drop),
                &|| world.permits.permit().map(drop),
            ];
            for call in calls {
                let me = std::process::id().to_string();
                let _ = std::process::Command::new("kill").args(["-INT", &me]).status();
                match call() {
                    Ok(()) | Err(Error::Interrupted) => {}
                    Err(e) => return Err(e),
                }
                procbox_native::clear_interrupt();
            }
            Ok(())
        })?;
        world.still_works()?;
    }
    Ok(())
}

fn what_is_dropped_is_gone() -> Result<()> {
    let world = World::new()?;
    for round in 0..10 {
        let (here, there) = world.ctx.pipe::<u8>()?;
        // Dropped while the arena may be locked, and so closed in the background.
        world.while_stopped(round, || {
            drop(there);
            Ok(())
        })?;
        assert_eq!(here.recv(), Err(Error::Closed));
        world.still_works()?;
    }
    Ok(())
}
