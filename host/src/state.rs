//! What a process's store holds: all that the process has.

use crate::account::Account;
use crate::blocked;
use crate::cycles::Carrier;
use crate::foreign::Foreign;
use crate::fuel::Work;
use crate::limits::MemoryLimit;
use crate::lines::Lines;
use crate::listed::Listed;
use crate::lock::Holder;
use crate::object::{Object, Stored};
use crate::permits::Permits;
use crate::process::HostProcess;
use crate::ready::Source;
use crate::runtime::Runtime;
use crate::table::Table;
use crate::tree;
use procbox_core::raw::{ProcessSpec, RawContext};
use procbox_core::{ExitStatus, Result, signal};
use std::collections::HashSet;
use std::sync::{Arc, Weak};
use wasmtime::Memory;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::WasiP1Ctx;

/// The context that a process lives in, as far as the process needs it.
pub(crate) trait Environment: Send + Sync {
    /// Starts another process of the same program for `parent`, in its tree, to which it hands
    /// `arguments`. What that prints goes where the parent's output goes.
    ///
    /// # Errors
    /// [`procbox_core::Error::NoSuchWorker`], [`procbox_core::Error::NotRunnable`],
    /// [`procbox_core::Error::Exhausted`].
    fn start(
        self: Arc<Self>,
        spec: ProcessSpec,
        arguments: Stored,
        parent: &HostProcess,
    ) -> Result<Arc<HostProcess>>;

    /// True if its processes may start processes.
    fn may_start(&self) -> bool;

    /// The program's name.
    fn program(&self) -> &str;

    /// The program's workers.
    fn workers(&self) -> &Listed;

    /// The number of processes that run at once.
    fn cpu_count(&self) -> usize;

    /// The number of directories that were granted.
    fn directories(&self) -> usize;

    /// The context in which its processes make primitives, if that is another: on a bridge.
    fn maker(&self) -> Option<&Arc<dyn RawContext>> {
        None
    }

    /// Adds the directories and variables that were granted.
    ///
    /// # Errors
    /// [`procbox_core::Error::Os`] if a directory cannot be opened.
    fn grant(&self, wasi: &mut WasiCtxBuilder) -> Result<()>;
}

/// stdin, stdout and stderr.
pub(crate) const STDIO: [i32; 3] = [0, 1, 2];
/// No descriptor.
pub(crate) const NONE: i32 = -1;
/// For how many children there is room at once.
const MIN_CHILDREN: usize = 8;
/// For how many locks without a handle there is.
const MIN_ORPHANS: usize = 8;

/// The data of a process's store.
pub(crate) struct State {
    pub(crate) process: Arc<HostProcess>,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) spec: ProcessSpec,
    pub(crate) table: Table,
    /// A message that waits to be read by the guest; at first its arguments.
    pub(crate) kept: Stored,
    /// Messages that were received, each from this handle, and found no room for their own handles.
    pub(crate) late: Vec<(i32, Stored)>,
    /// Locks whose handles were closed while this process may have held them.
    orphans: Vec<Object>,
    /// Permits taken and not given back.
    pub(crate) permits: Permits,
    /// The same, of semaphores of another backend.
    pub(crate) foreign_permits: Permits<Foreign>,
    /// What it has of ledgers.
    pub(crate) lines: Lines,
    /// Processes started by this one.
    pub(crate) children: Vec<Arc<HostProcess>>,
    /// The guest's linear memory, once its exports are known.
    pub(crate) memory: Option<Memory>,
    pub(crate) limits: MemoryLimit,
    /// Made at the first call that needs it: many workers never do.
    pub(crate) wasi: Option<WasiP1Ctx>,
    /// Listings of directories that WASI 0.2 has for it.
    pub(crate) listings: usize,
    /// The descriptors that WASI has of its stdio; [`NONE`] for one that was closed.
    pub(crate) stdio: [i32; 3],
    /// An image is made of it: it may say when it is ready.
    pub(crate) is_first: bool,
    /// Its place in its tree.
    pub(crate) member: tree::Place,
    /// What the host does for it.
    pub(crate) work: Work,
}

