//! What is on its way: queues and ends of pipes that lie in messages.
//!
//! Whoever can receive a message can come to what is in it. So a reference there is up to those who
//! have what it is received from, as far as that is known: what lies where nobody looks is a reference
//! more than there are known ones.
//!
//! The messages are looked at one queue after the other. Each counts how often such a message came or
//! went: if none did from before the first look to after all was counted, it was so at one moment.

use crate::cycles::Carrier;
use std::collections::BTreeMap;
use std::sync::Weak;

/// What can be received from those who were looked at.
pub(super) struct Transit {
    carriers: BTreeMap<usize, Carries>,
    /// The other way round: by a thing, what it can be received from.
    carried_by: BTreeMap<usize, Vec<usize>>,
}

/// One of them.
struct Carries {
    carrier: Weak<dyn Carrier>,
    moves: u64,
    /// The addresses of what is in its messages.
    things: Vec<usize>,
}

impl Transit {
    pub(super) fn look<'a>(carriers: impl Iterator<Item = &'a Weak<dyn Carrier>>) -> Transit {
        let mut transit = Transit { carriers: BTreeMap::new(), carried_by: BTreeMap::new() };
        for carrier in carriers {
            let address = carrier.as_ptr().cast::<()>().addr();
            if transit.carriers.contains_key(&address) {
                continue;
            }
            // Held no longer than for the look: references are counted then.
            let Some(held) = carrier.upgrade() else { continue };
            let (moves, things) = {
                let cargo = held.cargo();
                (cargo.moves(), cargo.held())
            };
            for thing in &things {
                transit.carried_by.entry(*thing).or_default().push(address);
            }
            let carries = Carries { carrier: carrier.clone(), moves, things };
            transit.carriers.insert(address, carries);
        }
        transit
    }

    /// All that is in messages, each as often as it is there.
    pub(super) fn in_messages(&self) -> impl Iterator<Item = &usize> {
        self.carriers.values().flat_map(|carries| &carries.things)
    }

    /// What can be received from this.
    pub(super) fn in_messages_of(&self, carrier: usize) -> &[usize] {
        self.carriers.get(&carrier).map_or(&[][..], |carries| carries.things.as_slice())
    }

    /// What this can be received from.
    pub(super) fn carriers_of(&self, thing: usize) -> impl Iterator<Item = usize> {
        self.carried_by.get(&thing).into_iter().flatten().copied()
    }

    /// Those that were looked at, with the number of references that there are to each now.
    pub(super) fn carriers(&self) -> impl Iterator<Item = (usize, usize)> {
        self.carriers.iter().map(|(at, carries)| (*at, carries.carrier.strong_count()))
    }

    /// True if nothing came or went since.
    pub(super) fn is_unchanged(&self) -> bool {
        let moves = |carries: &Carries| carries.carrier.upgrade().map(|it| it.cargo().moves());
        self.carriers.values().all(|carries| moves(carries) == Some(carries.moves))
    }
}
