//! The table of a process's handles.

use crate::account::{Account, Charge, PLACE};
use crate::object::Object;
use procbox_core::{Error, Result};
use std::sync::Arc;

/// The places of a small table.
const FIRST: usize = 64;

/// A process's handles: small positive numbers that mean nothing to any other process.
pub(crate) struct Table {
    /// Handle `n` is at index `n - 1`.
    slots: Vec<Option<Object>>,
    free: Vec<u32>,
    most: u32,
    /// The account has these many places for it.
    places: usize,
    charge: Option<Charge>,
    account: Arc<Account>,
}

impl Table {
    pub(crate) fn new(most: u32, account: Arc<Account>) -> Table {
        Table { slots: Vec::new(), free: Vec::new(), most, places: FIRST, charge: None, account }
    }

    /// Has no more than so many.
    pub(crate) fn allow(&mut self, most: u32) {
        self.most = most;
    }

    /// Charges for twice as many places; the first are paid for with the process.
    fn grow(&mut self) -> Result<()> {
        let more = self.places * PLACE;
        match &mut self.charge {
            Some(charge) => charge.add(more)?,
            None => self.charge = Some(self.account.charge(more)?),
        }
        self.places *= 2;
        Ok(())
    }

    /// A handle for an object.
    ///
    /// # Errors
    /// [`Error::Exhausted`] at the limit.
    pub(crate) fn insert(&mut self, object: Object) -> Result<i32> {
        self.reserve(1)?;
        Ok(self.place(object))
    }

    /// Has room for so many more, all of which have to be placed or given up.
    ///
    /// # Errors
    /// [`Error::Exhausted`] if there is not as much.
    pub(crate) fn reserve(&mut self, n: usize) -> Result<()> {
        self.check_room(n)?;
        while self.slots.len() + n.saturating_sub(self.free.len()) > self.places {
            self.grow()?;
        }
        self.account.handles.take(n)
    }

    /// Gives up places that were reserved.
    pub(crate) fn give_up(&self, n: usize) {
        self.account.handles.give(n);
    }

    /// A handle for an object, in a place that was reserved.
    pub(crate) fn place(&mut self, object: Object) -> i32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.slots[index as usize] = Some(object);
        index as i32 + 1
    }

    #[inline]
    pub(crate) fn get(&self, handle: i32) -> Option<&Object> {
        let index = usize::try_from(handle).ok()?.checked_sub(1)?;
        self.slots.get(index)?.as_ref()
    }

    pub(crate) fn remove(&mut self, handle: i32) -> Option<Object> {
        let index = usize::try_from(handle).ok()?.checked_sub(1)?;
        let object = self.slots.get_mut(index)?.take()?;
        self.free.push(index as u32);
        self.account.handles.give(1);
        Some(object)
    }

    /// Says whether so many more fit.
    ///
    /// # Errors
    /// [`Error::Exhausted`] if not.
    pub(crate) fn check_room(&self, n: usize) -> Result<()> {
        let room = self.free.len() + (self.most as usize).saturating_sub(self.slots.len());
        if n > room { Err(full()) } else { Ok(()) }
    }

    /// All that handles stand for.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Object> {
        self.slots.iter().flatten()
    }

    /// Takes out everything.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Object> + use<> {
        self.account.handles.give(self.slots.len() - self.free.len());
        self.free.clear();
        std::mem::take(&mut self.slots).into_iter().flatten()
    }
}

fn full() -> Error {
    Error::Exhausted("handles".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::HostEvent;
    use crate::runtime::Runtime;
    use crate::tree_limits::TreeLimits;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        /// Any sequence of opening, closing and asking, with numbers that were never given too.
        #[test]
        fn a_table_is_a_map_of_numbers(
            steps in prop::collection::vec((any::<bool>(), -2i32..12), 0..60),
        ) {
            const MOST: u32 = 6;
            let runtime = Runtime::threads(1, Box::new(|| {}));
            let account = Account::of_tree(&TreeLimits::new().memory(1 << 20));
            let mut table = Table::new(MOST, account.clone());
            let mut model: HashMap<i32, Arc<HostEvent>> = HashMap::new();
            for (opens, number) in steps {
                if opens {
                    let event = HostEvent::new(runtime.clone(), account.charge(1).unwrap());
                    match table.insert(Object::Event(event.clone())) {
                        Ok(new) => {
                            prop_assert!(new > 0 && model.insert(new, event).is_none());
                        }
                        Err(_) => prop_assert_eq!(model.len(), MOST as usize),
                    }
                } else {
                    let removed = table.remove(number).is_some();
                    prop_assert_eq!(removed, model.remove(&number).is_some());
                }
                for number in -2..12 {
                    let same = match (table.get(number), model.get(&number)) {
                        (Some(Object::Event(a)), Some(b)) => Arc::ptr_eq(a, b),
                        (None, None) => true,
                        _ => false,
                    };
                    prop_assert!(same, "{} is another", number);
                }
                prop_assert!(table.check_room(MOST as usize - model.len()).is_ok());
                prop_assert!(table.check_room(MOST as usize - model.len() + 1).is_err());
            }
            prop_assert_eq!(table.drain().count(), model.len());
        }
    }
}
