//! The sandbox: an engine, its pool of instances, and the runtime of their processes.

use crate::abi;
use crate::connection::Names;
use crate::context::{Grants, Root};
use crate::ctrl_c;
use crate::process::{HostProcess, State};
use crate::program::Program;
use crate::runtime::{Runtime, lock};
use crate::wasi;
use procbox_core::{Context, Error, ExitStatus, Result, signal};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use wasmtime::{
    Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy, Linker,
    PoolingAllocationConfig,
};

/// The default for [`SandboxBuilder::memory`]: room for a message of 64 MiB and its copies.
const MEMORY: usize = 1 << 30;
/// The default for [`SandboxBuilder::max_processes`]: what the default `vm.max_map_count` allows.
const MAX_PROCESSES: usize = 10_000;
/// Address space per instance up to which 32-bit indices need no bounds check.
const RESERVATION: u64 = 4 << 30;
/// Up to this many instances may reserve that much each of the 47 bits there are.
const MOST_FULL_RESERVATIONS: usize = 20_000;
/// Each process's stack for WebAssembly code.
const WASM_STACK: usize = 512 << 10;
/// Each process's whole stack: the above, and what host calls need on top.
const STACK: usize = 1 << 20;
/// Bytes of a freed instance that are cleared in place rather than given back to the system: a
/// page fault costs more than clearing a page.
const KEEP_RESIDENT: usize = 4 << 20;
/// The same where all of them have to be cleared, written or not.
const KEEP_RESIDENT_BLIND: usize = 64 << 10;

/// What a sandbox is about to be.
///
/// Defaults: 1 GiB of memory per process, 10,000 processes at once, as many threads as CPUs,
/// compiled modules cached on disk.
///
/// ```no_run
/// use procbox_host::Sandbox;
/// let sandbox = Sandbox::builder().memory(64 << 20).max_processes(100).parallelism(2).build()?;
/// assert_eq!(sandbox.processes(), 0);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SandboxBuilder {
    memory: usize,
    max_processes: usize,
    parallelism: Option<usize>,
    fuel: Option<u64>,
    seed: Option<u64>,
    cache: bool,
    cache_directory: Option<PathBuf>,
}

