//! The instruction walk: a process is ended after the first machine instruction of an operation, another
//! one after the second, and so on through all of it; and every time its neighbours work on, and nothing is
//! lost but what was in dead hands.
//!
//! The process is traced, step by step. Among the tests a few dozen instructions of each operation are
//! tried, others every time that the operation changes; `make walk` tries them all.

use crate::cases::Case;
use crate::space::filled;
use crate::{until, workers};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use procbox_core::{
    Barrier, Bytes, Condition, Context, Error, Event, JoinableQueue, Lock, Pipe, Process, Queue,
    Result, RwLock, Semaphore,
};
use procbox_native::SharedMemory;
use std::cell::OnceCell;
use std::time::Duration;

/// The cases.
pub(crate) const ALL: &[(&str, Case)] = &[
    ("killed_after_any_instruction_of_a_message_nothing_is_lost", || sampled(OF_MESSAGES)),
    ("killed_after_any_instruction_of_another_call_nothing_is_lost", || sampled(OTHERS)),
    ("stopped_after_any_instruction_of_a_message_it_keeps_no_bounded_wait", || {
        stopped(OF_MESSAGES)
    }),
    ("stopped_after_any_instruction_of_another_call_it_keeps_no_bounded_wait", || stopped(OTHERS)),
];

/// The operations, by the names that the worker `walked` knows.
const OF_MESSAGES: &[&str] = &[
    "put",
    "put_large",
    "put_handle",
    "put_full",
    "get",
    "get_large",
    "get_handle",
    "get_empty",
    "put_apart",
    "get_apart",
    "loan",
    "get_loaned",
    "drop_loan",
    "send",
    "recv",
    "recv_empty",
];
const OTHERS: &[&str] = &[
    "lock",
    "lock_held",
    "permit",
    "permit_none",
    "set",
    "wait",
    "read",
    "write",
    "write_waits",
    "condition",
    "put_item",
    "take_item",
    "pass",
    "create",
    "drop",
    "circle",
    "start",
];

/// Of each operation so many instructions are tried among the tests, or fewer, if they take more steps than that.
const SAMPLES: u64 = 10;
const STEPS: u64 = 6000;
/// The parts of an operation between which one is stopped among the tests.
const STOPS: u64 = 4;
/// The bound of a wait beside one that is stopped.
const SHORT: Duration = Duration::from_millis(20);
/// A neighbour that waits longer hangs.
const HANG: Duration = Duration::from_secs(20);
/// The end of an operation that waits for what does not come.
pub(crate) const BRIEF: Duration = Duration::from_millis(2);
/// A message that needs a new segment behind four of these, and no fewer. (The processor steps through
/// every few bytes of a copy.)
pub(crate) const LARGE: usize = 1000;
const BEFORE: usize = 16_250;
/// A message that has a block of its own.
pub(crate) const APART: usize = 17_000;
/// The last message: who gets it has got all.
pub(crate) const LAST: u8 = 9;

/// What stands on ledgers.
pub(crate) type Ledgers = (RwLock, Condition, JoinableQueue<u64>, Barrier);

/// What the walked process and its neighbours have.
struct World {
    ctx: Context,
    q: Queue<Bytes>,
    carry: Queue<Event>,
    lock: Lock,
    permits: Semaphore,
    event: Event,
    ledgers: Ledgers,
    ends: (Pipe<Bytes>, Pipe<Bytes>),
    forwarded: Queue<Bytes>,
    contends: Process,
    /// What the arena was filled with when the first one had ended.
    filled: OnceCell<SharedMemory>,
}

impl World {
    fn new() -> Result<World> {
        let ctx = procbox_native::Native::builder().build()?;
        let (lock, permits, event) = (ctx.lock()?, ctx.semaphore(2)?, ctx.event()?);
        let ledgers = (ctx.rwlock()?, ctx.condition()?, ctx.joinable_queue(4)?, ctx.barrier(2)?);
        let args = (&lock, &permits, &ledgers);
        let contends = ctx.process(workers::contends::worker()).args(args).daemon(true).start()?;
        Ok(World {
            q: ctx.queue(4)?,
            carry: ctx.queue(4)?,
            forwarded: ctx.queue(16)?,
            ends: ctx.pipe()?,
            ctx,
            lock,
            permits,
            event,
            ledgers,
            contends,
            filled: OnceCell::new(),
        })
    }

