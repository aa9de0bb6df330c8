//! Where a process is walked through an operation: a sandbox, and what all of it have.

use anyhow::{Context as _, ensure};
use procbox::observe::{Looking, Sight};
use procbox::sandbox::{Program, SandboxBuilder};
use procbox::{Context, Error, Event, ExitStatus, Process, Sandbox};
use procbox_cases::walked::{FULL, LARGE, Surroundings, sevens};
use procbox_tests::{Backend, program};
use std::cell::Cell;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A neighbour that waits longer hangs.
pub(crate) const HANG: Duration = Duration::from_secs(20);
/// The most that a dead process's handle keeps of its tree's memory.
const DEAD: u64 = 1024;

/// The turn of one test: what there is in the sandbox is seen for the whole program.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the tests keep what they compile.
fn cache() -> &'static Path {
    static CACHE: OnceLock<tempfile::TempDir> = OnceLock::new();
    CACHE.get_or_init(|| tempfile::tempdir().expect("no directory for the cache")).path()
}

/// How a process is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// When it has gone on so many times, in a simulation.
    At(u64),
    /// So much time after it was told to begin.
    After(Duration),
}

/// A sandbox, what the processes in it have, and what there is when they are gone.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) ctx: Context,
    pub(crate) all: Surroundings,
    never: Event,
    looking: Looking,
    things: usize,
    /// Items that were lost so far.
    pub(crate) lost: Cell<usize>,
}

/// The queues and locks that there are. (The context keeps what it knows of those that have ended.)
fn primitives(looking: &Looking) -> Vec<Sight> {
    let mut all = looking.all();
    all.retain(|thing| !matches!(thing, Sight::Process { .. }));
    all
}

impl World {
    /// One that is simulated, in which processes are interrupted wherever they can be.
    pub(crate) fn simulated(seed: u64) -> anyhow::Result<World> {
        World::of(Sandbox::builder().simulate(seed).switch_every(NonZeroU64::MIN))
    }

    /// One with threads.
    pub(crate) fn threaded() -> anyhow::Result<World> {
        World::of(Sandbox::builder())
    }

    fn of(builder: SandboxBuilder) -> anyhow::Result<World> {
        let looking = Looking::begin();
        let sandbox = builder.max_processes(16).cache_directory(cache()).build()?;
        let ctx = sandbox.context(Program::wasm(program("conformance", Backend::Sandbox))?)?;
        let (all, never) = (Surroundings::new(&ctx, "walked")?, ctx.event()?);
        let things = primitives(&looking).len();
        Ok(World { sandbox, ctx, all, never, looking, things, lost: Cell::new(0) })
    }

    /// What there is before the operation.
    fn prepare(&self, operation: &str) -> procbox::Result<()> {
        match operation {
            "put_full" | "put_waits" => (0..FULL).try_for_each(|_| self.all.q.put(&sevens(8))),
            "get" => self.all.q.put(&sevens(100)),
            "get_large" => self.all.q.put(&sevens(LARGE)),
            "get_handle" => self.all.carry.put(&self.ctx.event()?),
            "recv" => self.all.there.send(&sevens(100)),
            _ => Ok(()),
        }
    }

    /// One who does this beside the others.
    pub(crate) fn beside(&self, does: &str) -> procbox::Result<Process> {
        self.ctx.process("walks_beside").args((does, &self.all)).start()
    }

    /// Has a process do an operation, and ends it; whether it was done before.
    pub(crate) fn step(&self, operation: &str, beside: &[&str], end: End) -> anyhow::Result<bool> {
        self.tried(operation, beside, end).with_context(|| format!("{operation}, {end:?}"))
    }

    fn tried(&self, operation: &str, beside: &[&str], end: End) -> anyhow::Result<bool> {
        self.prepare(operation)?;
        let (about, go) = (self.ctx.event()?, self.ctx.event()?);
        let walked = self.ctx.process("walked").args((operation, &self.all, &about, &go));
        let walked = walked.name("walked").start()?;
        let others: Vec<_> =
            beside.iter().map(|does| self.beside(does)).collect::<Result<_, _>>()?;
        about.wait_timeout(HANG)?;
        if let End::At(times) = end {
            self.sandbox.kill_after(walked.pid()?, times)?;
        }
        go.set();
        if let End::After(moment) = end {
            let began = Instant::now();
            while began.elapsed() < moment {
                std::hint::spin_loop();
            }
            walked.kill()?;
        }
        let status = walked.join_timeout(HANG).context("the walked one")?;
        let by_itself = status == ExitStatus::SUCCESS;
        ensure!(by_itself || status.exitcode() == -9, "it ended with {status}");
        for (does, other) in beside.iter().zip(others) {
            let status = other.join_timeout(HANG).with_context(|| format!("who {does}"))?;
            ensure!(status.success(), "who {does} ended with {status}");
        }
        drop((about, go));
        self.check(operation, by_itself)?;
        self.nothing_is_left(&walked)?;
        Ok(by_itself)
    }

    /// No process, no object and no byte is there any more that came of this one.
    pub(crate) fn nothing_is_left(&self, dead: &Process) -> anyhow::Result<()> {
        let memory = || dead.usage().ok().and_then(|usage| usage.memory);
        let began = Instant::now();
        let is_clean = || {
            self.sandbox.processes() == 0
                && primitives(&self.looking).len() == self.things
                && memory().is_some_and(|bytes| bytes < DEAD)
        };
        while !is_clean() {
            let (processes, things) = (self.sandbox.processes(), primitives(&self.looking));
            let left = || format!("{processes} processes, {things:?}, {:?} bytes", memory());
            ensure!(began.elapsed() < HANG, "it stays: {}", left());
            // Whoever has still to end does.
            let waited = self.never.wait_timeout(Duration::from_millis(1));
            ensure!(waited == Ok(false) || waited == Err(Error::TimedOut), "{waited:?}");
        }
        Ok(())
    }
}
