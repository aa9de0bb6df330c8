//! The sandbox's queue: a channel of messages.

use crate::account::Account;
use crate::channel::Channel;
use crate::cycles::{Cargo, Carrier};
use crate::object::Stored;
use crate::runtime::Runtime;
use crate::waiting::number;
use procbox_core::observe::{self, Operation, Sight, Visible};
use procbox_core::raw::{Bounds, Handle, Lent, Message, RawQueue, Side, Watch};
use procbox_core::{Error, Result, Wait};
use std::sync::{Arc, Weak};
use std::task::Waker;

/// A new queue.
///
/// # Errors
/// [`Error::Exhausted`].
pub(crate) fn new(
    runtime: Arc<Runtime>,
    account: Arc<Account>,
    bounds: Bounds,
) -> Result<Arc<Channel<Stored>>> {
    let queue = Channel::new(runtime, account, bounds)?;
    let weak: Weak<Channel<Stored>> = Arc::downgrade(&queue);
    queue.between(weak.clone(), weak.clone());
    queue.received_by(weak);
    observe::show(&queue);
    Ok(queue)
}

impl Visible for Channel<Stored> {
    fn sight(&self) -> Sight {
        Sight::Queue {
            object: number(self),
            messages: Channel::len(self),
            most: Channel::bounds(self).messages,
        }
    }
}

impl Carrier for Channel<Stored> {
    fn cargo(&self) -> Box<dyn Cargo + '_> {
        Channel::cargo(self)
    }

    fn emptied(&self) {
        self.wake_all();
    }
}

impl Channel<Stored> {
    /// A buffer for a message of the embedding program, which goes as it is.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub(crate) fn lend(&self, bytes: usize) -> Result<Lent> {
        self.check_size(bytes)?;
        Ok(Lent::own(vec![0; bytes]))
    }

    /// Puts what the embedding program has written into one, on the calling thread.
    ///
    /// # Errors
    /// Those of [`Channel::block_put`], [`Error::TooLarge`] and [`Error::ForeignHandle`].
    pub(crate) fn block_put_lent(
        &self,
        lent: &mut Lent,
        handles: &[Handle],
        wait: Wait,
        operation: Operation,
    ) -> Result<()> {
        self.check_size(lent.bytes().len())?;
        let mut slot = match Stored::pack_lent(lent, handles, &self.runtime)? {
            Some(stored) => Some(stored),
            None => Some(Stored::pack(lent.bytes(), handles, &self.runtime)?),
        };
        let put = self.block_put(&mut slot, wait, operation);
        slot.into_iter().for_each(|stored| stored.give_back(lent));
        put
    }
}

impl RawQueue for Channel<Stored> {
    fn put(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()> {
        self.check_size(bytes.len())?;
        let stored = Stored::pack(bytes, handles, &self.runtime)?;
        self.block_put(&mut Some(stored), wait, Operation::QueuePut)
            .map_err(|e| timed_out_is(e, Error::Full))
    }

    fn get(&self, into: &mut Message, wait: Wait) -> Result<()> {
        let stored = self
            .block_take(wait, Operation::QueueGet)
            .map_err(|e| timed_out_is(e, Error::Empty))?;
        stored.unpack(into);
        Ok(())
    }

    fn loan(&self, bytes: usize, _prefix: usize) -> Result<Option<Lent>> {
        self.lend(bytes).map(Some)
    }

    fn put_lent(&self, lent: &mut Lent, handles: &[Handle], wait: Wait) -> Result<()> {
        self.block_put_lent(lent, handles, wait, Operation::QueuePut)
            .map_err(|e| timed_out_is(e, Error::Full))
    }

    fn get_lent(&self, into: &mut Message, wait: Wait) -> Result<Option<Lent>> {
        let stored = self
            .block_take(wait, Operation::QueueGet)
            .map_err(|e| timed_out_is(e, Error::Empty))?;
        Ok(stored.lend(into))
    }

    fn len(&self) -> usize {
        Channel::len(self)
    }

    fn bounds(&self) -> Bounds {
        Channel::bounds(self)
    }

    fn close(&self) {
        Channel::close(self);
    }

    fn watch(&self, side: Side, waker: &Waker) -> Result<Option<Watch>> {
        Channel::watch(self, side, waker)
    }
}

/// A queue has its own words for a wait that ran out.
pub(crate) fn timed_out_is(error: Error, instead: Error) -> Error {
    if error == Error::TimedOut { instead } else { error }
}
