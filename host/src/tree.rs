//! A tree of processes: one that the embedding program has started, and all that come of it.

use crate::account::{Account, Member};
use crate::connection::Names;
use crate::fuel::Given;
use crate::registry::Registry;
use crate::runtime::Share;
use crate::tree_limits::TreeLimits;
use procbox_core::{Error, ExitStatus, Limit, Result, Usage};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What the processes of a tree have in common. The embedding program's start makes one; a child is
/// of its parent's.
pub(crate) struct Tree {
    /// What it holds of the host.
    pub(crate) account: Arc<Account>,
    /// Its share of the CPUs.
    pub(crate) share: Arc<Share>,
    /// Whom its processes can reach by name.
    pub(crate) names: Arc<Names>,
    registry: Arc<Registry>,
    limits: TreeLimits,
    /// Places of processes that live: one each, unless it has several memories or tables.
    alive: AtomicUsize,
    /// Processes that were started.
    started: AtomicU64,
    /// Bytes printed.
    printed: AtomicU64,
    /// CPU time, in nanoseconds, if that is limited.
    cpu_time: AtomicU64,
    /// Fuel that no process has.
    fuel: AtomicU64,
    /// Fuel that was used by who has ended.
    fuel_used: AtomicU64,
    /// One was refused memory.
    lacked_memory: AtomicBool,
    /// Files that are open.
    files: AtomicUsize,
    /// Bytes written to files.
    written: AtomicU64,
    /// Bytes read from stdin, files and directories.
    read: AtomicU64,
    /// Files made.
    created: AtomicU64,
    /// It is to end with this, and whoever comes to it too.
    ending: OnceLock<ExitStatus>,
}

/// Adds to a count that has a limit; whether that was possible.
fn add(count: &AtomicU64, more: u64, most: u64) -> bool {
    let sum = |now: u64| now.checked_add(more).filter(|sum| *sum <= most);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
}

impl Tree {
    /// One with this share of the CPUs, whose processes are listed in this registry, meet those of
    /// these names, and keep to these limits.
    pub(crate) fn new(
        share: Arc<Share>,
        names: Arc<Names>,
        registry: Arc<Registry>,
        limits: TreeLimits,
    ) -> Arc<Tree> {
        Arc::new(Tree {
            account: Account::of_tree(&limits),
            share,
            names,
            registry,
            limits,
            alive: AtomicUsize::new(0),
            started: AtomicU64::new(0),
            printed: AtomicU64::new(0),
            cpu_time: AtomicU64::new(0),
            fuel: AtomicU64::new(limits.fuel.unwrap_or(u64::MAX)),
            fuel_used: AtomicU64::new(0),
            lacked_memory: AtomicBool::new(false),
            files: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            read: AtomicU64::new(0),
            created: AtomicU64::new(0),
            ending: OnceLock::new(),
        })
    }