    /// What there is before the operation; how many messages of it may be lost.
    fn prepare(&self, operation: &str) -> Result<()> {
        match operation {
            "put_full" => (0..4).try_for_each(|_| self.q.put(&sevens(8))),
            "put_large" => self.fill_segment(),
            "get" => self.q.put(&sevens(100)),
            "get_large" => {
                self.fill_segment()?;
                self.q.put(&sevens(LARGE))?;
                self.q.get().map(drop)
            }
            "get_apart" | "get_loaned" => self.q.put(&sevens(APART)),
            "get_handle" => self.carry.put(&self.ctx.event()?),
            "recv" => self.ends.1.send(&sevens(100)),
            "take_item" => self.ledgers.2.put(&7),
            _ => Ok(()),
        }
    }

    /// Fills a segment of the queue, so that only the last message in it is there, and the next one goes
    /// into another.
    fn fill_segment(&self) -> Result<()> {
        let memory = || filled(&self.ctx).messages_bytes;
        loop {
            let before = memory();
            self.q.put(&sevens(100))?;
            let is_new = memory() > before;
            self.q.get()?;
            if is_new {
                break;
            }
        }
        for _ in 0..3 {
            self.q.put(&sevens(BEFORE))?;
            self.q.get()?;
        }
        self.q.put(&sevens(BEFORE))
    }

    fn start(&self, operation: &str) -> Result<Process> {
        let args = (
            operation.to_string(),
            &self.q,
            &self.carry,
            &self.lock,
            &self.permits,
            &self.event,
            &self.ends.0,
            &self.ledgers,
        );
        // A daemon may not start processes.
        let process = self.ctx.process(workers::walked::worker()).args(args);
        process.daemon(operation != "start").start()
    }

    /// Neighbours go on, and what is there is whole.
    fn check(&self, operation: &str, at: &str) -> Result<()> {
        let (mut found, mut carried) = (Vec::new(), 0);
        let last = Bytes(vec![LAST]);
        while self.q.is_full() {
            found.push(self.q.get_timeout(HANG)?);
        }
        self.q.put_timeout(&last, HANG)?;
        loop {
            match self.q.get_timeout(HANG)? {
                it if it == last => break,
                message => found.push(message),
            }
        }
        assert!(
            found.iter().all(|it| it.0.iter().all(|byte| *byte == 7)),
            "{operation}, {at}: {found:?}"
        );
        let sizes: Vec<usize> = found.iter().map(|it| it.0.len()).collect();
        let whole: &[&[usize]] = match operation {
            "put" => &[&[], &[100]],
            "put_large" => &[&[BEFORE], &[BEFORE, LARGE]],
            "put_full" => &[&[8; 4]],
            "get" => &[&[], &[100]],
            "get_large" => &[&[], &[LARGE]],
            "put_apart" | "loan" | "get_apart" | "get_loaned" => &[&[], &[APART]],
            _ => &[&[]],
        };
        assert!(whole.contains(&&sizes[..]), "{operation}, {at}: {sizes:?}");
        self.carry.put_timeout(&self.event, HANG)?;
        while !self.carry.is_empty() {
            let event = self.carry.get_timeout(HANG)?;
            event.set();
            carried += 1;
        }
        let most = if operation.ends_with("_handle") { 2 } else { 1 };
        assert!((1..=most).contains(&carried), "{operation}, {at}: {carried}");
        self.ends.1.send_timeout(&last, HANG)?;
        let mut received = 0;
        loop {
            match self.ends.0.recv_timeout(HANG)? {
                it if it == last => break,
                message => assert!(message == sevens(100), "{operation}, {at}: {message:?}"),
            }
            received += 1;
        }
        assert!(received <= usize::from(operation == "recv"), "{operation}, {at}: {received}");
        while self.ends.1.poll(Duration::ZERO)? {
            assert_eq!(self.ends.1.recv()?, sevens(100), "{operation}, {at}");
        }
        drop(self.lock.lock_timeout(HANG)?);
        // The one that contends has one of them now and then.
        let both = (self.permits.permit_timeout(HANG)?, self.permits.permit_timeout(HANG)?);
        assert_eq!(self.permits.try_permit().err(), Some(Error::TimedOut), "{operation}, {at}");
        drop(both);
        assert!(self.contends.is_alive(), "{operation}, {at}: {:?}", self.contends.status());
        self.event.clear();
        self.check_ledgers(operation, at)?;
        self.forward(operation, at)?;
        self.nothing_is_left(operation, at);
        Ok(())
    }

