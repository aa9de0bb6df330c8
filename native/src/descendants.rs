//! Ends a process and all that descends from it.
//!
//! Who is killed first leaves its children to somebody else, where nobody finds them. So all are
//! stopped before any is killed: what is stopped starts nothing, and reaps nobody. What a stopped
//! process has started is found in `/proc`. A pid of there may be another's by now, if its parent
//! reaped it before it was stopped; a signal goes only to a process of which that is a parent still.
//! Processes whose own parent has ended before are found only where this process has adopted them.

use crate::{signals, syscalls};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};
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
            signal_child(&known, pid, Signal::SIGSTOP);
            found.push(pid);
        }
    }
    // The last that were found first: their parents are alive until then, and are seen to be theirs.
    for pid in found.into_iter().rev() {
        signal_child(&known, pid, Signal::SIGKILL);
    }
    signals::pidfd_signal(pidfd, Signal::SIGKILL);
}

/// Signals a process if its parent is one of these.
fn signal_child(parents: &HashSet<i32>, pid: i32, signal: Signal) {
    // The descriptor first: whose parent is looked at afterwards is that process, or it has ended and
    // the signal goes nowhere.
    let pidfd = syscalls::pidfd_open(pid);
    if !parent_of(pid).is_some_and(|parent| parents.contains(&parent)) {
        return;
    }
    match pidfd {
        Ok(pidfd) => signals::pidfd_signal(pidfd.as_fd(), signal),
        // It has ended, or this process has no descriptor left: then the pid has to do.
        Err(_) => drop(kill(Pid::from_raw(pid), signal)),
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

/// The state of a process, as `/proc` says it.
pub(crate) fn state(pid: i32) -> Option<char> {
    stat(pid)?.chars().next()
}

fn parent_of(pid: i32) -> Option<i32> {
    stat(pid)?.split(' ').nth(1)?.parse().ok()
}

/// What `/proc` says of a process after its name in parentheses: the state, the parent, and more.
fn stat(pid: i32) -> Option<String> {
    let stat = Path::new("/proc").join(pid.to_string()).join("stat");
    let stat = std::fs::read_to_string(stat).ok()?;
    stat.rsplit_once(") ").map(|(_, rest)| rest.to_string())
}