impl SandboxBuilder {
    /// The most linear memory, in bytes, that one process may have. Default 1 GiB.
    ///
    /// ```no_run
    /// # use procbox_host::Sandbox;
    /// let sandbox = Sandbox::builder().memory(64 << 20).build()?; // 64 MiB each
    /// # drop(sandbox);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// How many processes may live at once. Default 10,000.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # use procbox_host::{Program, Sandbox};
    /// let sandbox = Sandbox::builder().max_processes(1).build()?;
    /// let ctx = sandbox.context(Program::wasm("workers.wasm")?)?;
    /// let q = ctx.queue::<u32>(1)?;
    /// let p = ctx.process("writer").args((&q, u32::MAX)).daemon(true).start()?;
    /// let second = ctx.process("writer").args((&q, 3u32)).start();
    /// assert!(matches!(second, Err(Error::Exhausted(_))));
    /// # drop(p);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn max_processes(mut self, n: usize) -> Self {
        self.max_processes = n;
        self
    }

    /// How many threads run processes at once. Default: the CPU count.
    ///
    /// ```no_run
    /// # use procbox_host::{Program, Sandbox};
    /// let sandbox = Sandbox::builder().parallelism(1).build()?; // they take turns
    /// let ctx = sandbox.context(Program::wasm("workers.wasm")?)?;
    /// assert_eq!(ctx.cpu_count(), 1);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn parallelism(mut self, n: usize) -> Self {
        self.parallelism = Some(n);
        self
    }

    /// How much fuel each process gets; out of it, it ends with -24, and the status names the limit.
    /// One unit is about one WebAssembly instruction, so the same work always needs the same fuel:
    /// for limits that do not depend on the machine. Default: no limit. Counting costs time, a
    /// tenth to a half in loops; programs are compiled for it, so it is the sandbox's and not a
    /// process's. The native backend has no such thing.
    ///
    /// ```no_run
    /// # use procbox_host::Sandbox;
    /// let sandbox = Sandbox::builder().fuel(1_000_000_000).build()?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn fuel(mut self, units: u64) -> Self {
        self.fuel = Some(units);
        self
    }

    /// Simulates: one process runs at a time, on the thread that waits in a call of procbox, and who
    /// goes on at each switch point is chosen at random by `seed`. So are random bytes. Time is
    /// virtual: it passes as guests compute, and jumps to the next timer when all wait, so a sleep of
    /// an hour takes none. The same seed gives the same run on every machine: see
    /// [`Sandbox::trace_hash`]. Default: no simulation.
    ///
    /// This is a first version:
    /// - the sandbox is for one thread, and its processes run only while that is in a call that may
    ///   wait: `try_get` and `join_timeout` let them, `is_empty` and `is_alive` do not;
    /// - a wait that nothing can end any more is [`Error::Deadlock`];
    /// - CPU time is counted in fuel, a nanosecond a unit, and [`Context::cpu_count`] is 1 unless
    ///   [`SandboxBuilder::parallelism`] says otherwise;
    /// - what comes from outside is not simulated: standard input, and the files of directories that
    ///   are granted.
    ///
    /// ```no_run
    /// # use procbox_host::{Program, Sandbox};
    /// for seed in 0..200 {
    ///     let sandbox = Sandbox::builder().simulate(seed).build()?;
    ///     let ctx = sandbox.context(Program::wasm("workers.wasm")?)?;
    ///     let p = ctx.process("greet").args(("world",)).start()?;
    ///     assert!(p.join()?.success(), "not with seed {seed}");
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn simulate(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether compiled modules are kept on disk for the next run. Default: yes.
    ///
    /// ```no_run
    /// # use procbox_host::Sandbox;
    /// let sandbox = Sandbox::builder().cache(false).build()?; // nothing is written to disk
    /// # drop(sandbox);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn cache(mut self, yes: bool) -> Self {
        self.cache = yes;
        self
    }

    /// Where they are kept. Default: wasmtime's own cache directory of this user.
    ///
    /// ```no_run
    /// # use procbox_host::Sandbox;
    /// let sandbox = Sandbox::builder().cache_directory("/var/cache/editor/plugins").build()?;
    /// # drop(sandbox);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn cache_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache_directory = Some(directory.into());
        self
    }

    /// The sandbox.
    ///
    /// ```
    /// use procbox_core::Error;
    /// use procbox_host::Sandbox;
    /// let none = Sandbox::builder().max_processes(0).build();
    /// assert!(matches!(none.err(), Some(Error::Invalid(_))));
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for a limit of 0, [`Error::Os`] if the address space cannot be reserved.
    pub fn build(self) -> Result<Sandbox> {
        let none = self.parallelism == Some(0) || self.fuel == Some(0);
        if self.memory == 0 || self.max_processes == 0 || none {
            let why = "a sandbox needs memory, processes and threads, and fuel if that is limited";
            return Err(Error::Invalid(why.into()));
        }
        let engine = self.engine().map_err(|e| Error::os("sandbox", format!("{e:#}")))?;
        let mut linker: Linker<State> = Linker::new(&engine);
        abi::link(&mut linker)
            .and_then(|()| wasi::link(&mut linker))
            .map_err(|e| Error::os("link", format!("{e:#}")))?;
        let cpus = || match self.seed {
            // The same number on every machine.
            Some(_) => 1,
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let parallelism = self.parallelism.unwrap_or_else(cpus);
        let epoch = engine.clone();
        let runtime = match self.seed {
            Some(seed) => Runtime::sim(seed),
            None => Runtime::threads(parallelism, Box::new(move || epoch.increment_epoch())),
        };
        ctrl_c::register(&runtime);
        let inner = SandboxInner {
            runtime,
            engine,
            linker,
            parallelism,
            memory: self.memory,
            fuel: self.fuel,
            max_processes: self.max_processes,
            alive: Arc::new(AtomicUsize::new(0)),
            // The embedding program is number 1.
            last_pid: AtomicU32::new(1),
            live: Mutex::new(Live::default()),
            names: Arc::default(),
        };
        Ok(Sandbox(Arc::new(Owner(Arc::new(inner)))))
    }

    fn engine(&self) -> wasmtime::Result<Engine> {
        let most = u32::try_from(self.max_processes).unwrap_or(u32::MAX);
        let reservation = if self.max_processes <= MOST_FULL_RESERVATIONS {
            RESERVATION
        } else {
            (self.memory as u64).next_multiple_of(1 << 16).min(RESERVATION)
        };
        // Where the kernel says which pages were written (PAGEMAP_SCAN, Linux 6.7), only those are
        // cleared. Elsewhere all would be, the unused megabyte of stack too: less is kept.
        let scans = PoolingAllocationConfig::is_pagemap_scan_available();
        let keep = if scans { KEEP_RESIDENT } else { KEEP_RESIDENT_BLIND };
        let mut pool = PoolingAllocationConfig::new();
        pool.total_core_instances(most)
            .total_memories(most)
            .total_tables(most)
            .total_stacks(most.saturating_add(64))
            .max_memory_size(self.memory.min(reservation as usize))
            .table_elements(20_000)
            .max_unused_warm_slots(256)
            .linear_memory_keep_resident(keep)
            .table_keep_resident(keep)
            .pagemap_scan(Enabled::Auto)
            .async_stack_keep_resident(16 << 10);
        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .memory_reservation(reservation)
            .max_wasm_stack(WASM_STACK)
            .async_stack_size(STACK)
            .epoch_interruption(true)
            .consume_fuel(self.fuel.is_some() || self.seed.is_some())
            .wasm_backtrace_max_frames(None)
            .memory_init_cow(true);
        if self.seed.is_some() {
            // What the specification leaves to the machine.
            config.cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
        }
        if self.cache {
            // Without a directory to write to there is no cache, which costs time and nothing else.
            let mut settings = CacheConfig::new();
            if let Some(directory) = &self.cache_directory {
                settings.with_directory(directory);
            }
            config.cache(Cache::new(settings).ok());
        }
        Engine::new(&config)
    }
}

