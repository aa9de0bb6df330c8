//! Storms: processes killed at random all the while, on both backends. What the dead had in hand may be
//! lost; all else is there, once and whole, nobody hangs, and nobody is taken for a part of a deadlock. On
//! a bridge between both the same, with processes of both at the same primitives.
//! The same of philosophers who wait long, and never for one another in a circle.
//!
//! Short ones are among the tests; `PROCBOX_STORM_KILLS` and `PROCBOX_PHILOSOPHERS`, in seconds, ask for
//! more (`make storm`). Natively `native/tests/processes/storm.rs` has another, with stopped processes.

use anyhow::{Context as _, ensure};
use procbox::observe::{Event, Subscriber, Subscription, subscribe_to_deadlocks};
use procbox::{Bytes, Context, Error, Lock, Process, Queue, Result, Semaphore};
use procbox_cases::storm::payload;
use procbox_tests::mixed::by_turns;
use procbox_tests::{Backend, context};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A neighbour that waits longer hangs.
const HANG: Duration = Duration::from_secs(20);
const PERMITS: usize = 2;
/// So many are killed among the tests.
const KILLS: u64 = 400;
/// What a cook takes for a dish: longer than the wait that makes one suspected.
const DISH: Duration = Duration::from_millis(120);
/// So many dishes there are among the tests.
const DISHES: u64 = 12;

