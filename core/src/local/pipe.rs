//! A pipe: two channels of messages, one each way. An end is gone when its last handle is: then what it
//! could receive is dropped, and the other end drains and is told.

use super::Home;
use super::channel::{Channel, copy};
use super::message::check;
use crate::observe::Operation;
use crate::raw::{Bounds, Handle, Message, RawPipe, Side, Watch};
use crate::{Result, Wait};
use std::sync::Arc;
use std::task::Waker;

/// The most that is on its way in each direction.
const BOUNDS: Bounds = Bounds::DEFAULT.bytes(64 << 20);

pub(super) struct LocalPipe {
    pub(super) home: Arc<Home>,
    pub(super) incoming: Arc<Channel<Message>>,
    outgoing: Arc<Channel<Message>>,
}

impl LocalPipe {
    pub(super) fn pair(home: &Arc<Home>, duplex: bool) -> (LocalPipe, LocalPipe) {
        let [one, other] = [(); 2].map(|()| Arc::new(Channel::new(BOUNDS)));
        if !duplex {
            // What the first would send.
            other.close();
        }
        let (incoming, outgoing) = (one.clone(), other.clone());
        let first = LocalPipe { home: home.clone(), incoming, outgoing };
        (first, LocalPipe { home: home.clone(), incoming: other, outgoing: one })
    }
}

impl Drop for LocalPipe {
    fn drop(&mut self) {
        // In this order: who has drained it and was told finds that nobody listens either.
        self.incoming.abandon();
        self.outgoing.close();
    }
}

impl RawPipe for LocalPipe {
    fn send(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()> {
        check(&self.home, handles)?;
        let make = || Ok(Message { bytes: copy(bytes)?, handles: handles.to_vec() });
        self.outgoing.put(bytes.len(), wait, Operation::PipeSend, make)
    }

    fn recv(&self, into: &mut Message, wait: Wait) -> Result<()> {
        *into = self.incoming.take(wait, Operation::PipeRecv)?;
        Ok(())
    }

    fn poll(&self, wait: Wait) -> Result<()> {
        self.incoming.poll(wait, Operation::PipeRecv)
    }

    fn watch(&self, side: Side, waker: &Waker) -> Result<Option<Watch>> {
        let channel = match side {
            Side::Items => &self.incoming,
            Side::Room => &self.outgoing,
        };
        Ok(Some(channel.watch(side, waker)))
    }
}
