//! Finding deadlocks: waits each of which only others of them could end.
//!
//! Who looks is itself one who waits (see `arena::waits`), and goes from itself to those who could end
//! its wait, and on from each of them. As soon as one is found who is free to act, that was all. If there
//! is none, and each leads back to the one who looks, they are a circle.
//!
//! It is certain, because of the order in which it is looked:
//!
//! 1. with the arena's lock, so that no record of what processes hold changes: who holds what is waited
//!    for. Messages hold too: an object with more references than holders is one that messages carry
//!    (`transit`), and who has what these can be received from could come to it. Every thread of every
//!    holder has to be one that sleeps here. From here on nobody else can reach these things;
//! 2. then each wait is looked at again: what it waits for is not there (a woken sleeper that has not run
//!    yet would find it), and it has not been awake since (its turn is the same).
//!
//! A wait that has a bound, or is for several things, is not on the list: its thread is free to act. So
//! is one that does anything else, and all of a process that is ended after a while.

mod transit;

use crate::arena::Arena;
use crate::arena::kind::{Kind, Needs};
use crate::arena::layout::{FREE, Hold, RUNNING, SLOTS};
use crate::arena::waits::Sleeper;
use crate::pipe::EndKind;
use crate::sync::patience::Patience;
use crate::syscalls;
use procbox_core::observe::{self, Awaited, Blocked, Deadlock, Deadlocks, Operation};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use transit::Transit;

/// Threads of procbox's own, which end nobody's wait.
const HELPERS: [&str; 5] =
    ["procbox-reaper", "procbox-spawner", "procbox-ctrl-c", "procbox-reactor", "procbox-sockets"];

/// Looks whether the wait of this entry, the caller's own, is one of a circle.
pub(crate) fn look(arena: &Arena, index: u32) {
    let found = arena.transaction(&Patience::brief(), |_| Ok(circle(arena, index)));
    // If the lock is not to be had, somebody has it who is free to act.
    let Ok(Some(Circle { members, serves })) = found else { return };
    let sleeps = |it: &Sleeper| it.awaits.operation == Operation::EventWait || it.answers;
    if matches!(&members[..], [one] if sleeps(one)) {
        return;
    }
    // Not one after the other until there is one that is news: all are told of.
    let news = members.iter().fold(false, |news, member| arena.tell_of(member) | news);
    if !news {
        return;
    }
    let deadlock = report(arena, &members, &serves);
    // Who answers Ctrl-C waits for that too.
    if arena.deadlocks() == Deadlocks::Fail && !members.iter().any(|member| member.answers) {
        members.iter().for_each(|member| arena.condemn(member));
    }
    observe::emit_deadlock(&deadlock);
}

/// Waits each of which leads to each other.
struct Circle {
    members: Vec<Sleeper>,
    /// By the place of a member: those who could end its wait.
    serves: Vec<Vec<usize>>,
}

/// The circle that a wait is of, if it is of one.
fn circle(arena: &Arena, index: u32) -> Option<Circle> {
    let first = arena.sleeper(index)?;
    // Most waits are for somebody who does something else.
    if let Needs::Referrers = needs(arena, &first)
        && holders(arena, &first)
            .any(|(slot, _)| arena.slot(slot).blocked.load(Ordering::SeqCst) == 0)
    {
        return None;
    }
    let all = arena.sleepers();
    let place = all.iter().position(|it| it.index == index)?;
    let (places, free) = (BTreeMap::new(), BTreeMap::new());
    let mut looked = Looked { arena, all: &all, places, free, transit: OnceCell::new() };
    let mut members = vec![place];
    looked.places.insert(place, 0);
    let mut serves: Vec<Vec<usize>> = Vec::new();
    while let Some(member) = members.get(serves.len()) {
        let mut servers = Vec::new();
        for server in looked.servers(*member)? {
            let next = members.len();
            let at = *looked.places.entry(server).or_insert(next);
            if at == next {
                members.push(server);
            }
            servers.push(at);
        }
        serves.push(servers);
    }
    let leads_back = leads_to_first(&serves);
    let members: Vec<Sleeper> = members.into_iter().map(|at| all[at]).collect();
    let waits =
        |it: &Sleeper| !matches!(needs(arena, it), Needs::Nothing) && arena.still_sleeps(it);
    (leads_back && members.iter().all(waits)).then_some(Circle { members, serves })
}

/// True if from each there is a way to the first.
fn leads_to_first(serves: &[Vec<usize>]) -> bool {
    let mut back = vec![Vec::new(); serves.len()];
    for (from, to) in serves.iter().enumerate() {
        to.iter().for_each(|to| back[*to].push(from));
    }
    let mut reached = vec![false; serves.len()];
    let mut ways = vec![0];
    while let Some(at) = ways.pop() {
        if !std::mem::replace(&mut reached[at], true) {
            ways.extend(&back[at]);
        }
    }
    reached.into_iter().all(|reached| reached)
}

/// What a wait needs to end.
fn needs(arena: &Arena, sleeper: &Sleeper) -> Needs {
    let awaits = sleeper.awaits;
    if awaits.operation == Operation::Join {
        return Needs::End { slot: awaits.object as u32, pid: awaits.detail };
    }
    match arena.kind(awaits.object) {
        Some(kind) => kind.needs(arena, &awaits),
        None => Needs::Nothing,
    }
}

