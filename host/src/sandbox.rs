//! The sandbox, and what it is made with.

use crate::check::Admission;
use crate::compile::{Cache, Compiled, Compiler, Costs};
use crate::context::Root;
use crate::ctrl_c;
use crate::deadlock::Detector;
use crate::engine;
use crate::grants::Grants;
use crate::inner::{Inner, Owner};
use crate::limits::{Limits, TABLE_ELEMENTS};
use crate::pools::Pools;
use crate::program::Program;
use crate::registry::Registry;
use crate::runtime::Runtime;
use crate::tree_limits::TreeLimits;
use crate::waiting::OWN_PID;
use procbox_core::observe::Deadlocks;
use procbox_core::{Context, Error, Result};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The default for [`SandboxBuilder::memory`]: room for a message of 64 MiB and its copies.
const MEMORY: usize = 1 << 30;
/// The default for [`SandboxBuilder::stack`].
const STACK: usize = 512 << 10;
/// The most for it.
const MOST_STACK: usize = 64 << 20;
/// The default for [`SandboxBuilder::max_processes`]: what the default `vm.max_map_count` allows.
const MAX_PROCESSES: usize = 10_000;
/// Up to so many processes may each have a copy of what a component begins with, if that is large and full of
/// gaps; of more they share it.
const FEW: usize = 64;
/// The default for [`SandboxBuilder::module_size`]: an interpreter of Python has half of that.
const MODULE_SIZE: usize = 64 << 20;

/// A builder of a sandbox.
///
/// Defaults: 1 GiB of memory and 512 KiB of stack per process, 2 GiB per tree, 10,000 processes at once, modules of 64 MiB,
/// as many threads as CPUs, compiled modules cached on disk.
///
/// ```no_run
/// use procbox_host::Sandbox;
/// let sandbox = Sandbox::builder().memory(64 << 20).max_processes(100).parallelism(2).build()?;
/// assert_eq!(sandbox.processes(), 0);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct SandboxBuilder {
    memory: usize,
    stack: usize,
    tree: TreeLimits,
    max_processes: usize,
    module_size: usize,
    compile: Costs,
    parallelism: Option<usize>,
    fuel: Option<u64>,
    pub(crate) seed: Option<u64>,
    pub(crate) interval: Option<NonZeroU64>,
    cache: bool,
    cache_directory: Option<PathBuf>,
    deadlocks: Deadlocks,
}

impl SandboxBuilder {
    /// Linear memory, in bytes, that one process may have at most. Default 1 GiB.
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

