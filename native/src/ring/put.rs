//! Putting: a record behind the tail, and the store or the transaction that publishes it.

use super::Ring;
use super::lifecycle::{CARRIED, ITEMS, PUT_AT, repair};
use super::segment::{
    APART, BLOCK, FIRST, JUMP, JUMP_SIZE, Place, RECORD, SEGMENT, SEGMENT_TAG, begin_record,
    record_size, what,
};
use crate::arena::alloc::Txn;
use crate::arena::loan::Loan;
use crate::arena::record::{self, By};
use crate::sync::atomic::Ordering;
use crate::sync::patience::Patience;
use crate::sync::{futex, spin};
use procbox_core::observe::{Operation, Waiting};
use procbox_core::raw::Handle;
use procbox_core::{Error, Result, Wait, copy};

/// The largest message that a record's first word can tell of.
const MOST_BYTES: usize = 1 << 30;

/// The end of a put's wait: for room, or for one who is stopped while it puts.
fn full(error: Error) -> Error {
    if error == Error::TimedOut { Error::Full } else { error }
}

/// The bytes of a message that is put.
enum Contents<'b> {
    /// To be copied into the segment.
    Here(&'b [u8]),
    /// In a block already, which is handed over.
    Apart(&'b Loan),
}

impl Contents<'_> {
    #[inline]
    fn len(&self) -> usize {
        match self {
            Contents::Here(bytes) => bytes.len(),
            Contents::Apart(loan) => loan.len(),
        }
    }

    /// The bytes that they take in the record.
    #[inline]
    fn in_record(&self) -> usize {
        match self {
            Contents::Here(bytes) => bytes.len(),
            Contents::Apart(_) => BLOCK,
        }
    }
}

