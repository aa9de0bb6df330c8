//! Who waits for whom: of those who have answered, the ones whose waits only others of them could end,
//! and the circles among these.

use super::Asked;
use super::transit::Transit;
use crate::blocked::{Answer, Server};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Weak;

/// The address of a thing that several may have.
fn address(thing: &Weak<dyn Any + Send + Sync>) -> usize {
    thing.as_ptr().cast::<()>().addr()
}

/// True if `other`, who has answered `theirs`, can end the wait of which `answer` tells, for which any
/// of these `things` will do.
pub(super) fn serves(
    other: &Asked,
    theirs: &Answer,
    answer: &Answer,
    things: &BTreeSet<usize>,
) -> bool {
    let is_one = |server: &Server| match server {
        Server::One(key) => *key == other.who.key(),
        Server::Referrers { .. } => false,
        Server::Unknown => true,
    };
    answer.told.servers.iter().any(is_one)
        || theirs.told.held.iter().any(|thing| things.contains(thing))
}

/// What is found of those who have answered.
pub(super) struct Found {
    /// Of each: whether only others like it can end its wait.
    pub(super) stuck: Vec<bool>,
    transit: Transit,
}

/// One of whom it is known that somebody else can end its wait, or a thing that somebody else has.
enum Free {
    Wait(usize),
    Thing(usize),
}

impl Found {
    pub(super) fn among(all: &[(Asked, Box<Answer>)]) -> Found {
        let transit = Transit::look(all.iter().flat_map(|(_, answer)| &answer.told.carriers));
        let by_key: BTreeMap<u64, usize> =
            all.iter().enumerate().map(|(at, (asked, _))| (asked.who.key(), at)).collect();
        let mut references: BTreeMap<usize, usize> = BTreeMap::new();
        let held = all.iter().flat_map(|(_, answer)| &answer.told.held);
        for thing in held.chain(transit.in_messages()) {
            *references.entry(*thing).or_default() += 1;
        }
        let known = |thing: usize| references.get(&thing).copied().unwrap_or(0);
        // By whom or what each wait could be ended, the other way round.
        let mut waits_for_one: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut waits_for_thing: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut stuck = vec![true; all.len()];
        let mut free = Vec::new();
        for (at, (_, answer)) in all.iter().enumerate() {
            let mut is_free = answer.told.servers.is_empty();
            for server in &answer.told.servers {
                match server {
                    Server::One(key) => match by_key.get(key) {
                        Some(one) => waits_for_one.entry(*one).or_default().push(at),
                        None => is_free = true,
                    },
                    Server::Referrers { thing, .. } => {
                        is_free |= thing.strong_count() != known(address(thing));
                        waits_for_thing.entry(address(thing)).or_default().push(at);
                    }
                    Server::Unknown => is_free = true,
                }
            }
            if is_free {
                stuck[at] = false;
                free.push(Free::Wait(at));
            }
        }
        let had_by_others = transit.carriers().filter(|(at, count)| *count != known(*at));
        free.extend(had_by_others.map(|(at, _)| Free::Thing(at)));
        let mut had = BTreeSet::<usize>::new();
        while let Some(one) = free.pop() {
            let freed = match one {
                Free::Wait(at) => {
                    let things = all[at].1.told.held.iter();
                    free.extend(things.filter(|it| !had.contains(*it)).map(|it| Free::Thing(*it)));
                    waits_for_one.remove(&at)
                }
                Free::Thing(thing) if had.insert(thing) => {
                    free.extend(transit.in_messages_of(thing).iter().map(|it| Free::Thing(*it)));
                    waits_for_thing.remove(&thing)
                }
                Free::Thing(_) => None,
            };
            for other in freed.into_iter().flatten() {
                if std::mem::replace(&mut stuck[other], false) {
                    free.push(Free::Wait(other));
                }
            }
        }
        // What moved while it was counted is counted again another time.
        if !transit.is_unchanged() {
            stuck.fill(false);
        }
        Found { stuck, transit }
    }

