//! Waiting for several things at once.

use crate::blocked::Server;
use crate::runtime::Runtime;
use crate::wait_list::WaitList;
use crate::waiting;
use procbox_core::observe::Operation;
use procbox_core::raw::Watch;
use procbox_core::{Error, Result, Wait};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

/// Something that can become ready.
pub(crate) trait Source: Send + Sync {
    /// The runtime that wakes those who wait for it: the mark of its sandbox.
    fn runtime(&self) -> &Arc<Runtime>;

    /// True if it is ready now.
    fn is_ready(&self) -> bool;

    /// Those who sleep until it may have become ready.
    fn changed(&self) -> &WaitList;

    /// Has those who sleep woken, where somebody else knows when that is; from this call on, until it is
    /// dropped.
    ///
    /// # Errors
    /// [`Error::Exhausted`], [`Error::Unsupported`].
    fn watch(&self) -> Result<Option<Watch>> {
        Ok(None)
    }

    /// Who can make it ready.
    fn server(&self) -> Server;
}

fn ready_now(sources: &[Arc<dyn Source>]) -> Option<Result<Vec<usize>>> {
    let ready: Vec<usize> =
        sources.iter().enumerate().filter(|(_, s)| s.is_ready()).map(|(i, _)| i).collect();
    if ready.is_empty() { None } else { Some(Ok(ready)) }
}

/// The indices of those that are ready, as soon as there is one.
pub(crate) async fn until_ready(sources: &[Arc<dyn Source>]) -> Result<Vec<usize>> {
    let mut before: Vec<Watch> = Vec::new();
    loop {
        before.iter_mut().for_each(Watch::about_to_try);
        // Listen first, look then, so that nothing is missed in between.
        let mut listeners: Vec<_> = sources.iter().map(|s| s.changed().listen()).collect();
        let watches = sources.iter().filter_map(|s| s.watch().transpose());
        let watches = watches.collect::<Result<Vec<_>>>()?;
        if let Some(ready) = ready_now(sources) {
            // Nothing is taken here: others who were to be woken for it are.
            return ready;
        }
        before.into_iter().for_each(|watch| watch.tried(false));
        before = watches;
        poll_fn(|cx| {
            let woken = listeners.iter_mut().any(|l| Pin::new(l).poll(cx).is_ready());
            if woken { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// The same for a thread of the embedding program.
///
/// # Errors
/// [`Error::ForeignHandle`] if one is not of the sandbox that `runtime` runs, [`Error::TimedOut`],
/// [`Error::Interrupted`].
pub(crate) fn block_until_ready(
    runtime: &Arc<Runtime>,
    sources: &[Arc<dyn Source>],
    wait: Wait,
) -> Result<Vec<usize>> {
    if sources.iter().any(|source| !Arc::ptr_eq(source.runtime(), runtime)) {
        return Err(Error::ForeignHandle);
    }
    waiting::block(
        runtime,
        wait,
        (Operation::Ready, 0),
        || ready_now(sources),
        || until_ready(sources),
    )
}
