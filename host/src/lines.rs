//! The lines that a process has on ledgers: see `procbox_core::raw::RawLedger`. When the process ends
//! they are added to what its ledgers say is lost.
//!
//! They are kept in the order in which they were first written, so that a simulation gives them back in
//! the same order each time. A line that is empty again is struck out.

use crate::account::{Account, Charge, LINE};
use crate::blocked::address;
use crate::ledger::HostLedger;
use procbox_core::Result;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// One line, for which the process's tree pays.
struct Line {
    ledger: Arc<HostLedger>,
    line: u64,
    _charge: Charge,
}

/// Lines that are not empty, by ledger.
#[derive(Default)]
pub(crate) struct Lines {
    /// By the order in which they were written.
    held: BTreeMap<u64, Line>,
    /// Where each is in `held`, by the ledger's address.
    places: HashMap<usize, u64>,
    next: u64,
}

impl Lines {
    /// The ledgers on which there is one, each of which it refers to.
    pub(crate) fn ledgers(&self) -> impl Iterator<Item = &Arc<HostLedger>> {
        self.held.values().map(|own| &own.ledger)
    }

    /// The process's line.
    pub(crate) fn get(&self, ledger: &Arc<HostLedger>) -> u64 {
        let place = self.places.get(&address(ledger));
        place.and_then(|place| self.held.get(place)).map_or(0, |own| own.line)
    }

    /// Writes a line with a page, which `write` does and says whether it did.
    ///
    /// # Errors
    /// [`procbox_core::Error::Exhausted`] if it is a new one, and the account has no room for it.
    pub(crate) fn set(
        &mut self,
        account: &Arc<Account>,
        ledger: &Arc<HostLedger>,
        line: u64,
        write: impl FnOnce() -> bool,
    ) -> Result<bool> {
        let place = self.places.get(&address(ledger)).copied();
        let new = match place {
            None if line != 0 => Some(account.charge(LINE)?),
            _ => None,
        };
        if !write() {
            return Ok(false);
        }
        if let Some(charge) = new {
            self.places.insert(address(ledger), self.next);
            self.held.insert(self.next, Line { ledger: ledger.clone(), line, _charge: charge });
            self.next += 1;
        } else if let Some(place) = place {
            if line == 0 {
                self.held.remove(&place);
                self.places.remove(&address(ledger));
            } else if let Some(own) = self.held.get_mut(&place) {
                own.line = line;
            }
        }
        Ok(true)
    }

    /// The process has ended.
    pub(crate) fn give_back(&mut self) {
        self.places.clear();
        while let Some((_, own)) = self.held.pop_first() {
            own.ledger.lose(own.line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Runtime;
    use crate::tree_limits::TreeLimits;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is written, what stands there last is lost with the process.
        #[test]
        fn what_stands_there_last_is_lost(steps in prop::collection::vec((0usize..40, 0u32..3), 0..300)) {
            let runtime = Runtime::threads(1, Box::new(|| {}));
            let account = Account::of_tree(&TreeLimits::new().memory(1 << 20));
            let new = |_| HostLedger::new(runtime.clone(), account.charge(1).unwrap());
            let ledgers: Vec<_> = (0..40).map(new).collect();
            let (mut lines, mut model) = (Lines::default(), [0u32; 40]);
            for (which, lane) in steps {
                prop_assert_eq!(lines.set(&account, &ledgers[which], lane.into(), || false), Ok(false));
                prop_assert_eq!(lines.get(&ledgers[which]), u64::from(model[which]));
                prop_assert_eq!(lines.set(&account, &ledgers[which], lane.into(), || true), Ok(true));
                model[which] = lane;
                prop_assert_eq!(lines.get(&ledgers[which]), u64::from(lane));
                prop_assert_eq!(lines.ledgers().count(), model.iter().filter(|it| **it > 0).count());
            }
            lines.give_back();
            for (ledger, lane) in ledgers.iter().zip(model) {
                prop_assert_eq!(ledger.read().page.lost, [lane.into(), 0, 0]);
                prop_assert_eq!(Arc::strong_count(ledger), 1);
            }
        }
    }
}
