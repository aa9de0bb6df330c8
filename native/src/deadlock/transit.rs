//! What is on its way: objects whose handles lie in messages.
//!
//! Whoever can receive a message can come to what is in it. So a reference there is up to those who
//! have what it is received from, as far as that is known: what lies in a queue that nobody has but
//! another message is a reference more than there are known ones.

use super::used_slots;
use crate::arena::Arena;
use crate::arena::layout::Hold;
use crate::arena::waits::Awaits;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// So many messages are looked at, under the arena's lock. With more, it is not known where all are.
const MOST: u32 = 10_000;

/// Who has what, and what lies where.
pub(super) struct Transit {
    /// By object: the slots of the processes that have it.
    had_by: BTreeMap<u64, Vec<u32>>,
    /// By object: what it can be received from, once for each message.
    carried_by: BTreeMap<u64, Vec<u64>>,
}

impl Transit {
    /// To be called with the arena's lock. `None` if there is too much to look at.
    pub(super) fn look(arena: &Arena) -> Option<Transit> {
        let mut had_by: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for slot in used_slots(arena) {
            let holds = arena.entries(slot).into_iter();
            let objects = holds.map(|it| arena.at::<Hold>(it).object.load(Ordering::Acquire));
            objects
                .filter(|object| *object != 0)
                .for_each(|object| had_by.entry(object).or_default().push(slot));
        }
        let mut carried_by: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut left = MOST;
        for object in had_by.keys() {
            let Some(kind) = arena.kind(*object) else { continue };
            let mut see = |thing| carried_by.entry(thing).or_default().push(*object);
            if !kind.cargo(arena, *object, &mut left, &mut see) {
                return None;
            }
        }
        Some(Transit { had_by, carried_by })
    }

    /// The slots of all processes that could end a wait, by what they have or can receive; `None` if
    /// there may be others.
    pub(super) fn servers(&self, arena: &Arena, awaits: &Awaits) -> Option<BTreeSet<u32>> {
        let kind = arena.kind(awaits.object)?;
        let known = self.had_by.keys().chain(self.carried_by.keys()).copied();
        let mut ways: Vec<u64> =
            known.filter(|object| kind.serves(arena, awaits, *object)).collect();
        let (mut seen, mut slots) = (BTreeSet::new(), BTreeSet::new());
        while let Some(object) = ways.pop() {
            if !seen.insert(object) {
                continue;
            }
            let had_by = self.had_by.get(&object).map_or(&[][..], Vec::as_slice);
            let carried_by = self.carried_by.get(&object).map_or(&[][..], Vec::as_slice);
            if arena.references(object) != (had_by.len() + carried_by.len()) as u64 {
                return None;
            }
            slots.extend(had_by);
            ways.extend(carried_by);
        }
        (!slots.is_empty()).then_some(slots)
    }
}