    /// The things of which one who has any can end this wait: what it waits for, and what that can be
    /// received from.
    pub(super) fn serving(&self, answer: &Answer) -> BTreeSet<usize> {
        let of = |server: &Server| match server {
            Server::Referrers { thing, .. } => Some(address(thing)),
            Server::One(_) | Server::Unknown => None,
        };
        let mut ways: Vec<usize> = answer.told.servers.iter().filter_map(of).collect();
        let mut serving = BTreeSet::new();
        while let Some(thing) = ways.pop() {
            if serving.insert(thing) {
                ways.extend(self.transit.carriers_of(thing));
            }
        }
        serving
    }
}

/// The circles among those who are stuck: sets of them from which nothing leads to another.
pub(super) fn circles(stuck: &[&(Asked, Box<Answer>)], found: &Found) -> Vec<Vec<usize>> {
    let by_key: BTreeMap<u64, usize> =
        stuck.iter().enumerate().map(|(at, (asked, _))| (asked.who.key(), at)).collect();
    // Things are nodes too, behind the waits: from a wait to a thing, from a thing to what it can be
    // received from, and from a thing to who has it.
    let mut things: BTreeMap<usize, usize> = BTreeMap::new();
    let mut leads: Vec<Vec<usize>> = vec![Vec::new(); stuck.len()];
    let mut ways = Vec::new();
    for (at, (_, answer)) in stuck.iter().enumerate() {
        for server in &answer.told.servers {
            match server {
                Server::One(key) => leads[at].extend(by_key.get(key)),
                Server::Referrers { thing, .. } => ways.push((at, address(thing))),
                Server::Unknown => {}
            }
        }
    }
    while let Some((from, thing)) = ways.pop() {
        let node = *things.entry(thing).or_insert(leads.len());
        if node == leads.len() {
            leads.push(Vec::new());
            ways.extend(found.transit.carriers_of(thing).map(|carrier| (node, carrier)));
        }
        leads[from].push(node);
    }
    for (at, (_, answer)) in stuck.iter().enumerate() {
        for node in answer.told.held.iter().filter_map(|thing| things.get(thing)) {
            leads[*node].push(at);
        }
    }
    let component = components(&leads);
    let mut leads_on = vec![false; leads.len()];
    for (from, to) in
        leads.iter().enumerate().flat_map(|(from, to)| to.iter().map(move |to| (from, *to)))
    {
        leads_on[component[from]] |= component[from] != component[to];
    }
    let mut circles: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, own) in component[..stuck.len()].iter().enumerate() {
        if !leads_on[*own] {
            circles.entry(*own).or_default().push(at);
        }
    }
    let sleeps = |at: usize| {
        let told = &stuck[at].1.told;
        let bed = |server: &Server| matches!(server, Server::Referrers { is_bed: true, .. });
        told.answers || told.servers.iter().all(bed)
    };
    circles.into_values().filter(|circle| !matches!(circle[..], [one] if sleeps(one))).collect()
}

/// The strongly connected component that each node is of (Tarjan's algorithm, without recursion: guests
/// say how deep it goes).
fn components(leads: &[Vec<usize>]) -> Vec<usize> {
    const NEW: usize = usize::MAX;
    let mut index = vec![NEW; leads.len()];
    let mut low = vec![0; leads.len()];
    let mut component = vec![NEW; leads.len()];
    let (mut next, mut count) = (0, 0);
    let mut open = Vec::new();
    for root in 0..leads.len() {
        if index[root] != NEW {
            continue;
        }
        let mut path = vec![(root, 0)];
        while let Some((at, tried)) = path.last_mut() {
            let at = *at;
            if *tried == 0 && index[at] == NEW {
                (index[at], low[at]) = (next, next);
                next += 1;
                open.push(at);
            }
            if let Some(to) = leads[at].get(*tried) {
                *tried += 1;
                if index[*to] == NEW {
                    path.push((*to, 0));
                } else if component[*to] == NEW {
                    low[at] = low[at].min(index[*to]);
                }
                continue;
            }
            path.pop();
            if let Some((above, _)) = path.last() {
                low[*above] = low[*above].min(low[at]);
            }
            if low[at] == index[at] {
                while let Some(member) = open.pop() {
                    component[member] = count;
                    if member == at {
                        break;
                    }
                }
                count += 1;
            }
        }
    }
    component
}

#[cfg(test)]
mod tests;
