//! Storms: processes killed at random all the while, stopped ones and breeders among them, and parents.
//! What the dead had in hand may be lost; all else is there, once and whole.
//!
//! A short storm runs among the tests, `make storm` kills 100,000 and tells what it found.

use crate::cases::{Case, is_running};
use crate::{until, workers};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procbox_core::observe::{self, Subscriber};
use procbox_core::{Bytes, Context, Error, Event, Lock, Process, Queue, Result, Semaphore};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The cases.
pub(crate) const ALL: &[(&str, Case)] = &[
    ("in_a_storm_nothing_is_lost_that_was_not_in_dead_hands", || storm(400).map(drop)),
    ("of_a_killed_parent_nothing_is_left", || parents(40, 4).map(drop)),
];

/// A neighbour that waits longer hangs.
const HANG: Duration = Duration::from_secs(20);
/// Permits that there are.
const PERMITS: usize = 2;

/// Bytes that can be told to be whole.
pub(crate) fn payload(who: u64, number: u64) -> Bytes {
    // Now and then one that needs a segment of its own.
    let size = if number % 61 == 60 { 70_000 } else { number * 977 % 3000 };
    Bytes(vec![(who ^ number) as u8; size as usize])
}

/// What a storm did.
#[derive(Debug, Default)]
#[allow(dead_code, reason = "it is printed")]
pub(crate) struct Found {
    killed: u64,
    stopped: u64,
    breeders: u64,
    received: u64,
    fed: u64,
    in_dead_hands: u64,
    /// The longest from a kill until the dead one's belongings were given back.
    slowest: Duration,
}

/// Nobody waits in a circle here: whoever is told of one was told wrong. (In a child the wait fails, and
/// so the child does.)
struct NoDeadlocks(AtomicU64);

