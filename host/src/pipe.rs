//! One end of a sandbox pipe: a channel in, a channel out, and what its loss means.

use crate::queue::HostQueue;
use crate::runtime::Runtime;
use crate::waiting;
use procbox_core::{Bounds, Error, Handle, Message, RawPipe, Result, Wait};
use std::sync::Arc;

/// What a pipe holds at most, each way; a sender waits when it is full.
const BOUNDS: Bounds = Bounds { messages: Some(1 << 16), bytes: Bounds::MAX_BYTES };

/// Every handle of this end is a reference to the same `PipeEnd`: when the last goes, with whoever
/// held it, the end is gone.
pub(crate) struct PipeEnd {
    pub(crate) runtime: Arc<Runtime>,
    incoming: Option<Arc<HostQueue>>,
    outgoing: Option<Arc<HostQueue>>,
}

impl PipeEnd {
    pub(crate) fn pair(runtime: &Arc<Runtime>, duplex: bool) -> (PipeEnd, PipeEnd) {
        PipeEnd::pair_with(runtime, duplex, BOUNDS)
    }

    /// A pipe that holds no more than this, each way.
    pub(crate) fn pair_with(
        runtime: &Arc<Runtime>,
        duplex: bool,
        bounds: Bounds,
    ) -> (PipeEnd, PipeEnd) {
        let channel = || Arc::new(HostQueue::new(runtime.clone(), bounds));
        let there = channel();
        let back = duplex.then(channel);
        let first = PipeEnd {
            runtime: runtime.clone(),
            incoming: Some(there.clone()),
            outgoing: back.clone(),
        };
        let second = PipeEnd { runtime: runtime.clone(), incoming: back, outgoing: Some(there) };
        (first, second)
    }

    /// Where it receives from.
    ///
    /// # Errors
    /// [`Error::Closed`] if it only sends.
    pub(crate) fn incoming(&self) -> Result<&Arc<HostQueue>> {
        self.incoming.as_ref().ok_or(Error::Closed)
    }

    /// Where it sends to.
    ///
    /// # Errors
    /// [`Error::Closed`] if it only receives.
    pub(crate) fn outgoing(&self) -> Result<&Arc<HostQueue>> {
        self.outgoing.as_ref().ok_or(Error::Closed)
    }

    pub(crate) async fn readable(&self) -> Result<()> {
        let incoming = self.incoming()?;
        waiting::until(&self.runtime, incoming.watched(), || incoming.is_ready().then_some(Ok(())))
            .await
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        // The other end drains what was sent to it, and can send no more.
        self.outgoing.iter().for_each(|out| out.close_now());
        self.incoming.iter().for_each(|incoming| incoming.abandon());
    }
}

impl RawPipe for PipeEnd {
    fn send(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()> {
        self.outgoing()?.put_handles(bytes, handles, wait)
    }

    fn recv(&self, into: &mut Message, wait: Wait) -> Result<()> {
        self.incoming()?.get_handles(into, wait)
    }

    fn poll(&self, wait: Wait) -> Result<()> {
        let incoming = self.incoming()?;
        let attempt = || incoming.is_ready().then_some(Ok(()));
        waiting::block(&self.runtime, wait, attempt, || self.readable())
    }
}
