//! Ends a process and all that descends from it.
//!
//! Who is killed first leaves its children to somebody else, where nobody finds them. So all are
//! stopped before any is killed: what is stopped starts nothing, and reaps nobody, so that no pid
//! among them becomes another's. What a stopped process has started is found in `/proc`. Processes
//! whose own parent has ended before are found only where this process has adopted them.

use crate::signals;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Rounds of looking for more: each finds what was started until its parent was stopped.
const ROUNDS: u32 = 100;

/// Kills a child of this process, which was not reaped, and what descends from it.
pub(crate) fn kill_tree(child: i32, pidfd: BorrowedFd<'_>) {
    signals::pidfd_signal(pidfd, Signal::SIGSTOP);
    let mut found = Vec::new();
    let mut known = HashSet::from([child]);
    for _ in 0..ROUNDS {
        let parents: Vec<i32> = known.iter().copied().collect();
        let more: Vec<i32> =
            parents.into_iter().flat_map(children_of).filter(|pid| known.insert(*pid)).collect();
        if more.is_empty() && known.iter().all(|pid| has_stopped(*pid)) {
            break;
        }
        for pid in more {
            // Its parent is stopped or about to be, and has not reaped it.
            let _ = kill(Pid::from_raw(pid), Signal::SIGSTOP);
            found.push(pid);
        }
    }
    signals::pidfd_signal(pidfd, Signal::SIGKILL);
    for pid in found {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// The children of all threads of a process.
pub(crate) fn children_of(pid: i32) -> Vec<i32> {
    let tasks = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"));
    let lists = tasks
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

/// True if it can start nothing: it is stopped, a zombie, or gone.
fn has_stopped(pid: i32) -> bool {
    state(pid).is_none_or(|state| matches!(state, 'T' | 't' | 'Z' | 'X'))
}

/// The state of a process, as `/proc` says it: what follows the name in parentheses.
pub(crate) fn state(pid: i32) -> Option<char> {
    let stat = Path::new("/proc").join(pid.to_string()).join("stat");
    let stat = std::fs::read_to_string(stat).ok()?;
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
}
