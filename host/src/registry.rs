//! Pids, and the processes that live, so that the end of the sandbox can be theirs too.

use crate::process::HostProcess;
use crate::sync::lock;
use crate::tree::Tree;
use procbox_core::{ExitStatus, signal};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// The largest pid: a guest gets it as a code, and those below 0 are errors.
const LAST: u32 = i32::MAX as u32;

/// The processes of a sandbox, by pid.
pub(crate) struct Registry {
    own: u32,
    last_pid: AtomicU32,
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    processes: BTreeMap<u32, Weak<HostProcess>>,
    /// The embedding program has let go: what is started now is ended too.
    ending: bool,
}

impl Registry {
    /// One whose processes get the pids above `own`, that of the embedding program.
    pub(crate) fn new(own: u32) -> Registry {
        Registry { own, last_pid: AtomicU32::new(own), live: Mutex::default() }
    }

    /// A pid that no living process has. After the last number comes the first that is free again.
    pub(crate) fn next_pid(&self) -> u32 {
        loop {
            let last = self.last_pid.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(if last >= LAST { self.own + 1 } else { last + 1 })
            });
            // It always has a new value.
            let (Ok(last) | Err(last)) = last;
            let pid = if last >= LAST { self.own + 1 } else { last + 1 };
            if !lock(&self.live).processes.contains_key(&pid) {
                return pid;
            }
        }
    }

    /// Notes that a process lives.
    pub(crate) fn enter(&self, process: &Arc<HostProcess>) {
        let mut live = lock(&self.live);
        live.processes.insert(process.identity.pid, Arc::downgrade(process));
        let ending = live.ending.then_some(ExitStatus::signaled(signal::KILL));
        drop(live);
        if let Some(status) = ending.or_else(|| process.tree.ending()) {
            process.end_with(status);
        }
    }

    /// Notes that a process has ended.
    pub(crate) fn leave(&self, pid: u32) {
        lock(&self.live).processes.remove(&pid);
    }

    /// Ends all of a tree that live, and all of it that are started from now on.
    pub(crate) fn end_tree(&self, tree: &Arc<Tree>, status: ExitStatus) {
        let live = lock(&self.live);
        // Who enters after this sees it there.
        tree.is_to_end(status);
        let processes: Vec<_> = live.processes.values().filter_map(Weak::upgrade).collect();
        drop(live);
        let own = processes.iter().filter(|process| Arc::ptr_eq(&process.tree, tree));
        own.for_each(|process| process.end_with(status));
    }

    /// Those that are in a wait without a bound.
    pub(crate) fn waiting(&self) -> Vec<Arc<HostProcess>> {
        let live = lock(&self.live);
        let waiting = |process: &Arc<HostProcess>| process.waiter.turn().is_some();
        live.processes.values().filter_map(Weak::upgrade).filter(waiting).collect()
    }

    /// Kills one, if it lives.
    pub(crate) fn kill(&self, pid: u32) {
        let process = lock(&self.live).processes.get(&pid).and_then(Weak::upgrade);
        process.iter().for_each(|process| process.end_with(ExitStatus::signaled(signal::KILL)));
    }

    /// Kills all that live, and all that are started from now on.
    pub(crate) fn end(&self) {
        let mut live = lock(&self.live);
        live.ending = true;
        let processes: Vec<_> = live.processes.values().filter_map(Weak::upgrade).collect();
        drop(live);
        processes.iter().for_each(|process| process.end_with(ExitStatus::signaled(signal::KILL)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Runtime;
    use crate::tree_limits::TreeLimits;
    use procbox_core::Identity;
    use procbox_core::Wait;
    use procbox_core::time::SystemClock;

    #[test]
    fn pids_begin_anew_after_the_last_and_pass_over_those_of_the_living() {
        let registry = Arc::new(Registry::new(1));
        let runtime = Runtime::threads(1, Box::new(|| {}));
        let start = || {
            let identity = Identity::new("p", registry.next_pid());
            let share = crate::runtime::Share::new(crate::runtime::WEIGHT);
            let deadline = Wait::Forever.deadline(&SystemClock);
            let tree = Tree::new(share, Arc::default(), registry.clone(), TreeLimits::new());
            let process =
                HostProcess::new(runtime.clone(), identity, tree, Arc::default(), deadline, false)
                    .unwrap();
            registry.enter(&process);
            process
        };
        let living = [start(), start(), start()];
        assert_eq!(living.each_ref().map(|p| p.identity.pid), [2, 3, 4]);
        registry.leave(3);
        registry.last_pid.store(LAST - 1, Ordering::Relaxed);
        assert_eq!([registry.next_pid(), registry.next_pid()], [LAST, 3]);
        assert_eq!(registry.next_pid(), 5);
    }
}
