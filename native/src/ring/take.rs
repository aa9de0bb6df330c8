//! Taking: what the head leads to, and the store or the transaction by which it passes.

use super::lifecycle::{SPACE, follow_jump, pass, repair};
use super::segment::{Place, RECORD, read_record};
use super::{Ring, empty};
use crate::arena::held::Held;
use crate::arena::loan::Loan;
use crate::sync::atomic::Ordering;
use crate::sync::futex;
use crate::sync::patience::Patience;
use procbox_core::observe::Operation;
use procbox_core::raw::Message;
use procbox_core::{Error, Result, Wait, copy};

/// A message that was taken: its bytes, if they are apart.
struct Taken(Option<Loan>);

impl Ring<'_> {
    /// Takes the oldest message: into `into`, but for the bytes of a large one, which stay where they are.
    /// `Error::Empty` when the wait runs out. It is by the handle of `object` that it is reached.
    pub(crate) fn take(self, into: &mut Message, wait: Wait, object: u64) -> Result<Option<Loan>> {
        into.bytes.clear();
        into.handles.clear();
        let patience = Patience::new(wait);
        let mut patient = None;
        loop {
            if let Some(Taken(loan)) = self.try_take(into, &patience).map_err(empty)? {
                self.core.space.changed(self.arena.shared(), futex::wake_all);
                return Ok(loan);
            }
            if patience.is_never() {
                return Err(Error::Empty);
            }
            let patient =
                patient.get_or_insert_with(|| self.patient(wait, Operation::QueueGet, object, 0));
            self.wait(patient, patience.until())?;
        }
    }

    /// Like [`Ring::take`], with a copy of the bytes of a large message.
    pub(crate) fn get(self, into: &mut Message, wait: Wait, object: u64) -> Result<()> {
        if let Some(loan) = self.take(into, wait, object)? {
            copy::append(&mut into.bytes, loan.bytes());
        }
        Ok(())
    }

    #[inline]
    fn try_take(self, into: &mut Message, patience: &Patience) -> Result<Option<Taken>> {
        let (core, got) = (self.core, &self.core.got.0);
        core.consumer.0.hold(patience, |owner_died| {
            repair(self.arena, core, owner_died, got, patience)?;
            let Some(place) = self.oldest(patience)? else { return Ok(None) };
            let record = read_record(self.arena, place)?;
            let handles = place.offset() + RECORD;
            if record.block.is_none() {
                let bytes = handles + 8 * record.handles as u64;
                // SAFETY: what is between head and tail changes only when the head passes it, and that
                // is under this lock.
                unsafe { self.arena.read(bytes, record.bytes, &mut into.bytes) }?;
            }
            if record.is_plain() {
                got.at.store(record.next.pack(), Ordering::Release);
                record.count(got);
                return Ok(Some(Taken(None)));
            }
            let words = (0..record.handles as u64).map(|i| self.arena.word(handles + 8 * i));
            let objects: Vec<u64> = words.map(|word| word.load(Ordering::Relaxed)).collect();
            let (taken, entry) = self.arena.take_over(&objects, record.block, patience, |txn| {
                pass(txn, self.offset, &record)?;
                txn.wake(self.offset + SPACE)
            })?;
            record.count(got);
            into.handles.extend(taken.into_iter().filter_map(Held::handle));
            let loan = record.block.map(|block| self.arena.borrowed(block, entry, record.bytes));
            loan.transpose().map(|loan| Some(Taken(loan)))
        })
    }

    /// Place of the oldest message, if there is one. The caller holds the consumers' lock.
    #[inline]
    fn oldest(self, patience: &Patience) -> Result<Option<Place>> {
        let (core, got) = (self.core, &self.core.got.0);
        loop {
            let head = got.at.load(Ordering::Relaxed);
            if head == got.seen.load(Ordering::Relaxed) {
                // Closed is read first: no message comes after it.
                let closed = core.closed.load(Ordering::SeqCst) != 0;
                let tail = core.put.0.at.load(Ordering::Acquire);
                got.seen.store(tail, Ordering::Relaxed);
                if head == tail {
                    return if closed { Err(Error::Closed) } else { Ok(None) };
                }
            }
            let place = Place::unpack(head);
            if !follow_jump(self.arena, self.offset, place, patience)? {
                return Ok(Some(place));
            }
        }
    }
}
