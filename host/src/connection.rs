//! Connections inside the sandbox: a table of names, and pipes from those who come to a name to the
//! one that listens there.
//!
//! A listener's backlog is a queue of pipe ends: to connect is to make a pipe and put one end into
//! it, to accept is to take one out. Both wait as puts and gets wait.

use crate::object::Object;
use crate::pipe::PipeEnd;
use crate::queue::{HostQueue, Stored};
use crate::runtime::{Runtime, lock};
use crate::waiting;
use procbox_core::{
    Address, Bounds, Error, MAX_MESSAGE, PipeConnection, RawConnection, RawListener, Result, Wait,
};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};

/// How many may wait to be accepted; the next waits to wait.
const BACKLOG: usize = 128;
/// What a connection holds each way: one message of the largest size, or many small ones.
const BOUNDS: Bounds = Bounds { messages: Some(1 << 10), bytes: MAX_MESSAGE };

/// The backlogs of those who listen, by name.
#[derive(Default)]
pub(crate) struct Names(Mutex<HashMap<String, Arc<HostQueue>>>);

/// The only kind of address that there is here.
///
/// # Errors
/// [`Error::NotGranted`] for a path or a port.
pub(crate) fn name_of(address: &Address) -> Result<&str> {
    match address {
        Address::Name(name) => Ok(name),
        _ => Err(Error::NotGranted("use the network")),
    }
}

impl Names {
    /// A listener under a name.
    ///
    /// # Errors
    /// [`Error::AddressInUse`].
    pub(crate) fn listen(
        self: &Arc<Names>,
        runtime: &Arc<Runtime>,
        name: &str,
    ) -> Result<HostListener> {
        match lock(&self.0).entry(name.into()) {
            Entry::Occupied(_) => Err(Error::AddressInUse(name.into())),
            Entry::Vacant(free) => {
                let bounds = Bounds { messages: Some(BACKLOG), ..Bounds::default() };
                let backlog = Arc::new(HostQueue::new(runtime.clone(), bounds));
                free.insert(backlog.clone());
                let address = Address::Name(name.into());
                Ok(HostListener { names: self.clone(), address, backlog })
            }
        }
    }

    /// One end of a connection for the caller; the other, as a message, and the backlog to put it
    /// into.
    ///
    /// # Errors
    /// [`Error::ConnectionRefused`].
    pub(crate) fn approach(
        &self,
        runtime: &Arc<Runtime>,
        name: &str,
    ) -> Result<(Arc<PipeEnd>, Stored, Arc<HostQueue>)> {
        let backlog = lock(&self.0).get(name).cloned();
        let backlog = backlog.ok_or_else(|| Error::ConnectionRefused(name.into()))?;
        let (ours, theirs) = PipeEnd::pair_with(runtime, true, BOUNDS);
        let objects = vec![Object::Pipe(Arc::new(theirs))];
        Ok((Arc::new(ours), Stored { body: [].as_slice().into(), objects }, backlog))
    }

    /// A connection for a thread of the embedding program.
    ///
    /// # Errors
    /// [`Error::ConnectionRefused`], [`Error::TimedOut`], [`Error::Interrupted`].
    pub(crate) fn connect(
        &self,
        runtime: &Arc<Runtime>,
        name: &str,
        wait: Wait,
    ) -> Result<Arc<dyn RawConnection>> {
        let (ours, theirs, backlog) = self.approach(runtime, name)?;
        let mut slot = Some(theirs);
        let put = match backlog.try_put(&mut slot) {
            Some(put) => put,
            None => waiting::block(
                runtime,
                wait,
                || None,
                || async {
                    match slot {
                        Some(theirs) => backlog.put_stored(theirs).await,
                        None => Ok(()),
                    }
                },
            ),
        };
        put.map_err(|e| gone_is_refused(e, name))?;
        Ok(Arc::new(PipeConnection(ours)))
    }
}

/// A listener that went away while somebody came to it is none.
pub(crate) fn gone_is_refused(error: Error, name: &str) -> Error {
    if error == Error::Closed { Error::ConnectionRefused(name.into()) } else { error }
}

/// A name that is taken for as long as this lives.
pub(crate) struct HostListener {
    names: Arc<Names>,
    address: Address,
    backlog: Arc<HostQueue>,
}

impl HostListener {
    pub(crate) fn backlog(&self) -> &Arc<HostQueue> {
        &self.backlog
    }
}

impl Drop for HostListener {
    fn drop(&mut self) {
        if let Address::Name(name) = &self.address {
            lock(&self.names.0).remove(name);
        }
        // Those who wait, in it and for it, are turned away.
        self.backlog.abandon();
    }
}

impl RawListener for HostListener {
    fn accept(&self, wait: Wait) -> Result<Arc<dyn RawConnection>> {
        let backlog = &self.backlog;
        let came =
            waiting::block(&backlog.runtime, wait, || backlog.try_take(), || backlog.take())?;
        match came.objects.into_iter().next() {
            Some(Object::Pipe(end)) => Ok(Arc::new(PipeConnection(end))),
            _ => Err(Error::Closed),
        }
    }

    fn address(&self) -> &Address {
        &self.address
    }
}
