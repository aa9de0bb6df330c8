//! A block of the arena, as users of queues hold it: to write a message in place, or to read one.

use crate::arena::Arena;
use crate::arena::loan::Loan;
use procbox_core::raw::{Lent, RawLoan};
use std::sync::Arc;

/// None once the message was put.
struct Place(Option<Loan>);

impl RawLoan for Place {
    fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], Loan::bytes)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_mut().map_or(&mut [], Loan::bytes_mut)
    }

    fn truncate(&mut self, bytes: usize) {
        if let Some(loan) = &mut self.0 {
            loan.truncate(bytes);
        }
    }
}

/// Lends a block.
pub(crate) fn lend(loan: Loan) -> Lent {
    Lent::place(Place(Some(loan)))
}

/// The block, if it is one of this arena, and was not put yet.
pub(crate) fn block<'a>(lent: &'a mut Lent, arena: &Arc<Arena>) -> Option<&'a mut Option<Loan>> {
    let Place(slot) = lent.place_mut()?;
    slot.as_ref().is_some_and(|loan| loan.is_of(arena)).then_some(slot)
}
