//! One end of a sandbox pipe: a channel in, a channel out, and what its loss means.

use crate::account::{Account, MESSAGE};
use crate::channel::{Channel, Item};
use crate::cycles::{Cargo, Carrier};
use crate::object::Stored;
use crate::runtime::Runtime;
use procbox_core::observe::Operation;
use procbox_core::raw::{Bounds, Handle, Lent, Message, RawPipe, Side, Watch};
use procbox_core::{Error, Result, Wait};
use std::sync::{Arc, Weak};
use std::task::Waker;

/// The most that a pipe holds, each way; a sender waits when it is full.
const BOUNDS: Bounds = Bounds::DEFAULT.messages(1 << 16);

/// Every handle of this end is a reference to the same `PipeEnd`: when the last goes, with whoever
/// held it, the end is gone.
pub(crate) struct PipeEnd {
    pub(crate) runtime: Arc<Runtime>,
    incoming: Option<Arc<Channel<Stored>>>,
    outgoing: Option<Arc<Channel<Stored>>>,
}

impl PipeEnd {
    pub(crate) fn pair(
        runtime: &Arc<Runtime>,
        account: &Arc<Account>,
        duplex: bool,
    ) -> Result<(Arc<PipeEnd>, Arc<PipeEnd>)> {
        PipeEnd::pair_with(runtime, account, duplex, BOUNDS)
    }

    /// A pipe that holds no more than this, each way.
    pub(crate) fn pair_with(
        runtime: &Arc<Runtime>,
        account: &Arc<Account>,
        duplex: bool,
        bounds: Bounds,
    ) -> Result<(Arc<PipeEnd>, Arc<PipeEnd>)> {
        let channel = || Channel::new(runtime.clone(), account.clone(), bounds);
        let there = channel()?;
        let back = if duplex { Some(channel()?) } else { None };
        let first = PipeEnd {
            runtime: runtime.clone(),
            incoming: Some(there.clone()),
            outgoing: back.clone(),
        };
        let second = PipeEnd {
            runtime: runtime.clone(),
            incoming: back.clone(),
            outgoing: Some(there.clone()),
        };
        let (first, second) = (Arc::new(first).listing(), Arc::new(second).listing());
        there.between(Arc::downgrade(&second) as _, Arc::downgrade(&first) as _);
        back.iter().for_each(|back| {
            back.between(Arc::downgrade(&first) as _, Arc::downgrade(&second) as _);
        });
        Ok((first, second))
    }

    /// Has its incoming messages counted as held by it.
    fn listing(self: Arc<PipeEnd>) -> Arc<PipeEnd> {
        if let Some(incoming) = &self.incoming {
            let weak: Weak<PipeEnd> = Arc::downgrade(&self);
            incoming.received_by(weak);
        }
        self
    }

    /// Where it receives from.
    ///
    /// # Errors
    /// [`Error::Closed`] if it only sends.
    pub(crate) fn incoming(&self) -> Result<&Arc<Channel<Stored>>> {
        self.incoming.as_ref().ok_or(Error::Closed)
    }

    /// Where it sends to.
    ///
    /// # Errors
    /// [`Error::Closed`] if it only receives.
    pub(crate) fn outgoing(&self) -> Result<&Arc<Channel<Stored>>> {
        self.outgoing.as_ref().ok_or(Error::Closed)
    }
}

/// What one end receives is in its own channel: the other end does not hold it.
impl Carrier for PipeEnd {
    fn cargo(&self) -> Box<dyn Cargo + '_> {
        match &self.incoming {
            Some(incoming) => incoming.cargo(),
            None => Box::new(Nothing),
        }
    }

    fn emptied(&self) {
        self.incoming.iter().for_each(|incoming| incoming.wake_all());
    }
}

/// What an end holds that only sends.
struct Nothing;

impl Cargo for Nothing {
    fn is_listed(&mut self) -> bool {
        false
    }

    fn held(&self) -> Vec<usize> {
        Vec::new()
    }

    fn moves(&self) -> u64 {
        0
    }

    fn take(&mut self) -> Box<dyn Send> {
        Box::new(())
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        // The other end drains what was sent to it, and can send no more.
        self.outgoing.iter().for_each(|out| out.close());
        self.incoming.iter().for_each(|incoming| incoming.abandon());
    }
}

impl RawPipe for PipeEnd {
    fn send(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()> {
        let out = self.outgoing()?;
        out.check_size(bytes.len())?;
        let stored = Stored::pack(bytes, handles, &self.runtime)?;
        out.block_put(&mut Some(stored), wait, Operation::PipeSend)
    }

    fn recv(&self, into: &mut Message, wait: Wait) -> Result<()> {
        self.incoming()?.block_take(wait, Operation::PipeRecv)?.unpack(into);
        Ok(())
    }

    fn loan(&self, bytes: usize) -> Result<Option<Lent>> {
        self.outgoing()?.lend(bytes).map(Some)
    }

    fn send_lent(&self, lent: &mut Lent, handles: &[Handle], wait: Wait) -> Result<()> {
        self.outgoing()?.block_put_lent(lent, handles, wait, Operation::PipeSend)
    }

    fn recv_lent(&self, into: &mut Message, wait: Wait) -> Result<Option<Lent>> {
        Ok(self.incoming()?.block_take(wait, Operation::PipeRecv)?.lend(into))
    }

    fn poll(&self, wait: Wait) -> Result<()> {
        self.incoming()?.block_until_ready(wait)
    }

    fn watch(&self, side: Side, waker: &Waker) -> Result<Option<Watch>> {
        let channel = match side {
            Side::Items => self.incoming(),
            Side::Room => self.outgoing(),
        };
        channel?.watch(side, waker)
    }
}

/// An end of a pipe travels to who listens; it weighs nothing there.
impl Item for Arc<PipeEnd> {
    fn size(&self) -> usize {
        0
    }

    fn cost(&self) -> usize {
        MESSAGE
    }
}