impl Ring<'_> {
    /// Memory for a message of so many bytes, to be written in place; all but the first `prefix` of them
    /// stand at a multiple of 64.
    pub(crate) fn loan(self, bytes: usize, prefix: usize) -> Result<Loan> {
        self.check_size(bytes)?;
        self.arena.loan(bytes, prefix, &Patience::new(Wait::Forever))
    }

    fn check_size(self, bytes: usize) -> Result<()> {
        let limit = (self.core.most_bytes.load(Ordering::Relaxed) as usize).min(MOST_BYTES);
        if bytes > limit { Err(Error::TooLarge { size: bytes, limit }) } else { Ok(()) }
    }

    /// Appends a message; `Error::Full` when the wait runs out.
    /// It is by the handle of `object` that it is reached.
    pub(crate) fn put(
        self,
        bytes: &[u8],
        handles: &[Handle],
        wait: Wait,
        object: u64,
    ) -> Result<()> {
        self.check_size(bytes.len())?;
        let patience = Patience::new(wait);
        if bytes.len() > APART {
            // Before there is room: it is written without a lock.
            let mut loan = self.arena.loan(bytes.len(), 0, &patience).map_err(full)?;
            copy::copy(loan.bytes_mut(), bytes);
            return self.hand_over(&mut Some(loan), handles, &patience, wait, object);
        }
        self.put_contents(&Contents::Here(bytes), handles, &patience, wait, object)
    }

    /// Appends a message that was written in place, which is kept if that fails.
    pub(crate) fn put_loan(
        self,
        loan: &mut Option<Loan>,
        handles: &[Handle],
        wait: Wait,
        object: u64,
    ) -> Result<()> {
        self.hand_over(loan, handles, &Patience::new(wait), wait, object)
    }

    fn hand_over(
        self,
        slot: &mut Option<Loan>,
        handles: &[Handle],
        patience: &Patience,
        wait: Wait,
        object: u64,
    ) -> Result<()> {
        let Some(loan) = slot.take() else { return Err(Error::Invalid("nothing is lent".into())) };
        let put = self.check_size(loan.len()).and_then(|()| {
            self.put_contents(&Contents::Apart(&loan), handles, patience, wait, object)
        });
        match put {
            Ok(()) => loan.handed_over(),
            Err(_) => *slot = Some(loan),
        }
        put
    }

    fn put_contents(
        self,
        contents: &Contents<'_>,
        handles: &[Handle],
        patience: &Patience,
        wait: Wait,
        object: u64,
    ) -> Result<()> {
        let objects = self.arena.offsets(handles)?;
        let size = contents.len() as u64;
        let mut waiting: Option<Waiting> = None;
        let mut patient = None;
        loop {
            if self.try_put(contents, &objects, patience).map_err(full)? {
                self.core.items.changed(self.arena.shared(), futex::wake_all);
                waiting.into_iter().for_each(|waiting| waiting.end(true));
                return Ok(());
            }
            if patience.is_never() {
                return Err(Error::Full);
            }
            let until = patience.until();
            if spin(|| self.has_room(size)) {
                continue;
            }
            let announced = self.core.space.announce();
            if !self.has_room(size) {
                waiting.get_or_insert_with(|| self.waiting(Operation::QueuePut));
                let patient = patient
                    .get_or_insert_with(|| self.patient(wait, Operation::QueuePut, object, size));
                patient.block(announced, until).map_err(full)?;
            }
        }
    }

    /// Appends a message if there is room; whether there was.
    #[inline]
    fn try_put(
        self,
        contents: &Contents<'_>,
        objects: &[u64],
        patience: &Patience,
    ) -> Result<bool> {
        self.core.producer.0.hold(patience, |owner_died| {
            repair(self.arena, self.core, owner_died, &self.core.put.0, patience)?;
            if self.core.closed.load(Ordering::Relaxed) != 0 {
                return Err(Error::Closed);
            }
            if !self.has_room_locked(contents.len() as u64) {
                return Ok(false);
            }
            // SAFETY: this is under the producers' lock.
            unsafe { self.append(contents, objects, patience) }?;
            Ok(true)
        })
    }

    /// Writes a record behind the tail and publishes it.
    ///
    /// # Safety
    /// The calling thread holds the producers' lock: what is behind the tail, and a segment that is not
    /// linked yet, nobody else touches then.
    #[inline]
    unsafe fn append(
        self,
        contents: &Contents<'_>,
        objects: &[u64],
        patience: &Patience,
    ) -> Result<()> {
        let (arena, put) = (self.arena, &self.core.put.0);
        let tail = Place::unpack(put.at.load(Ordering::Relaxed));
        let size = record_size(contents.in_record(), objects.len());
        let room = arena.word(tail.segment + 8).load(Ordering::Relaxed);
        if tail.position + size + JUMP_SIZE <= room {
            // SAFETY: behind the tail, under the lock.
            let next = unsafe { self.write_record(tail, tail, contents, objects) }?;
            if objects.is_empty() && matches!(contents, Contents::Here(_)) {
                put.at.store(next.pack(), Ordering::Release);
            } else {
                arena.transaction(patience, |txn| self.publish(txn, next, contents, objects))?;
            }
        } else {
            arena.transaction(patience, |txn| {
                let segment = txn.alloc(SEGMENT, SEGMENT_TAG)?;
                arena.word(segment + 8).store(SEGMENT, Ordering::Relaxed);
                let first = Place { segment, position: FIRST };
                // SAFETY: the segment was allocated just now.
                let next = unsafe { self.write_record(tail, first, contents, objects) }?;
                // Behind the tail: seen by nobody before the tail is beyond it.
                arena.word(tail.offset() + RECORD).store(segment, Ordering::Relaxed);
                arena.word(tail.offset()).store(JUMP, Ordering::Relaxed);
                self.publish(txn, next, contents, objects)
            })?;
        }
        let counted = put.messages.load(Ordering::Relaxed) + 1;
        put.messages.store(counted, Ordering::Release);
        let counted = put.bytes.load(Ordering::Relaxed) + contents.len() as u64;
        put.bytes.store(counted, Ordering::Release);
        Ok(())
    }

    fn publish(
        self,
        txn: &mut Txn<'_>,
        next: Place,
        contents: &Contents<'_>,
        objects: &[u64],
    ) -> Result<()> {
        for object in objects {
            record::retain(txn, *object, By::Message)?;
        }
        if !objects.is_empty() {
            let carried = txn.get(self.offset + CARRIED);
            txn.set(self.offset + CARRIED, carried + 1)?;
        }
        if let Contents::Apart(loan) = contents {
            loan.hand_over(txn)?;
        }
        txn.set(self.offset + PUT_AT, next.pack())?;
        txn.wake(self.offset + ITEMS)
    }

    /// Writes a record at `at`, with the counts that stand at `tail`, and the beginning of the
    /// next, whose place it returns.
    ///
    /// # Safety
    /// Nobody else touches that place meanwhile: it is behind the tail, or in a segment that is not
    /// linked yet, and the calling thread holds the producers' lock.
    #[inline]
    unsafe fn write_record(
        self,
        tail: Place,
        at: Place,
        contents: &Contents<'_>,
        objects: &[u64],
    ) -> Result<Place> {
        let arena = self.arena;
        let messages = arena.word(tail.offset() + 8).load(Ordering::Relaxed);
        let before = arena.word(tail.offset() + 16).load(Ordering::Relaxed);
        let mut to = at.offset();
        let is_apart = matches!(contents, Contents::Apart(_));
        let what = what(contents.len(), objects.len(), is_apart);
        arena.word(to).store(what, Ordering::Relaxed);
        begin_record(arena, to, messages, before);
        to += RECORD;
        for object in objects {
            arena.word(to).store(*object, Ordering::Relaxed);
            to += 8;
        }
        match contents {
            // SAFETY: the caller promises it.
            Contents::Here(bytes) => unsafe { arena.write(to, bytes) }?,
            Contents::Apart(loan) => arena.word(to).store(loan.block(), Ordering::Relaxed),
        }
        let position = at.position + record_size(contents.in_record(), objects.len());
        let next = Place { segment: at.segment, position };
        begin_record(arena, next.offset(), messages + 1, before + contents.len() as u64);
        Ok(next)
    }
}
