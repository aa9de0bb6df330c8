//! Ends a process and all that descends from it.
//!
//! Who is killed first leaves its children to somebody else, where nobody finds them. So all are
//! stopped before any is killed: what is stopped starts nothing, and reaps nobody. What a stopped
//! process has started is found in `/proc`. A pid that was found may become another's, if somebody
//! reaps its process: a process is known by its pid and the time of its start, and no other gets the
//! signal. Not by its parent: one that was ending when it was stopped has left its children to others.
//!
//! Processes whose own parent has ended before are found in the arena's process table, which knows who
//! descends from whom. Those that have no place there (a program's `main`, what knows nothing of
//! procbox) are found only where this process has adopted them.

use crate::arena::Arena;
use crate::arena::slots::Claim;
use crate::sync::patience::Patience;
use crate::{signals, syscalls};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

/// Rounds of looking for more: each finds what was started until its parent was stopped.
const ROUNDS: u32 = 100;

/// Rounds of looking whether what is in the table has ended, and the pause between two.
const TABLE_ROUNDS: u32 = 1000;
/// Rounds in which the arena's lock is not to be had, because another is stopped that has it.
const REFUSALS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(1);

/// Kills a child of this process, which was not reaped, and what descends from it; `table` is its place, if
/// it has one.
pub(crate) fn kill_tree(child: i32, pidfd: BorrowedFd<'_>, table: Option<(&Arena, Claim)>) {
    signals::pidfd_signal(pidfd, Signal::SIGSTOP);
    let mut found = Vec::new();
    let mut known = HashSet::from([child]);
    for _ in 0..ROUNDS {
        let parents: Vec<i32> = known.iter().copied().collect();
        let listed = table.map_or_else(Vec::new, |(arena, claim)| arena.descendants(claim));
        let children = parents.into_iter().flat_map(children_of).chain(listed);
        let more: Vec<i32> = children.filter(|pid| known.insert(*pid)).collect();
        if more.is_empty() && known.iter().all(|pid| has_stopped(*pid)) {
            break;
        }
        for pid in more {
            // Right after it was seen: no pid comes round in that time.
            let Some(began) = start_of(pid) else { continue };
            signal_process(pid, began, Signal::SIGSTOP);
            found.push((pid, began));
        }
    }
    signals::pidfd_signal(pidfd, Signal::SIGKILL);
    for (pid, began) in found {
        signal_process(pid, began, Signal::SIGKILL);
    }
    if let Some((arena, claim)) = table {
        kill_listed(arena, claim);
    }
}

/// Kills what is in the table and descends from a process that has been killed, until all of it has ended: one
/// may have started another in its last moment.
fn kill_listed(arena: &Arena, claim: Claim) {
    let mut refused = 0;
    for _ in 0..TABLE_ROUNDS {
        // Those that are killed give the lock back, if they had it.
        let Ok(running) = arena.withdraw_descendants(claim, &Patience::brief()) else {
            refused += 1;
            if refused == REFUSALS {
                return;
            }
            continue;
        };
        let mut settled = true;
        for (slot, pid) in running.into_iter().filter(|(_, pid)| !syscalls::has_ended(*pid)) {
            settled = false;
            let Ok(pidfd) = syscalls::pidfd_open(pid) else { continue };
            // Its main thread holds this as long as it lives, so the pid is still its own.
            if arena.slot(slot).life.holder() == Some(pid as u32) {
                signals::pidfd_signal(pidfd.as_fd(), Signal::SIGKILL);
            }
        }
        if settled {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Signals the process of this pid that began then; nothing happens if it has ended.
fn signal_process(pid: i32, began: u64, signal: Signal) {
    // The descriptor first: if the pid is looked at afterwards and is that process, so is this.
    let pidfd = syscalls::pidfd_open(pid);
    if start_of(pid) != Some(began) {
        return;
    }
    match pidfd {
        Ok(pidfd) => signals::pidfd_signal(pidfd.as_fd(), signal),
        // This process has no descriptor left: then the pid, which is right just now, has to do.
        Err(e) if matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
            let _ = kill(Pid::from_raw(pid), signal);
        }
        Err(_) => {}
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

/// The time at which a process began, in the kernel's ticks since it was booted: field 22 of its `stat`.
fn start_of(pid: i32) -> Option<u64> {
    stat(pid)?.split(' ').nth(19)?.parse().ok()
}

/// What `/proc` says of a process from the third field on, which follows its name in parentheses.
fn stat(pid: i32) -> Option<String> {
    let stat = Path::new("/proc").join(pid.to_string()).join("stat");
    let stat = std::fs::read_to_string(stat).ok()?;
    stat.rsplit_once(") ").map(|(_, rest)| rest.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn only_the_process_that_began_then_gets_the_signal() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id() as i32;
        let began = start_of(pid).unwrap();
        signal_process(pid, began + 1, Signal::SIGKILL);
        signal_process(pid, began, Signal::SIGTERM);
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
        assert_eq!(start_of(pid), None);
    }
}