    /// What stands on ledgers has nothing of the dead.
    fn check_ledgers(&self, operation: &str, at: &str) -> Result<()> {
        let (shared, condition, items, barrier) = &self.ledgers;
        // One dies with it, at most, before it has written: then all are told until somebody writes.
        drop(shared.write_timeout(HANG)?);
        // One at a time: the one that contends may wait to write, and goes before a second one.
        drop(shared.read_timeout(HANG)?);
        drop(condition.lock_timeout(HANG)?);
        assert_eq!(condition.notify_all()?, 0, "{operation}, {at}: the dead wait");
        let mut found = 0;
        while !items.is_empty() {
            assert_eq!(items.get_timeout(HANG)?, 7, "{operation}, {at}");
            items.task_done()?;
            found += 1;
        }
        items.join_timeout(HANG)?;
        let most = match operation {
            "stopped" => 2,
            _ => usize::from(operation.ends_with("_item")),
        };
        assert!(found <= most, "{operation}, {at}: {found}");
        assert_eq!(items.undone()?, 0, "{operation}, {at}");
        if operation != "pass" && operation != "stopped" {
            assert!(!barrier.is_broken()?, "{operation}, {at}");
        }
        barrier.reset()?;
        assert_eq!((barrier.waiting()?, barrier.is_broken()?), (0, false), "{operation}, {at}");
        assert_eq!(barrier.try_wait(), Err(Error::TimedOut), "{operation}, {at}");
        Ok(())
    }

    /// The arena is filled with no more than before: what was in dead hands is given back.
    fn nothing_is_left(&self, operation: &str, at: &str) {
        until(&format!("{operation}, {at}: two processes are left"), || {
            filled(&self.ctx).processes == 2
        });
        let before = self.filled.get_or_init(|| filled(&self.ctx));
        until(&format!("{operation}, {at}: {before:?}"), || {
            let now = filled(&self.ctx);
            // What this process has written down of what it holds grows by pieces.
            let records = now.processes_bytes.saturating_sub(before.processes_bytes);
            records <= 1024
                && (now.primitives, now.messages_bytes)
                    == (before.primitives, before.messages_bytes)
        });
    }

    /// One who waited all the while is woken.
    fn forward(&self, operation: &str, at: &str) -> Result<()> {
        let p = self.ctx.process(workers::forwards_one::worker());
        let p = p.args((&self.q, &self.forwarded)).daemon(true).start()?;
        self.q.put_timeout(&sevens(3), HANG)?;
        let got = self.forwarded.get_timeout(HANG)?;
        assert_eq!(got, sevens(3), "{operation}, {at}");
        assert_eq!(p.join_timeout(HANG)?.exitcode(), 0);
        Ok(())
    }
}

fn sevens(size: usize) -> Bytes {
    Bytes(vec![7; size])
}

/// A process that is traced by the calling thread.
struct Traced(Pid);

impl Traced {
    /// Begins to trace a child that has stopped itself.
    fn begin(process: &Process) -> Result<Traced> {
        let pid = process.pid()?;
        let stopped = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        };
        until("the process stops itself", stopped);
        let traced = Traced(Pid::from_raw(pid as i32));
        traced.ptrace(libc::PTRACE_ATTACH)?;
        assert!(matches!(traced.wait(), WaitStatus::Stopped(..)));
        // Its other threads would stand still as long as it counts as stopped.
        kill(traced.0, Signal::SIGCONT).map_err(|e| Error::os("kill", e))?;
        Ok(traced)
    }

    fn ptrace(&self, request: libc::c_uint) -> Result<()> {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: these requests read and write nothing of this process.
        match unsafe { libc::ptrace(request, self.0.as_raw(), none, none) } {
            -1 => Err(Error::os("ptrace", std::io::Error::last_os_error())),
            _ => Ok(()),
        }
    }

    fn wait(&self) -> WaitStatus {
        waitpid(self.0, None).unwrap_or(WaitStatus::StillAlive)
    }

    /// Runs so many instructions, or up to the end of the operation; how many it were.
    fn step(&self, most: u64) -> Result<u64> {
        for done in 0..most {
            self.ptrace(libc::PTRACE_SINGLESTEP)?;
            match self.wait() {
                WaitStatus::Stopped(_, Signal::SIGUSR2) => return Ok(done),
                // Signals that come meanwhile are not passed on: its stop of before is one.
                WaitStatus::Stopped(..) => {}
                other => {
                    return Err(Error::Invalid(format!("{:?} after {done}: {other:?}", self.0)));
                }
            }
        }
        Ok(most)
    }
}

