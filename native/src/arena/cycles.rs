//! Finding what only holds itself: a queue in which its own last handle lies, two queues that hold each
//! other, an end of a pipe that was sent through itself. Their counts of references never get to 0.
//!
//! It is trial deletion (Bacon and Rajan, 2001), by one suspect at a time. A *suspect* is an object that
//! has lost a reference, which no process holds, though messages carry it, and in whose own messages there
//! are handles: whatever closes a circle was held by who did so, and becomes one when it is let go of. From
//! a suspect the way goes along the handles in messages, and the references that were met are counted.
//! Who has more than that is held from outside, and all that can be got from it is in use too. A suspect
//! that is not is *cut off*: nobody can get a message of it any more, and will not. So its messages are
//! dropped, and the rest goes by the counts.
//!
//! All of this is under the arena's lock, in one transaction with the suspect's leaving the list.

use super::Arena;
use std::collections::HashMap;

/// Records that are looked at for one suspect. What has more in it is taken to be in use.
const MOST_RECORDS: u32 = 1 << 16;

/// Things that hold handles, as far as a look has got.
#[derive(Default)]
struct Look {
    places: HashMap<u64, usize>,
    objects: Vec<u64>,
    /// How often each was met in messages.
    met: Vec<u64>,
    /// What lies in each.
    leads_to: Vec<Vec<usize>>,
}

impl Look {
    fn place(&mut self, object: u64) -> usize {
        let next = self.objects.len();
        let place = *self.places.entry(object).or_insert(next);
        if place == next {
            self.objects.push(object);
            self.met.push(0);
            self.leads_to.push(Vec::new());
        }
        place
    }
}

impl Arena {
    /// True if nobody can get to a suspect. The caller holds the arena's lock.
    pub(super) fn is_cut_off(&self, suspect: u64) -> bool {
        if self.is_held(suspect) || self.references(suspect) == 0 {
            return false;
        }
        let mut look = Look::default();
        let mut records = MOST_RECORDS;
        look.place(suspect);
        let mut at = 0;
        while let Some(object) = look.objects.get(at).copied() {
            let Some(kind) = self.kind(object) else { return false };
            let see = &mut |handle| {
                // What carries nothing leads nowhere.
                if self.kind(handle).is_some_and(|kind| kind.carries(self, handle)) {
                    let to = look.place(handle);
                    look.met[to] += 1;
                    look.leads_to[at].push(to);
                }
            };
            if !kind.cargo(self, object, &mut records, see) {
                return false;
            }
            at += 1;
        }
        let outside = |at: &usize| {
            let object = look.objects[*at];
            self.is_held(object) || self.references(object) > look.met[*at]
        };
        let mut ways: Vec<usize> = (0..look.objects.len()).filter(outside).collect();
        let mut reached = vec![false; look.objects.len()];
        while let Some(at) = ways.pop() {
            if !std::mem::replace(&mut reached[at], true) {
                ways.extend(&look.leads_to[at]);
            }
        }
        !reached[0]
    }
}