    /// Stack, in bytes, that the WebAssembly code of each process has. Out of it, the process ends with
    /// -11. Counted in the memory of its tree, whether used or not. Default 512 KiB, at most 64 MiB.
    ///
    /// ```no_run
    /// # use procbox_host::Sandbox;
    /// let sandbox = Sandbox::builder().stack(128 << 10).build()?; // many small processes
    /// # drop(sandbox);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn stack(mut self, bytes: usize) -> Self {
        self.stack = bytes;
        self
    }

    /// Limits of each tree: one process that the embedding program has started, and all that come of
    /// it. Default: those of [`TreeLimits`].
    ///
    /// ```no_run
    /// # use procbox_host::{Sandbox, TreeLimits};
    /// let limits = TreeLimits::new().memory(1 << 30).processes(10);
    /// let sandbox = Sandbox::builder().memory(64 << 20).tree(limits).build()?;
    /// # drop(sandbox);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn tree(mut self, limits: TreeLimits) -> Self {
        self.tree = limits;
        self
    }

    /// Processes that may live at once. Default 10,000.
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

    /// Bytes that a program's module may have. Default 64 MiB. A larger one is refused before it is
    /// compiled, as is one that imports what is not granted or needs more memory than a process may
    /// have.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # use procbox_host::{Program, Sandbox};
    /// let sandbox = Sandbox::builder().max_processes(8).module_size(4).build()?;
    /// let empty = Program::from_bytes("empty", b"\0asm\x01\0\0\0".to_vec())?;
    /// assert!(matches!(sandbox.context(empty), Err(Error::NotRunnable { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn module_size(mut self, bytes: usize) -> Self {
        self.module_size = bytes;
        self
    }

    /// Threads that run processes at once. Default: the CPU count.
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

    /// Fuel that each process gets; out of it, it ends with -24, and the status names the limit.
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

    /// A cache on disk, which keeps compiled modules for the next run. Default: yes.
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

    /// What becomes of processes that wait for one another in a circle: each wait of it could be ended
    /// by no other than the circle, and has no bound. Default: their waits end with
    /// [`Error::Deadlock`], and those who watch are told.
    ///
    /// Who else has a handle of a queue, pipe, semaphore or event could end a wait for it: the embedding
    /// program by its own, and a message by those that it carries. A process that alone has an event
    /// and waits for it is not in a circle: so one sleeps until one is ended. Where one of the circle
    /// answers Ctrl-C, that may end it: those who watch are told, and the waits go on.
    ///
    /// ```no_run
    /// # use procbox_host::Sandbox;
    /// # use procbox_core::observe::Deadlocks;
    /// let sandbox = Sandbox::builder().deadlocks(Deadlocks::Report).build()?; // and they wait on
    /// # drop(sandbox);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn deadlocks(mut self, policy: Deadlocks) -> Self {
        self.deadlocks = policy;
        self
    }

    /// The directory in which compiled modules are kept, which is made if it is missing. Default:
    /// `procbox/modules` in this user's cache directory. What is in there is executed: a directory to
    /// which others can write is refused, and no program can be granted it, what is above it or in it.
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

    /// CPU time that compiling one module may take, in whole seconds; then it is not runnable.
    /// Default: 5 s, and 4 s for each MiB of it, several times what real programs need.
    ///
    /// ```no_run
    /// # use procbox_host::Sandbox;
    /// # use std::time::Duration;
    /// let sandbox = Sandbox::builder().compile_time(Duration::from_secs(2)).build()?;
    /// # drop(sandbox);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn compile_time(mut self, cpu_time: Duration) -> Self {
        self.compile.time = Some(cpu_time);
        self
    }

    /// Memory, in bytes, that compiling one module may take; then it is not runnable. Default:
    /// 160 MiB, and 40 times the module's size. A quarter of it is for what it compiles to. It is the
    /// memory of a child process, not of this one; where there can be no child (another system than
    /// Linux, no `/proc`, procbox in a shared library) a thread of this process compiles, without
    /// such a limit, and is left behind when the time is up.
    ///
    /// ```no_run
    /// # use procbox_host::Sandbox;
    /// let sandbox = Sandbox::builder().compile_memory(256 << 20).build()?;
    /// # drop(sandbox);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn compile_memory(mut self, bytes: usize) -> Self {
        self.compile.memory = Some(bytes);
        self
    }

    /// Wall-clock time after which [`Sandbox::context`] gives up compiling, with
    /// [`Error::TimedOut`]. Default: no limit but that of CPU time.
    ///
    /// ```no_run
    /// # use procbox_host::Sandbox;
    /// # use std::time::Duration;
    /// let sandbox = Sandbox::builder().compile_timeout(Duration::from_secs(1)).build()?;
    /// # drop(sandbox);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn compile_timeout(mut self, timeout: Duration) -> Self {
        self.compile.timeout = Some(timeout);
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
    /// [`Error::Invalid`] for a limit of 0 or a cache directory that others can write to,
    /// [`Error::Os`] if the address space cannot be reserved or that directory cannot be made.
    pub fn build(self) -> Result<Sandbox> {
        let none = self.parallelism == Some(0) || self.fuel == Some(0) || self.tree.fuel == Some(0);
        if self.memory == 0 || self.stack == 0 || self.max_processes == 0 || none {
            let why = "a sandbox needs memory, stacks, processes and threads, and fuel if that is limited";
            return Err(Error::Invalid(why.into()));
        }
        if self.stack > MOST_STACK {
            let why = format!("a stack of {} bytes: at most {MOST_STACK}", self.stack);
            return Err(Error::Invalid(why));
        }
        let mut tree = self.tree;
        tree.memory.get_or_insert(self.memory.saturating_mul(2));
        // A tenth of the places is for other trees.
        tree.processes.get_or_insert(self.max_processes - self.max_processes / 10);
        let fuel = self.fuel.or(tree.fuel);
        let limits = Limits { memory: self.memory, stack: self.stack, tree, fuel };
        let cache = match self.cache_directory {
            _ if !self.cache => None,
            Some(directory) => Some(Cache::open(directory)?),
            None => Cache::of_user(),
        };
        let settings = engine::settings(&limits, self.max_processes, self.seed.is_some());
        let pools = Pools::new(limits, self.max_processes, settings)?;
        let admission =
            Admission { module: self.module_size, memory: self.memory, table: TABLE_ELEMENTS };
        let shares = self.max_processes > FEW;
        let compiler = Compiler { settings, admission, costs: self.compile, cache, shares };
        let cpus = || match self.seed {
            // The same number on every machine.
            Some(_) => 1,
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let parallelism = self.parallelism.unwrap_or_else(cpus);
        let running = pools.clone();
        let registry = Arc::new(Registry::new(OWN_PID));
        let runtime = match self.seed {
            Some(seed) => {
                let registry = registry.clone();
                Runtime::sim(seed, self.interval, move |pid| registry.kill(pid))
            }
            None => Runtime::threads(parallelism, Box::new(move || running.preempt())),
        };
        ctrl_c::register(&runtime);
        let detector = Detector::begin(&runtime, &registry, self.deadlocks);
        let inner = Inner {
            runtime,
            compiler,
            parallelism,
            limits,
            pools,
            registry,
            detector,
            names: Arc::default(),
        };
        Ok(Sandbox(Arc::new(Owner(Arc::new(inner)))))
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
pub struct Sandbox(pub(crate) Arc<Owner>);

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
            stack: STACK,
            tree: TreeLimits::new(),
            max_processes: MAX_PROCESSES,
            module_size: MODULE_SIZE,
            compile: Costs::default(),
            parallelism: None,
            fuel: None,
            seed: None,
            interval: None,
            cache: true,
            cache_directory: None,
            deadlocks: Deadlocks::Fail,
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
    /// [`Error::NotRunnable`] if it is not a valid module, imports something that is not granted, or
    /// costs too much to compile; [`Error::TimedOut`] and [`Error::Interrupted`] from compiling it.
    pub fn context(&self, program: Program) -> Result<Context> {
        self.context_with(program, Grants::default())
    }

    /// A context for a program that gets more.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # use procbox_host::{Grants, Program, Sandbox};
    /// # let (sandbox, program) = (Sandbox::builder().build()?, Program::wasm("workers.wasm")?);
    /// let grants = Grants::default().dir_read_only("/no/such", "/texts");
    /// let refused = sandbox.context_with(program, grants);
    /// assert!(matches!(refused.err(), Some(Error::Os { .. })));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Sandbox::context`]; [`Error::Os`] for a directory that cannot be opened,
    /// [`Error::Invalid`] for one by which the cache of compiled programs could be reached.
    pub fn context_with(&self, program: Program, grants: Grants) -> Result<Context> {
        grants.check()?;
        let inner = &self.0.0;
        inner.compiler.guard(&grants)?;
        let prepared = program.prepare(inner, grants.imports().clone(), &[])?;
        let raw = Root::new(self.0.clone(), prepared, grants)?;
        Ok(Context::from_raw(Arc::new(raw)))
    }

    /// Compiles a program ahead of time: the next context for it, in any sandbox of this user's with
    /// the same settings, takes it from the cache.
    ///
    /// ```no_run
    /// # use procbox_host::{Program, Sandbox};
    /// let sandbox = Sandbox::builder().build()?;
    /// let compiled = sandbox.compile(&Program::wasm("workers.wasm")?)?;
    /// println!("{} bytes", compiled.size);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Sandbox::context`]; [`Error::Invalid`] if there is no cache, [`Error::Os`] if it
    /// cannot be written.
    pub fn compile(&self, program: &Program) -> Result<Compiled> {
        self.compile_with(program, &Grants::default())
    }

    /// The same for a program that gets more: what it may import is looked at.
    ///
    /// ```no_run
    /// # use procbox_host::imports::UnknownImports;
    /// # use procbox_host::{Grants, Program, Sandbox};
    /// let sandbox = Sandbox::builder().build()?;
    /// let grants = Grants::default().unknown_imports(UnknownImports::Trap);
    /// sandbox.compile_with(&Program::wasm("plugin.wasm")?, &grants)?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Sandbox::compile`].
    pub fn compile_with(&self, program: &Program, grants: &Grants) -> Result<Compiled> {
        grants.imports().check()?;
        program.keep(&self.0.0, grants.imports(), &[])
    }

    /// Processes that live in it now.
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
        self.0.0.pools.taken()
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sandbox({} processes)", self.processes())
    }
}
