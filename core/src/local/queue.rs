//! The queue: a channel of messages.

use super::Home;
use super::channel::{Channel, copy};
use super::message::check;
use crate::observe::Operation;
use crate::raw::{Bounds, Handle, Message, RawQueue, Side, Watch};
use crate::{Error, Result, Wait};
use std::sync::Arc;
use std::task::Waker;

pub(super) struct LocalQueue {
    pub(super) home: Arc<Home>,
    pub(super) channel: Channel<Message>,
}

impl LocalQueue {
    pub(super) fn new(home: Arc<Home>, bounds: Bounds) -> LocalQueue {
        LocalQueue { home, channel: Channel::new(bounds) }
    }
}

/// A queue has a word of its own for a wait that ran out.
fn or(error: Error, other: Error) -> Error {
    if error == Error::TimedOut { other } else { error }
}

impl RawQueue for LocalQueue {
    fn put(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()> {
        check(&self.home, handles)?;
        let make = || Ok(Message { bytes: copy(bytes)?, handles: handles.to_vec() });
        let put = self.channel.put(bytes.len(), wait, Operation::QueuePut, make);
        put.map_err(|e| or(e, Error::Full))
    }

    fn get(&self, into: &mut Message, wait: Wait) -> Result<()> {
        let taken = self.channel.take(wait, Operation::QueueGet);
        *into = taken.map_err(|e| or(e, Error::Empty))?;
        Ok(())
    }

    fn len(&self) -> usize {
        self.channel.len()
    }

    fn bounds(&self) -> Bounds {
        self.channel.bounds()
    }

    fn close(&self) {
        self.channel.close();
    }

    fn watch(&self, side: Side, waker: &Waker) -> Result<Option<Watch>> {
        Ok(Some(self.channel.watch(side, waker)))
    }
}
