//! The sandbox's queue: a channel of messages.

use crate::account::Account;
use crate::channel::Channel;
use crate::cycles::{Cargo, Carrier};
use crate::object::Stored;
use crate::runtime::Runtime;
use crate::waiting::number;
use procbox_core::observe::{self, Operation, Sight, Visible};
use procbox_core::raw::{Bounds, Handle, Message, RawQueue};
use procbox_core::{Error, Result, Wait};
use std::sync::{Arc, Weak};

/// A new queue.
///
/// # Errors
/// [`Error::Exhausted`].
pub(crate) fn new(
    runtime: Arc<Runtime>,
    account: Arc<Account>,
    bounds: Bounds,
) -> Result<Arc<Channel<Stored>>> {
    let queue = Arc::new(Channel::new(runtime, account, bounds)?);
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

impl RawQueue for Channel<Stored> {
    fn put(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()> {
        self.check_size(bytes.len())?;
        let stored = Stored::pack(bytes, handles, &self.runtime)?;
        self.block_put(stored, wait, Operation::QueuePut).map_err(|e| timed_out_is(e, Error::Full))
    }

    fn get(&self, into: &mut Message, wait: Wait) -> Result<()> {
        let stored = self
            .block_take(wait, Operation::QueueGet)
            .map_err(|e| timed_out_is(e, Error::Empty))?;
        stored.unpack(into);
        Ok(())
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
}

/// A queue has its own words for a wait that ran out.
pub(crate) fn timed_out_is(error: Error, instead: Error) -> Error {
    if error == Error::TimedOut { instead } else { error }
}