fn asked(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The turn of one test: alarms are those of the whole program.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The deadlocks that were found, of which there are none: each is a false alarm.
#[derive(Default)]
struct Alarms(Mutex<Vec<String>>);

impl Subscriber for Alarms {
    fn event(&self, event: &Event<'_>) {
        if let Event::Deadlock { deadlock } = event {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(deadlock.to_string());
        }
    }
}

impl Alarms {
    fn watch() -> (Arc<Alarms>, Subscription) {
        let alarms = Arc::new(Alarms::default());
        (alarms.clone(), subscribe_to_deadlocks(alarms))
    }

    fn there_were_none(&self) -> anyhow::Result<()> {
        let alarms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(alarms.is_empty(), "{} false alarms, the first: {}", alarms.len(), alarms[0]);
        Ok(())
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Produces,
    Consumes,
    Holds,
    Breeds,
    Pools,
    Meets,
}

const ROLES: [Role; 10] = [
    Role::Produces,
    Role::Produces,
    Role::Produces,
    Role::Consumes,
    Role::Consumes,
    Role::Holds,
    Role::Holds,
    Role::Breeds,
    Role::Pools,
    Role::Meets,
];

struct World {
    ctx: Context,
    out: Queue<(u64, u64, Bytes)>,
    feed: Queue<u64>,
    acks: Queue<u64>,
    lock: Lock,
    permits: Semaphore,
    carry: Queue<procbox::Event>,
    done: Queue<u64>,
    incarnations: AtomicU64,
}

impl World {
    fn new(ctx: Context) -> Result<World> {
        Ok(World {
            out: ctx.queue(64)?,
            feed: ctx.queue(64)?,
            acks: ctx.queue(64)?,
            lock: ctx.lock()?,
            permits: ctx.semaphore(PERMITS)?,
            carry: ctx.queue(8)?,
            done: ctx.queue(4)?,
            incarnations: AtomicU64::new(0),
            ctx,
        })
    }

    fn start(&self, role: Role) -> Result<Process> {
        let who = self.incarnations.fetch_add(1, Ordering::Relaxed);
        let (ctx, done) = (&self.ctx, &self.done);
        match role {
            Role::Produces => ctx.process("produces_numbered").args((&self.out, who)).start(),
            Role::Consumes => ctx.process("forwards").args((&self.feed, &self.acks)).start(),
            Role::Holds => {
                let args = (&self.lock, &self.permits, &self.carry);
                ctx.process("holds_and_carries").args(args).start()
            }
            Role::Breeds => ctx.process("breeds").args((done,)).start(),
            Role::Pools => ctx.process("pools_for_ever").args((done,)).start(),
            Role::Meets => {
                // Natively names are the whole machine's.
                let name = format!("storm-{}-{}-{who}", std::process::id(), ctx.backend());
                ctx.process("meets_its_child").args((name, done)).start()
            }
        }
    }

    /// Receives what producers put, until there is no more: each one's numbers come in a row.
    fn receive(&self, over: &AtomicBool) -> anyhow::Result<u64> {
        let (mut next, mut received) = (BTreeMap::<u64, u64>::new(), 0);
        loop {
            match self.out.get_timeout(Duration::from_millis(20)) {
                Ok((who, number, bytes)) => {
                    let due = next.entry(who).or_default();
                    ensure!(number == *due, "{number} of producer {who}, not {due}");
                    ensure!(bytes == payload(who, number), "bytes of {who}, {number}");
                    *due += 1;
                    received += 1;
                }
                Err(Error::Empty) if over.load(Ordering::SeqCst) => return Ok(received),
                Err(Error::Empty) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Receives what consumers got, until there is no more: none twice.
    fn tick_off(&self, over: &AtomicBool) -> anyhow::Result<BTreeSet<u64>> {
        let mut seen = BTreeSet::new();
        loop {
            match self.acks.get_timeout(Duration::from_millis(20)) {
                Ok(number) => ensure!(seen.insert(number), "{number} came twice"),
                Err(Error::Empty) if over.load(Ordering::SeqCst) => return Ok(seen),
                Err(Error::Empty) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Feeds the consumers; how many numbers.
    fn feed(&self, over: &AtomicBool) -> anyhow::Result<u64> {
        let mut number = 0;
        while !over.load(Ordering::SeqCst) {
            match self.feed.put_timeout(&number, Duration::from_millis(20)) {
                Ok(()) => number += 1,
                Err(Error::Full) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(number)
    }

    /// Kills one.
    fn end(&self, role: Role, process: &Process, found: &mut Found) -> anyhow::Result<()> {
        let began = Instant::now();
        process.kill()?;
        let ended = process.join_timeout(HANG)?;
        // One that had ended by itself had met something that was broken, or a false alarm.
        ensure!(ended.exitcode() == -9, "{role:?} after {} kills: {ended}", found.killed);
        found.slowest = found.slowest.max(began.elapsed());
        found.killed += 1;
        found.consumers += u64::from(role == Role::Consumes);
        Ok(())
    }

    /// Kills so many, one after the other, each at a random moment.
    fn rage(&self, kills: u64) -> anyhow::Result<Found> {
        let (mut found, mut dice) = (Found::default(), Dice(kills));
        let mut all = Vec::new();
        for role in ROLES {
            all.push((role, self.start(role)?));
        }
        while found.killed < kills {
            for _ in 0..dice.roll(40_000) {
                std::hint::spin_loop();
            }
            let (role, process) = &mut all[dice.roll(ROLES.len() as u64) as usize];
            self.end(*role, process, &mut found)?;
            *process = self.start(*role)?;
        }
        for (role, process) in &all {
            self.end(*role, process, &mut found)?;
        }
        Ok(found)
    }
}

/// What a storm did.
#[derive(Debug, Default)]
struct Found {
    killed: u64,
    consumers: u64,
    received: u64,
    fed: u64,
    in_dead_hands: u64,
    /// The longest that it took from a kill until the dead one's belongings were given back.
    slowest: Duration,
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn storm(backend: Backend) -> anyhow::Result<()> {
    storm_in(context(backend)?)
}

fn storm_in(ctx: Context) -> anyhow::Result<()> {
    let _turn = turn();
    let backend = ctx.backend();
    let kills = asked("PROCBOX_STORM_KILLS").unwrap_or(KILLS);
    let (alarms, _watching) = Alarms::watch();
    let world = World::new(ctx)?;
    let (quiet, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let (mut found, acked) = std::thread::scope(|scope| -> anyhow::Result<_> {
        let receiver = scope.spawn(|| world.receive(&over));
        let acks = scope.spawn(|| world.tick_off(&over));
        let feeder = scope.spawn(|| world.feed(&quiet));
        let raged = world.rage(kills);
        quiet.store(true, Ordering::SeqCst);
        let fed = joined(feeder);
        over.store(true, Ordering::SeqCst);
        let (received, acked) = (joined(receiver), joined(acks));
        let mut found = raged?;
        (found.received, found.fed) = (received?, fed?);
        Ok((found, acked?))
    })?;
    let mut rest = BTreeSet::new();
    while let Ok(number) = world.feed.try_get() {
        ensure!(rest.insert(number), "{number} is there twice");
    }
    ensure!(rest.is_disjoint(&acked), "what came is there again");
    found.in_dead_hands = found.fed - (acked.len() + rest.len()) as u64;
    ensure!(
        found.in_dead_hands <= found.consumers,
        "more is lost than was in dead hands: {found:?}"
    );
    drop(world.lock.lock_timeout(HANG).context("the lock")?);
    let both = [world.permits.permit_timeout(HANG)?, world.permits.permit_timeout(HANG)?];
    ensure!(world.permits.try_permit().err() == Some(Error::TimedOut), "a permit too many");
    drop(both);
    while let Ok(event) = world.carry.try_get() {
        event.set();
    }
    println!("{backend}: {found:?}");
    alarms.there_were_none()
}

fn philosophers(backend: Backend) -> anyhow::Result<()> {
    let _turn = turn();
    let (alarms, _watching) = Alarms::watch();
    let ctx = context(backend)?;
    let forks = (0..5).map(|_| ctx.lock()).collect::<Result<Vec<_>>>()?;
    let dishes = (0..5).map(|_| ctx.queue::<u64>(1)).collect::<Result<Vec<_>>>()?;
    let (orders, dinners, over) = (ctx.queue::<u64>(1)?, ctx.queue::<u64>(5)?, ctx.event()?);
    let cook = ctx.process("cooks").args((&orders, &dishes, DISH.as_millis() as u64)).start()?;
    let dines = |me: usize| {
        let (low, high) = (me.min((me + 1) % 5), me.max((me + 1) % 5));
        let kitchen = (&orders, &dishes[me]);
        let args = ((&forks[low], &forks[high]), me as u64, kitchen, &over, &dinners);
        ctx.process("dines_in_order").args(args).start()
    };
    let five = (0..5).map(dines).collect::<Result<Vec<_>>>()?;
    let time = asked("PROCBOX_PHILOSOPHERS").map(Duration::from_secs);
    std::thread::sleep(time.unwrap_or(DISH * DISHES as u32));
    over.set();
    let mut eaten = 0;
    for philosopher in &five {
        let ended = philosopher.join_timeout(HANG)?;
        ensure!(ended.success(), "a philosopher ended with {ended}");
        eaten += dinners.get()?;
    }
    orders.close();
    ensure!(cook.join_timeout(HANG)?.success());
    ensure!(eaten > 5, "nobody eats");
    println!("{backend:?}: {eaten} dinners");
    alarms.there_were_none()
}

macro_rules! on_both {
    ($($name:ident: $body:path;)*) => {
        mod native {
            $(#[test] fn $name() -> anyhow::Result<()> { $body(super::Backend::Native) })*
        }
        mod sandbox {
            $(#[test] fn $name() -> anyhow::Result<()> { $body(super::Backend::Sandbox) })*
        }
    };
}

/// The same on a bridge, where whoever comes in the place of a dead one runs on the other side.
#[test]
fn in_a_storm_over_a_bridge_nothing_is_lost_and_nobody_is_suspected() -> anyhow::Result<()> {
    storm_in(by_turns(procbox::Backend::Native)?)
}

on_both! {
    in_a_storm_nothing_is_lost_and_nobody_is_suspected: super::storm;
    philosophers_who_take_forks_in_order_are_no_deadlock: super::philosophers;
}