/// Ends a process after so many instructions of an operation; how many it took.
fn kill_after(world: &World, operation: &str, instructions: u64) -> Result<u64> {
    world.prepare(operation)?;
    let process = world.start(operation)?;
    let traced = Traced::begin(&process)?;
    let done = traced.step(instructions)?;
    process.kill()?;
    assert_eq!(process.join_timeout(HANG)?.exitcode(), -9, "{operation} after {done}");
    world.check(operation, &format!("after {done} instructions"))?;
    Ok(done)
}

/// Stops a process after so many instructions of an operation: nobody who waits with a bound waits longer
/// than for that, and then it goes on, and so does all.
fn stop_after(world: &World, operation: &str, instructions: u64) -> Result<u64> {
    world.prepare(operation)?;
    let process = world.start(operation)?;
    let traced = Traced::begin(&process)?;
    let done = traced.step(instructions)?;
    let at = format!("{operation}, stopped after {done} instructions");
    let bounded = |what: &str, result: Result<()>| match result {
        Ok(()) | Err(Error::Full | Error::Empty | Error::TimedOut) => {}
        Err(e) => panic!("{at}: {what}: {e}"),
    };
    bounded("put", world.q.put_timeout(&sevens(LARGE), SHORT));
    bounded("get", world.q.get_timeout(SHORT).map(drop));
    bounded("put a handle", world.carry.put_timeout(&world.event, SHORT));
    bounded("get a handle", world.carry.get_timeout(SHORT).map(drop));
    bounded("send", world.ends.1.send_timeout(&sevens(100), SHORT));
    bounded("recv", world.ends.0.recv_timeout(SHORT).map(drop));
    bounded("lock", world.lock.lock_timeout(SHORT).map(drop));
    bounded("permit", world.permits.permit_timeout(SHORT).map(drop));
    world.event.set();
    bounded("wait", world.event.wait_timeout(SHORT).map(drop));
    bounded("read", world.ledgers.0.read_timeout(SHORT).map(drop));
    bounded("write", world.ledgers.0.write_timeout(SHORT).map(drop));
    bounded("put an item", world.ledgers.2.put_timeout(&7, SHORT));
    bounded("take an item", world.ledgers.2.get_timeout(SHORT).map(drop));
    bounded("join", process.join_timeout(SHORT).map(drop));
    traced.ptrace(libc::PTRACE_DETACH)?;
    // To the end of the operation, which it says by a signal; one that has said so returns.
    let ended = process.join_timeout(HANG)?.exitcode();
    assert!([0, -(Signal::SIGUSR2 as i32)].contains(&ended), "{at}: {ended}");
    while world.q.get_timeout(SHORT).is_ok() {}
    while world.carry.get_timeout(SHORT).is_ok() {}
    while world.ends.0.recv_timeout(SHORT).is_ok() {}
    while world.ledgers.2.get_timeout(SHORT).is_ok() {}
    while world.ledgers.2.task_done().is_ok() {}
    world.event.clear();
    world.check("stopped", &at)?;
    Ok(done)
}

fn stopped(operations: &[&str]) -> Result<()> {
    for operation in operations {
        let world = World::new()?;
        let length = stop_after(&world, operation, u64::MAX)?;
        for part in 1..STOPS {
            stop_after(&world, operation, length * part / STOPS + length % STOPS)?;
        }
    }
    Ok(())
}

fn sampled(operations: &[&str]) -> Result<()> {
    let samples = |length| SAMPLES.min(2 * STEPS / length).max(2);
    walk(operations, |length| (length / samples(length)).max(1)).map(drop)
}

/// Walks through all operations and tells how long they are; how many processes were ended. One after
/// every `stride`th instruction.
pub(crate) fn told(stride: u64) -> Result<u64> {
    walk(&[OF_MESSAGES, OTHERS].concat(), |length| {
        println!("{length} instructions, every {stride}");
        stride
    })
}

/// Walks through all operations; how many processes were ended.
fn walk(operations: &[&str], stride_of: impl Fn(u64) -> u64) -> Result<u64> {
    let mut killed = 0;
    for operation in operations {
        let world = World::new()?;
        let length = kill_after(&world, operation, u64::MAX)?;
        assert!(length > 10, "{operation} takes {length} instructions");
        let stride = stride_of(length).max(1);
        // Not the same ones for ever: the length differs from build to build.
        let mut at = length % stride;
        while at <= length {
            kill_after(&world, operation, at)?;
            (at, killed) = (at + stride, killed + 1);
        }
    }
    Ok(killed)
}
