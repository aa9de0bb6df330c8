//! What a process's store holds: all that the process has.

use crate::account::{Account, Member};
use crate::blocked;
use crate::limits::Place;
use crate::listed::Listed;
use crate::lock::{Holder, HostLock};
use crate::object::{Object, Stored};
use crate::process::{Captured, HostProcess};
use crate::ready::Source;
use crate::runtime::Runtime;
use crate::semaphore::HostSemaphore;
use crate::table::Table;
use crate::tree::Tree;
use procbox_core::raw::ProcessSpec;
use procbox_core::{ExitStatus, Result, signal};
use std::sync::Arc;
use wasmtime::{Memory, StoreLimits};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::WasiP1Ctx;

/// The context that a process lives in, as far as the process needs it.
pub(crate) trait Environment: Send + Sync {
    /// Starts another process of the same program, in this tree, to which it hands `arguments`. What
    /// that prints, if it is kept, goes to `output`.
    ///
    /// # Errors
    /// [`procbox_core::Error::NoSuchWorker`], [`procbox_core::Error::NotRunnable`],
    /// [`procbox_core::Error::Exhausted`].
    fn start(
        self: Arc<Self>,
        spec: ProcessSpec,
        arguments: Stored,
        tree: Arc<Tree>,
        output: Captured,
    ) -> Result<Arc<HostProcess>>;

    /// True if its processes may start processes.
    fn may_start(&self) -> bool;

    /// The program's name.
    fn program(&self) -> &str;

    /// The program's workers.
    fn workers(&self) -> &Listed;

    /// The number of processes that run at once.
    fn cpu_count(&self) -> usize;

    /// Adds the directories and variables that were granted.
    ///
    /// # Errors
    /// [`procbox_core::Error::Os`] if a directory cannot be opened.
    fn grant(&self, wasi: &mut WasiCtxBuilder) -> Result<()>;
}

/// For how many children there is room at once.
const MIN_CHILDREN: usize = 8;

/// The data of a process's store.
pub(crate) struct State {
    pub(crate) process: Arc<HostProcess>,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) spec: ProcessSpec,
    pub(crate) table: Table,
    /// A message that waits to be read by the guest; at first its arguments.
    pub(crate) kept: Stored,
    /// Locks whose handles were closed while this process may have held them.
    pub(crate) orphans: Vec<Arc<HostLock>>,
    /// Permits taken and not given back.
    pub(crate) permits: Vec<(Arc<HostSemaphore>, usize)>,
    /// Processes started by this one.
    pub(crate) children: Vec<Arc<HostProcess>>,
    /// The guest's linear memory, once its exports are known.
    pub(crate) memory: Option<Memory>,
    pub(crate) limits: StoreLimits,
    /// Made at the first call that needs it: many workers never do.
    pub(crate) wasi: Option<WasiP1Ctx>,
    _member: Member,
    _place: Place,
}

impl State {
    pub(crate) fn new(
        process: Arc<HostProcess>,
        environment: Arc<dyn Environment>,
        spec: ProcessSpec,
        arguments: Stored,
        limits: StoreLimits,
        member: Member,
        place: Place,
    ) -> State {
        State {
            process,
            environment,
            spec,
            table: Table::new(crate::limits::HANDLES),
            kept: arguments,
            orphans: Vec::new(),
            permits: Vec::new(),
            children: Vec::new(),
            memory: None,
            limits,
            wasi: None,
            _member: member,
            _place: place,
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

    /// The process as one who waits.
    pub(crate) fn standing(&self) -> Standing<'_> {
        Standing {
            process: &self.process,
            table: &self.table,
            kept: &self.kept,
            permits: &self.permits,
            is_bounded: self.spec.timeout.is_some(),
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
    permits: &'a [(Arc<HostSemaphore>, usize)],
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
        let permits = self.permits.iter().map(|(own, _)| blocked::address(own));
        objects.chain(permits).chain(self.sources.iter().map(blocked::address)).collect()
    }
}

impl Drop for State {
    /// Gives back what it held, and ends its daemons.
    fn drop(&mut self) {
        let me = self.holder();
        for object in self.table.drain() {
            if let Object::Lock(lock) = object {
                lock.abandon(me);
            }
        }
        self.orphans.iter().for_each(|lock| lock.abandon(me));
        for (semaphore, permits) in self.permits.drain(..) {
            semaphore.take_back(permits);
        }
        for child in self.children.iter().filter(|c| c.identity.daemon) {
            child.end_with(ExitStatus::signaled(signal::TERM));
        }
    }
}