impl State {
    pub(crate) fn new(
        process: Arc<HostProcess>,
        environment: Arc<dyn Environment>,
        spec: ProcessSpec,
        arguments: Stored,
        limits: MemoryLimit,
        member: tree::Place,
    ) -> State {
        State {
            table: Table::new(crate::limits::HANDLES, process.tree.account.clone()),
            process,
            environment,
            spec,
            kept: arguments,
            late: Vec::new(),
            orphans: Vec::new(),
            permits: Permits::default(),
            foreign_permits: Permits::default(),
            lines: Lines::default(),
            children: Vec::new(),
            memory: None,
            limits,
            wasi: None,
            listings: 0,
            stdio: STDIO,
            is_first: false,
            member,
            work: Work::default(),
        }
    }

    /// Notes a child. Those that have ended are struck out when there is no room without that, so that
    /// a thousand starts do not look at a thousand children each.
    pub(crate) fn add_child(&mut self, child: Arc<HostProcess>) {
        if self.children.len() == self.children.capacity() {
            self.children.retain(|c| c.status_now().is_none());
            self.children.reserve(self.children.len().max(MIN_CHILDREN));
        }
        self.children.push(child);
    }

    /// Notes a lock whose last handle is closed while it is held. Those that are held no more, and
    /// those that are there twice, are struck out when there is no room without that.
    pub(crate) fn add_orphan(&mut self, lock: Object) {
        if self.orphans.len() == self.orphans.capacity() {
            let me = self.holder();
            let mut seen = HashSet::new();
            let mut is_new = |own: &Object| own.lock_address().is_some_and(|at| seen.insert(at));
            self.orphans.retain(|own| own.is_held_by(me) && is_new(own));
            self.orphans.reserve(self.orphans.len().max(MIN_ORPHANS));
        }
        self.orphans.push(lock);
    }

    /// True if there are locks that it may hold without a handle.
    pub(crate) fn has_orphans(&self) -> bool {
        self.orphans.iter().any(|lock| lock.is_held_by(self.holder()))
    }

    /// The process as one who waits.
    pub(crate) fn standing(&self) -> Standing<'_> {
        Standing {
            process: &self.process,
            table: &self.table,
            kept: &self.kept,
            permits: &self.permits,
            lines: &self.lines,
            is_bounded: self.process.deadline.instant().is_some(),
            sources: &[],
        }
    }

    pub(crate) fn holder(&self) -> Holder {
        Holder::process(self.process.identity.pid)
    }

    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.process.tree.account
    }

    pub(crate) fn runtime(&self) -> &Arc<Runtime> {
        &self.process.runtime
    }
}

/// A process as one who waits: it, and what it has meanwhile.
pub(crate) struct Standing<'a> {
    pub(crate) process: &'a HostProcess,
    table: &'a Table,
    kept: &'a Stored,
    permits: &'a Permits,
    lines: &'a Lines,
    /// It is ended after a while: no wait of it is for ever.
    pub(crate) is_bounded: bool,
    /// Those of which it waits for the first.
    sources: &'a [Arc<dyn Source>],
}

impl<'a> Standing<'a> {
    /// The same, when it waits for the first of these.
    pub(crate) fn with_sources(self, sources: &'a [Arc<dyn Source>]) -> Standing<'a> {
        Standing { sources, ..self }
    }

    /// The addresses of all that several may have, one for each reference that this process has.
    pub(crate) fn held(&self) -> Vec<usize> {
        let kept = self.kept.objects.iter();
        let objects = self.table.iter().chain(kept).filter_map(Object::address);
        let permits = self.permits.semaphores().map(blocked::address);
        let lines = self.lines.ledgers().map(blocked::address);
        objects
            .chain(permits)
            .chain(lines)
            .chain(self.sources.iter().map(blocked::address))
            .collect()
    }

    /// Those queues and ends of pipes that it has in whose messages there are others.
    pub(crate) fn carriers(&self) -> Vec<Weak<dyn Carrier>> {
        self.table.iter().chain(&self.kept.objects).filter_map(Object::carrying).collect()
    }
}

impl Drop for State {
    /// Gives back what it held, and ends its daemons.
    fn drop(&mut self) {
        let me = self.holder();
        self.table.drain().for_each(|object| object.abandon(me));
        self.orphans.iter().for_each(|lock| lock.abandon(me));
        self.permits.give_back();
        self.foreign_permits.give_back();
        self.lines.give_back();
        for child in self.children.iter().filter(|c| c.identity.daemon) {
            child.end_with(ExitStatus::signaled(signal::TERM));
        }
    }
}