    /// One more process lives, which takes so many places and so many bytes beside the usual ones, and has
    /// so many files open.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub(crate) fn enter(
        self: &Arc<Tree>,
        places: usize,
        bytes: usize,
        files: usize,
    ) -> Result<Place> {
        let most = self.limits.processes.unwrap_or(usize::MAX);
        // One alone may have more than there are.
        let places = places.min(most).max(1);
        let more = |n: usize| n.checked_add(places).filter(|sum| *sum <= most);
        let taken = self.alive.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        if taken.is_err() {
            return Err(Error::Exhausted(format!("room for more than {most} processes of a tree")));
        }
        let mut place = Place { tree: self.clone(), places, files: 0, _member: None };
        if !add(&self.started, 1, self.limits.starts) {
            let why = format!("starts: {} for a tree of processes", self.limits.starts);
            return Err(Error::Exhausted(why));
        }
        if (0..files).any(|_| !place.open_file()) {
            return Err(Error::Exhausted(format!("files: {} at once", self.limits.open_files)));
        }
        place._member = Some(self.account.enter(bytes)?);
        Ok(place)
    }

    /// Ends all its processes, and those that are being started.
    pub(crate) fn end(self: &Arc<Tree>, status: ExitStatus) {
        self.registry.end_tree(self, status);
    }

    /// Has it end so, unless that is decided; to be called with the registry locked.
    pub(crate) fn is_to_end(&self, status: ExitStatus) {
        // The first has decided it.
        let _ = self.ending.set(status);
    }

    /// How it is to end, if it is.
    pub(crate) fn ending(&self) -> Option<ExitStatus> {
        self.ending.get().copied()
    }

    /// How many bytes may be printed of so many. If that is not all, it ends.
    pub(crate) fn print(self: &Arc<Tree>, bytes: usize) -> usize {
        let most = self.limits.output;
        let before = self.printed.fetch_add(bytes as u64, Ordering::Relaxed);
        let left = usize::try_from(most.saturating_sub(before)).unwrap_or(usize::MAX);
        if left < bytes {
            self.end(ExitStatus::limited(Limit::Output));
        }
        left.min(bytes)
    }

    /// True if its CPU time has to be measured.
    pub(crate) fn limits_cpu_time(&self) -> bool {
        self.limits.cpu_time.is_some()
    }

    /// One of its processes has used so much CPU time. If that was too much, it ends.
    pub(crate) fn spend(self: &Arc<Tree>, time: Duration) {
        let Some(most) = self.limits.cpu_time else { return };
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let before = self.cpu_time.fetch_add(nanos, Ordering::Relaxed);
        if u128::from(before.saturating_add(nanos)) >= most.as_nanos() && self.ending().is_none() {
            self.end(ExitStatus::limited(Limit::CpuTime));
        }
    }

    /// What its processes have used, but for the time.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        let load = |count: &AtomicU64| Some(count.load(Ordering::Relaxed));
        if self.limits_cpu_time() {
            usage.cpu_time = load(&self.cpu_time).map(Duration::from_nanos);
        }
        usage.memory = Some(self.account.used() as u64);
        usage.peak_memory = Some(self.account.peak() as u64);
        usage.processes = load(&self.started);
        usage.printed = load(&self.printed).map(|bytes| bytes.min(self.limits.output));
        usage.written = load(&self.written);
        usage.read = load(&self.read);
        usage.lacked_memory = self.lacked_memory.load(Ordering::Relaxed);
        usage
    }

    /// A process was refused memory.
    pub(crate) fn lacked_memory(&self) {
        self.lacked_memory.store(true, Ordering::Relaxed);
    }

    /// The fuel that those have used who have ended.
    pub(crate) fn fuel_used(&self) -> u64 {
        self.fuel_used.load(Ordering::Relaxed)
    }

    /// The fuel of a process that starts: so much, or what is left.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub(crate) fn take_fuel(self: &Arc<Tree>, fuel: Option<u64>) -> Result<Given> {
        let (Some(_), Some(fuel)) = (self.limits.fuel, fuel) else {
            return Ok(Given::new(self.clone(), fuel));
        };
        let mut taken = 0;
        let _ = self.fuel.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            taken = left.min(fuel);
            Some(left - taken)
        });
        if taken == 0 {
            return Err(Error::Exhausted("fuel".into()));
        }
        Ok(Given::new(self.clone(), Some(taken)))
    }

    /// Takes back what a process has left that has used so much.
    pub(crate) fn give_fuel(&self, left: u64, used: u64) {
        if self.limits.fuel.is_some() {
            self.fuel.fetch_add(left, Ordering::Relaxed);
        }
        self.fuel_used.fetch_add(used, Ordering::Relaxed);
    }

    /// So many bytes are to be written to files; whether that is possible.
    pub(crate) fn write(&self, bytes: u64) -> bool {
        add(&self.written, bytes, self.limits.written)
    }

    /// So many of them were not written.
    pub(crate) fn unwrite(&self, bytes: u64) {
        self.written.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// So many bytes were read.
    pub(crate) fn read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The most bytes that a file may come to.
    pub(crate) fn most_written(&self) -> u64 {
        self.limits.written
    }

    /// One more file is open, for as long as this is there; `None` if there are too many.
    pub(crate) fn open_file(self: &Arc<Tree>) -> Option<OpenFile> {
        let more = |n: usize| (n < self.limits.open_files).then_some(n + 1);
        self.files.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(OpenFile(self.clone()))
    }

    /// A file is to be made; whether that is possible.
    pub(crate) fn create(&self) -> bool {
        add(&self.created, 1, self.limits.created)
    }
}

/// A file that is open, beside those that processes have descriptors of.
pub(crate) struct OpenFile(Arc<Tree>);

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.0.files.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The place of a process in its tree: it has it for as long as its store is there.
pub(crate) struct Place {
    tree: Arc<Tree>,
    /// How many places it takes.
    places: usize,
    /// Files that it has open.
    files: usize,
    _member: Option<Member>,
}

impl Place {
    /// It is to open one more file; whether that is possible.
    pub(crate) fn open_file(&mut self) -> bool {
        let most = self.tree.limits.open_files;
        let count = &self.tree.files;
        let more = |n: usize| (n < most).then_some(n + 1);
        let opened = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        self.files += usize::from(opened);
        opened
    }

    /// Files that it has open.
    pub(crate) fn open_files(&self) -> usize {
        self.files
    }

    /// It has closed one.
    pub(crate) fn close_file(&mut self) {
        if self.files > 0 {
            self.files -= 1;
            self.tree.files.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tree.files.fetch_sub(self.files, Ordering::Relaxed);
        self.tree.alive.fetch_sub(self.places, Ordering::Relaxed);
    }
}