pub(crate) struct SandboxInner {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) engine: Engine,
    linker: Linker<State>,
    pub(crate) parallelism: usize,
    pub(crate) memory: usize,
    pub(crate) fuel: Option<u64>,
    pub(crate) max_processes: usize,
    pub(crate) alive: Arc<AtomicUsize>,
    last_pid: AtomicU32,
    live: Mutex<Live>,
    /// Listeners of the contexts that share theirs.
    pub(crate) names: Arc<Names>,
}

/// All that live, by pid, for the end of the sandbox.
#[derive(Default)]
struct Live {
    processes: BTreeMap<u32, Weak<HostProcess>>,
    /// The embedding program has let go: what is started now is ended too.
    ending: bool,
}

impl SandboxInner {
    pub(crate) fn next_pid(&self) -> u32 {
        self.last_pid.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Notes that a process lives.
    pub(crate) fn born(&self, process: &Arc<HostProcess>) {
        let mut live = lock(&self.live);
        live.processes.insert(process.identity.pid, Arc::downgrade(process));
        let ending = live.ending;
        drop(live);
        if ending {
            process.doom(ExitStatus::signaled(signal::KILL));
        }
    }

    /// Notes that a process has ended.
    pub(crate) fn dead(&self, pid: u32) {
        lock(&self.live).processes.remove(&pid);
    }
}

/// What the embedding program holds of a sandbox. Processes hold the inside, so that this is dropped
/// when only they are left.
pub(crate) struct Owner(pub(crate) Arc<SandboxInner>);

impl Drop for Owner {
    /// A process that is blocked for ever would keep the inside alive; nobody could end it any more.
    fn drop(&mut self) {
        let mut live = lock(&self.0.live);
        live.ending = true;
        let processes: Vec<_> = live.processes.values().filter_map(Weak::upgrade).collect();
        drop(live);
        processes.iter().for_each(|process| process.doom(ExitStatus::signaled(signal::KILL)));
        self.0.runtime.settle();
    }
}

/// A place for untrusted processes: wasmtime instances that can touch nothing they were not handed.
///
/// ```no_run
/// use procbox_host::{Program, Sandbox};
/// let sandbox = Sandbox::builder().memory(64 << 20).build()?;
/// let ctx = sandbox.context(Program::wasm("workers.wasm")?)?;
/// let p = ctx.process("greet").args(("world",)).start()?;
/// assert!(p.join()?.success());
/// # Ok::<(), procbox_core::Error>(())
/// ```
///
/// When the last clone and the last context of it are dropped, the processes that still live are
/// killed.
#[derive(Clone)]
pub struct Sandbox(Arc<Owner>);

impl Sandbox {
    /// A builder with the defaults.
    ///
    /// ```no_run
    /// # use procbox_host::{Program, Sandbox};
    /// let sandbox = Sandbox::builder().build()?; // with every default
    /// let ctx = sandbox.context(Program::wasm("workers.wasm")?)?;
    /// # drop(ctx);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder {
            memory: MEMORY,
            max_processes: MAX_PROCESSES,
            parallelism: None,
            fuel: None,
            seed: None,
            cache: true,
            cache_directory: None,
        }
    }

    /// A context for a program, which gets stdio, clock and randomness and nothing else.
    ///
    /// ```no_run
    /// # use procbox_host::{Program, Sandbox};
    /// # let sandbox = Sandbox::builder().build()?;
    /// let ctx = sandbox.context(Program::wasm("workers.wasm")?)?;
    /// for worker in ctx.workers()? {
    ///     println!("{}", worker.signature.unwrap_or(worker.name));
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotRunnable`] if it is not a valid module or imports something that is not granted.
    pub fn context(&self, program: Program) -> Result<Context> {
        self.context_with(program, Grants::default())
    }

    /// A context for a program that gets more.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # use procbox_host::{FsPerms, Grants, Program, Sandbox};
    /// # let (sandbox, program) = (Sandbox::builder().build()?, Program::wasm("workers.wasm")?);
    /// let grants = Grants::default().dir("/no/such", "/texts", FsPerms::ReadOnly);
    /// let refused = sandbox.context_with(program, grants);
    /// assert!(matches!(refused.err(), Some(Error::Os { .. })));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Sandbox::context`], and [`Error::Os`] for a directory that cannot be opened.
    pub fn context_with(&self, program: Program, grants: Grants) -> Result<Context> {
        grants.check()?;
        let prepared = program.prepare(&self.0.0.engine, &self.0.0.linker)?;
        let raw = Root::new(self.0.clone(), Arc::new(prepared), grants)?;
        Ok(Context::from_raw(Arc::new(raw)))
    }

    /// How many processes live in it now.
    ///
    /// ```no_run
    /// # use procbox_host::{Program, Sandbox};
    /// # let sandbox = Sandbox::builder().build()?;
    /// let ctx = sandbox.context(Program::wasm("workers.wasm")?)?;
    /// let p = ctx.process("greet").args(("world",)).start()?;
    /// p.join()?;
    /// assert_eq!(sandbox.processes(), 0);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn processes(&self) -> usize {
        self.0.0.alive.load(Ordering::Acquire)
    }

    /// A number that stands for all that a simulation has done so far: who went on at each switch
    /// point, and when by its clock. `None` if this is no simulation.
    ///
    /// ```
    /// # use procbox_host::Sandbox;
    /// let simulated = || Sandbox::builder().max_processes(8).simulate(7).build();
    /// assert_eq!(simulated()?.trace_hash(), simulated()?.trace_hash());
    /// assert_eq!(Sandbox::builder().max_processes(8).build()?.trace_hash(), None);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn trace_hash(&self) -> Option<u64> {
        self.0.0.runtime.trace_hash()
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sandbox({} processes)", self.processes())
    }
}