impl Subscriber for NoDeadlocks {
    fn event(&self, event: &observe::Event<'_>) {
        if let observe::Event::Deadlock { deadlock } = event {
            println!("a false alarm: {deadlock}");
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Numbers without chance in them.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

struct World {
    ctx: Context,
    out: Queue<(u64, u64, Bytes)>,
    feed: Queue<u64>,
    acks: Queue<u64>,
    lock: Lock,
    permits: Semaphore,
    carry: Queue<Event>,
    bred: Queue<u64>,
    incarnations: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Produces,
    Consumes,
    Holds,
    Breeds,
}

const ROLES: [Role; 8] = [
    Role::Produces,
    Role::Produces,
    Role::Produces,
    Role::Consumes,
    Role::Consumes,
    Role::Holds,
    Role::Holds,
    Role::Breeds,
];

impl World {
    fn start(&self, role: Role) -> Result<Process> {
        let who = self.incarnations.fetch_add(1, Ordering::Relaxed);
        let ctx = &self.ctx;
        match role {
            Role::Produces => ctx
                .process(workers::produces_numbered::worker())
                .args((&self.out, who))
                .daemon(true)
                .start(),
            Role::Consumes => {
                let args = (&self.feed, &self.acks);
                ctx.process(workers::consumes_and_acks::worker()).args(args).daemon(true).start()
            }
            Role::Holds => {
                let args = (&self.lock, &self.permits, &self.carry);
                ctx.process(workers::holds_and_carries::worker()).args(args).daemon(true).start()
            }
            Role::Breeds => ctx.process(workers::breeds::worker()).args((&self.bred,)).start(),
        }
    }

    /// Receives what producers put, until there is no more: each one's numbers come in a row.
    fn receive(&self, over: &AtomicBool) -> Result<u64> {
        let (mut next, mut received) = (BTreeMap::<u64, u64>::new(), 0);
        loop {
            match self.out.get_timeout(Duration::from_millis(20)) {
                Ok((who, number, bytes)) => {
                    let due = next.entry(who).or_default();
                    assert_eq!(number, *due, "of producer {who}");
                    assert!(bytes == payload(who, number), "bytes of {who}, {number}");
                    *due += 1;
                    received += 1;
                }
                Err(Error::Empty) if over.load(Ordering::SeqCst) => return Ok(received),
                Err(Error::Empty) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Receives what consumers got, until there is no more: none twice.
    fn tick_off(&self, over: &AtomicBool) -> Result<BTreeSet<u64>> {
        let mut seen = BTreeSet::new();
        loop {
            match self.acks.get_timeout(Duration::from_millis(20)) {
                Ok(number) => assert!(seen.insert(number), "{number} came twice"),
                Err(Error::Empty) if over.load(Ordering::SeqCst) => return Ok(seen),
                Err(Error::Empty) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Feeds the consumers; how many numbers.
    fn feed(&self, over: &AtomicBool) -> Result<u64> {
        let mut number = 0;
        while !over.load(Ordering::SeqCst) {
            match self.feed.put_timeout(&number, Duration::from_millis(20)) {
                Ok(()) => number += 1,
                Err(Error::Full) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(number)
    }
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Kills so many processes, one after the other, each at a random moment.
pub(crate) fn storm(kills: u64) -> Result<Found> {
    let alarms = Arc::new(NoDeadlocks(AtomicU64::new(0)));
    let _watching = observe::subscribe_to_deadlocks(alarms.clone());
    let ctx = procbox_native::Native::builder().build()?;
    let world = World {
        out: ctx.queue(64)?,
        feed: ctx.queue(64)?,
        acks: ctx.queue(64)?,
        lock: ctx.lock()?,
        permits: ctx.semaphore(PERMITS)?,
        carry: ctx.queue(8)?,
        bred: ctx.queue(4)?,
        incarnations: AtomicU64::new(0),
        ctx,
    };
    let (quiet, over) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| world.receive(&over));
        let acks = scope.spawn(|| world.tick_off(&over));
        let feeder = scope.spawn(|| world.feed(&quiet));
        let raged = rage(&world, kills);
        quiet.store(true, Ordering::SeqCst);
        let fed = joined(feeder);
        over.store(true, Ordering::SeqCst);
        let (received, acked) = (joined(receiver), joined(acks));
        let (mut found, consumers) = raged?;
        (found.received, found.fed) = (received?, fed?);
        let mut rest = BTreeSet::new();
        while let Ok(number) = world.feed.try_get() {
            assert!(rest.insert(number));
        }
        let acked = acked?;
        assert!(rest.is_disjoint(&acked));
        found.in_dead_hands = found.fed - (acked.len() + rest.len()) as u64;
        assert!(found.in_dead_hands <= consumers, "{found:?}, {consumers} consumers died");
        drop(world.lock.lock_timeout(HANG)?);
        let all = [world.permits.permit_timeout(HANG)?, world.permits.permit_timeout(HANG)?];
        assert_eq!(world.permits.try_permit().err(), Some(Error::TimedOut), "{found:?}");
        drop(all);
        while let Ok(event) = world.carry.try_get() {
            event.set();
        }
        assert_eq!(alarms.0.load(Ordering::SeqCst), 0, "false alarms: {found:?}");
        Ok(found)
    })
}

/// The kills; what was done, and how many consumers died.
fn rage(world: &World, kills: u64) -> Result<(Found, u64)> {
    let (mut found, mut consumers, mut dice) = (Found::default(), 0, Dice(kills));
    let mut all = ROLES.map(|role| (role, world.start(role))).into_iter();
    let mut all = all.try_fold(Vec::new(), |mut started, (role, process)| {
        started.push((role, process?));
        Ok::<_, Error>(started)
    })?;
    let mut end = |role: Role, process: &Process, stops: bool, found: &mut Found| -> Result<()> {
        if stops {
            let stopped = kill(Pid::from_raw(process.pid()? as i32), Signal::SIGSTOP);
            stopped.map_err(|e| Error::os("kill", e))?;
            found.stopped += 1;
            // Its neighbours meet it as it is.
            std::thread::yield_now();
        }
        let began = Instant::now();
        process.kill()?;
        let ended = process.join_timeout(HANG)?;
        found.slowest = found.slowest.max(began.elapsed());
        assert_eq!(ended.exitcode(), -9, "{role:?} after {} kills: {ended}", found.killed);
        found.killed += 1;
        found.breeders += u64::from(role == Role::Breeds);
        consumers += u64::from(role == Role::Consumes);
        Ok(())
    };
    while found.killed < kills {
        for _ in 0..dice.roll(20_000) {
            std::hint::spin_loop();
        }
        let (role, process) = &mut all[dice.roll(ROLES.len() as u64) as usize];
        end(*role, process, dice.roll(10) == 0, &mut found)?;
        *process = world.start(*role)?;
    }
    for (role, process) in &all {
        end(*role, process, false, &mut found)?;
    }
    Ok((found, consumers))
}

/// The argument by which this binary is a parent that is going to be killed.
pub(crate) const PARENT: &str = "parent-in-a-storm";
/// The variable by which all that comes of it is known.
const MARK: &str = "PROCBOX_STORM_MARK";

/// Starts children of all kinds, until it is killed.
pub(crate) fn parent() -> Result<()> {
    let ctx = procbox_native::context()?;
    let (here, there) = ctx.pipe::<u64>()?;
    let q = ctx.queue::<Bytes>(1)?;
    let echo =
        |daemon| ctx.process(workers::echoes::worker()).args((&there,)).daemon(daemon).start();
    let _echoes = [echo(false)?, echo(true)?, echo(false)?];
    let forwards = ctx.process(workers::forwards_one::worker()).args((&q, &q)).daemon(true);
    let _forwards = forwards.start()?;
    drop(there);
    for number in 0.. {
        here.send(&number)?;
        here.recv()?;
        ctx.process(workers::nothing::worker()).start()?.join()?;
    }
    Ok(())
}

/// The processes that have a mark in their environment, and live.
fn marked(mark: &str) -> Vec<u32> {
    let whole = format!("{MARK}={mark}\0");
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has_mark = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(whole.len()).any(|part| part == whole.as_bytes())
    };
    pids.filter(has_mark).filter(|pid| is_running(*pid)).collect()
}

/// Files of procbox's in the places for such.
fn files() -> BTreeSet<String> {
    let places = [std::env::temp_dir(), "/dev/shm".into()];
    let entries = places.iter().filter_map(|place| std::fs::read_dir(place).ok());
    let names =
        entries.flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("procbox")).collect()
}

/// Kills so many parents, so many at once, each at a random moment; the longest that anything was left.
pub(crate) fn parents(many: u64, at_once: u64) -> Result<Duration> {
    let exe = std::env::current_exe().map_err(|e| Error::os("current_exe", e))?;
    let before = files();
    let one = |mark: String, dice: &mut Dice| -> Result<Duration> {
        let mut command = std::process::Command::new(&exe);
        command.arg(PARENT).env(MARK, &mark).process_group(0);
        command.stdout(std::process::Stdio::null());
        let mut parent = command.spawn().map_err(|e| Error::os("spawn", e))?;
        std::thread::sleep(Duration::from_micros(dice.roll(40_000)));
        parent.kill().map_err(|e| Error::os("kill", e))?;
        parent.wait().map_err(|e| Error::os("wait", e))?;
        let began = Instant::now();
        until("all that came of a killed parent is gone", || marked(&mark).is_empty());
        Ok(began.elapsed())
    };
    let longest = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once)
            .map(|thread| {
                let one = &one;
                scope.spawn(move || {
                    let mut dice = Dice(thread + many);
                    let rounds = (thread..many).step_by(at_once as usize);
                    let marks = rounds.map(|round| format!("{}-{round}", std::process::id()));
                    marks
                        .map(|mark| one(mark, &mut dice))
                        .try_fold(Duration::ZERO, |longest, took| Ok(longest.max(took?)))
                })
            })
            .collect();
        threads
            .into_iter()
            .map(joined)
            .try_fold(Duration::ZERO, |longest, took| Ok::<_, Error>(longest.max(took?)))
    })?;
    let left: Vec<_> = files().difference(&before).cloned().collect();
    assert!(left.is_empty(), "{left:?}");
    Ok(longest)
}
