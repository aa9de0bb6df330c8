//! Pids, and the processes that live, so that the end of the sandbox can be theirs too.

use crate::process::HostProcess;
use crate::sync::lock;
use procbox_core::{ExitStatus, signal};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// The processes of a sandbox, by pid.
pub(crate) struct Registry {
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
        Registry { last_pid: AtomicU32::new(own), live: Mutex::default() }
    }

    pub(crate) fn next_pid(&self) -> u32 {
        self.last_pid.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Notes that a process lives.
    pub(crate) fn enter(&self, process: &Arc<HostProcess>) {
        let mut live = lock(&self.live);
        live.processes.insert(process.identity.pid, Arc::downgrade(process));
        let ending = live.ending;
        drop(live);
        if ending {
            process.end_with(ExitStatus::signaled(signal::KILL));
        }
    }

    /// Notes that a process has ended.
    pub(crate) fn leave(&self, pid: u32) {
        lock(&self.live).processes.remove(&pid);
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