/// Those who could end a wait: the slots that have a handle for it, and which object that is of.
fn holders<'a>(arena: &'a Arena, sleeper: &'a Sleeper) -> impl Iterator<Item = (u32, u64)> + 'a {
    let awaits = &sleeper.awaits;
    let kind = arena.kind(awaits.object);
    let slots = used_slots(arena);
    let holds =
        slots.flat_map(|slot| arena.entries(slot).into_iter().map(move |hold| (slot, hold)));
    holds.filter_map(move |(slot, hold)| {
        let object = arena.at::<Hold>(hold).object.load(Ordering::Acquire);
        let serves = object != 0 && kind.is_some_and(|kind| kind.serves(arena, awaits, object));
        serves.then_some((slot, object))
    })
}

/// The slots that processes have, or had and are not recovered.
fn used_slots(arena: &Arena) -> impl Iterator<Item = u32> {
    let slots = arena.header().slots.load(Ordering::Acquire).min(SLOTS) as u32;
    (0..slots).filter(|slot| arena.slot(*slot).state.load(Ordering::Acquire) != FREE)
}

/// What has been found out in one look.
struct Looked<'a> {
    arena: &'a Arena,
    all: &'a [Sleeper],
    /// The members, by their place among all.
    places: BTreeMap<usize, usize>,
    /// By slot: whether any thread of the process is free to act.
    free: BTreeMap<u32, bool>,
    /// What messages carry, once that is asked; `None` if it is not known.
    transit: OnceCell<Option<Transit>>,
}

impl Looked<'_> {
    /// Those who could end a wait; `None` if somebody could who is free to act.
    fn servers(&mut self, at: usize) -> Option<Vec<usize>> {
        let sleeper = self.all[at];
        if self.arena.slot(sleeper.slot).bounded.load(Ordering::Acquire) != 0 {
            return None;
        }
        match needs(self.arena, &sleeper) {
            Needs::Nothing => None,
            Needs::Thread(tid) => {
                let holder = self.all.iter().position(|it| it.tid == tid)?;
                (!syscalls::has_ended(self.pid(self.all[holder].slot))).then(|| vec![holder])
            }
            Needs::End { slot, pid } => {
                (self.pid(slot) as u64 == pid).then_some(())?;
                self.threads(slot)
            }
            Needs::Referrers => {
                let holders: Vec<_> = holders(self.arena, &sleeper).collect();
                let mut objects: BTreeMap<u64, u64> = BTreeMap::new();
                holders.iter().for_each(|(_, object)| *objects.entry(*object).or_default() += 1);
                let held =
                    |(object, holders): (&u64, &u64)| self.arena.references(*object) == *holders;
                let slots: BTreeSet<u32> = if !objects.is_empty() && objects.iter().all(held) {
                    holders.into_iter().map(|(slot, _)| slot).collect()
                } else {
                    let transit = self.transit.get_or_init(|| Transit::look(self.arena));
                    transit.as_ref()?.servers(self.arena, &sleeper.awaits)?
                };
                let mut servers = Vec::new();
                for slot in slots {
                    servers.extend(self.threads(slot)?);
                }
                Some(servers)
            }
        }
    }

    fn pid(&self, slot: u32) -> i32 {
        self.arena.slot(slot).pid.load(Ordering::Relaxed) as i32
    }

    /// The sleeping threads of a process; `None` if another thread of it is free to act.
    fn threads(&mut self, slot: u32) -> Option<Vec<usize>> {
        let threads: Vec<usize> =
            (0..self.all.len()).filter(|at| self.all[*at].slot == slot).collect();
        let (arena, pid) = (self.arena, self.pid(slot));
        let is_free = *self.free.entry(slot).or_insert_with(|| {
            arena.slot(slot).state.load(Ordering::Acquire) != RUNNING
                || threads.is_empty()
                || count_threads(pid) != Some(threads.len())
                || syscalls::has_ended(pid)
        });
        (!is_free).then_some(threads)
    }
}

/// The threads of a process that may act.
fn count_threads(pid: i32) -> Option<usize> {
    let main = pid.to_string();
    let mut count = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let thread = thread.ok()?;
        let is_main = thread.file_name().to_str() == Some(&main);
        let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        count += usize::from(is_main || !HELPERS.contains(&name.trim_end()));
    }
    Some(count)
}

fn report(arena: &Arena, members: &[Sleeper], serves: &[Vec<usize>]) -> Deadlock {
    let pid = |it: &Sleeper| arena.slot(it.slot).pid.load(Ordering::Relaxed) as u32;
    let waits = members.iter().zip(serves).map(|(member, servers)| {
        let pid_of_it = pid(member);
        let name = std::fs::read_to_string(format!("/proc/{pid_of_it}/comm")).unwrap_or_default();
        let mut held_by: Vec<u32> = servers.iter().map(|at| pid(&members[*at])).collect();
        held_by.sort_unstable();
        held_by.dedup();
        let awaits = member.awaits;
        let is_join = awaits.operation == Operation::Join;
        let object = if is_join { awaits.detail } else { awaits.object };
        // A pipe is made of queues, which is how its ends wait.
        let is_pipe = arena.kind(object).is_some_and(|kind| kind.tag() == EndKind.tag());
        let operation = match awaits.operation {
            Operation::QueueGet if is_pipe && !is_join => Operation::PipeRecv,
            Operation::QueuePut if is_pipe && !is_join => Operation::PipeSend,
            other => other,
        };
        let on = Awaited { operation, object };
        Blocked::new(pid_of_it, name.trim_end(), on, held_by, member.since)
    });
    Deadlock::new(waits.collect())
}

#[cfg(test)]
mod tests {
    use super::leads_to_first;

    #[test]
    fn a_circle_is_what_leads_back_from_everywhere() {
        assert!(leads_to_first(&[vec![0]]));
        assert!(leads_to_first(&[vec![1], vec![2], vec![0]]));
        assert!(!leads_to_first(&[vec![1], vec![2], vec![1]]));
        assert!(leads_to_first(&[vec![1, 2], vec![0], vec![1]]));
    }
}
