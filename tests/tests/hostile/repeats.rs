//! The cheap half of the attacks, made again and again in one sandbox: it has no more afterwards than
//! after the first of them. `PROCBOX_REPEATS` says how often; `make leaks` asks for a thousand times.

use crate::frame::{Attack, MEMORY, ours, turn, until};
use crate::{arguments, heaps, memory, traps};
use procbox::{Context, Process, Sandbox};

/// So often among the tests.
const REPEATS: usize = 20;
/// The first rounds bring up what stays: threads, places of instances, the allocator's arenas.
const FIRST: usize = 5;
/// What the allocator may have kept of so many processes: a leak of 200 bytes each would be more than
/// that in a thousand rounds.
const KEPT: usize = 16 << 20;
/// Processes at once. Each place for one has mappings of its own once it was used, so they are few, and
/// the first rounds use them all.
const PLACES: usize = 8;
/// Mappings that those and the allocator may make later all the same: not one for each process, and in a
/// thousand rounds not one for each round.
const MAPPINGS: usize = 8 * PLACES;
/// The most that the handle of a process that has ended keeps of its tree's memory.
const DEAD: u64 = 1024;
/// Of attacks by bad arguments, which are alike, one in so many.
const SOME: usize = 8;

fn cheap() -> Vec<Attack> {
    let arguments = arguments::without_a_handle().chain(arguments::with_any_handle());
    let mut all: Vec<_> = arguments.step_by(SOME).collect();
    all.extend(traps::crashes());
    all.extend(traps::recursions());
    all.extend(heaps::small());
    all.extend(memory::small());
    all
}

/// The lines of a file of this process's.
fn lines(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The memory that this process has, in bytes.
fn resident() -> usize {
    let status = lines("/proc/self/status");
    let found = status.iter().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = found.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or_default() << 10
}

/// Makes each of them once, and sees to it that nothing of it is kept for its tree.
fn round(sandbox: &Sandbox, attacks: &[(Attack, Context)]) {
    let ended: Vec<(&str, Process)> =
        attacks.iter().map(|(attack, ctx)| (attack.tries(), attack.make_again(ctx))).collect();
    until("the children that were left behind", || sandbox.processes() == 0);
    for (tries, process) in ended {
        let memory = || process.usage().ok().and_then(|usage| usage.memory);
        until(tries, || memory().is_some_and(|bytes| bytes < DEAD));
    }
}

#[test]
fn repeats_of_cheap_attacks_leave_nothing() {
    let _turn = turn();
    let asked = std::env::var("PROCBOX_REPEATS").ok().and_then(|n| n.parse().ok());
    let repeats = asked.unwrap_or(REPEATS);
    let cache = tempfile::tempdir().unwrap();
    let builder = Sandbox::builder().memory(MEMORY).max_processes(PLACES);
    let sandbox = builder.cache_directory(cache.path()).build().unwrap();
    let in_context = |attack: Attack| {
        let ctx = attack.context(&sandbox);
        (attack, ctx)
    };
    let attacks: Vec<_> = cheap().into_iter().map(in_context).collect();
    (0..FIRST).for_each(|_| round(&sandbox, &attacks));
    let (before, mappings, memory) = (ours(), lines("/proc/self/maps").len(), resident());
    (0..repeats).for_each(|_| round(&sandbox, &attacks));
    let made = repeats * attacks.len();
    until("belongings", || ours().are_no_more_than(before));
    let (mapped, kept) = (lines("/proc/self/maps").len(), resident().saturating_sub(memory));
    println!("{made} attacks: {mappings} mappings, and then {mapped}; {kept} bytes more");
    assert!(mapped <= mappings + MAPPINGS, "{mappings} mappings, and then {mapped}");
    assert!(kept <= KEPT, "{kept} bytes more");
}
