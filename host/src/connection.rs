//! Connections inside the sandbox: a table of names, and pipes from those who come to a name to the
//! one that listens there.
//!
//! A listener's backlog is a channel of pipe ends: to connect is to make a pipe and put one end into
//! it, to accept is to take one out. Both wait as puts and gets wait.

use crate::account::Account;
use crate::channel::Channel;
use crate::pipe::PipeEnd;
use crate::runtime::Runtime;
use crate::sync::lock;
use procbox_core::observe::Operation;
use procbox_core::raw::{
    Address, Bounds, MAX_MESSAGE, PipeConnection, RawConnection, RawListener, Side, Watch,
};
use procbox_core::{Error, Result, Wait};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};
use std::task::Waker;

/// The number of those who may wait to be accepted; the next waits to wait.
const BACKLOG: usize = 128;
/// The most that a connection holds, each way: one message of the largest size, or many small ones.
const BOUNDS: Bounds = Bounds::new(Some(1 << 10), MAX_MESSAGE);

/// Those who came to a listener and were not accepted yet: their pipes' other ends.
type Backlog = Channel<Arc<PipeEnd>>;

/// The backlogs of those who listen, by name.
#[derive(Default)]
pub(crate) struct Names(Mutex<HashMap<String, Arc<Backlog>>>);

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

/// A connection that is about to be made.
pub(crate) struct Approach<'a> {
    name: &'a str,
    ours: Arc<PipeEnd>,
    theirs: Arc<PipeEnd>,
    backlog: Arc<Backlog>,
}

impl Names {
    /// A listener under a name.
    ///
    /// # Errors
    /// [`Error::AddressInUse`], [`Error::Exhausted`].
    pub(crate) fn listen(
        self: &Arc<Names>,
        runtime: &Arc<Runtime>,
        account: &Arc<Account>,
        name: &str,
    ) -> Result<HostListener> {
        let bounds = Bounds::DEFAULT.messages(BACKLOG);
        let backlog = Channel::new(runtime.clone(), account.clone(), bounds)?;
        match lock(&self.0).entry(name.into()) {
            Entry::Occupied(_) => Err(Error::AddressInUse(name.into())),
            Entry::Vacant(free) => {
                free.insert(backlog.clone());
                let address = Address::Name(name.into());
                Ok(HostListener { names: self.clone(), address, backlog })
            }
        }
    }

    /// A pipe to the listener of a name, which has not heard of it yet.
    ///
    /// # Errors
    /// [`Error::ConnectionRefused`].
    pub(crate) fn approach<'a>(
        &self,
        runtime: &Arc<Runtime>,
        account: &Arc<Account>,
        name: &'a str,
    ) -> Result<Approach<'a>> {
        let backlog = lock(&self.0).get(name).cloned();
        let backlog = backlog.ok_or_else(|| Error::ConnectionRefused(name.into()))?;
        let (ours, theirs) = PipeEnd::pair_with(runtime, account, true, BOUNDS)?;
        Ok(Approach { name, ours, theirs, backlog })
    }
}

impl Approach<'_> {
    /// Gives the listener its end, if its backlog has room, and the caller the other.
    ///
    /// # Errors
    /// [`Error::TimedOut`] if there is no room, [`Error::ConnectionRefused`].
    pub(crate) fn try_connect(self) -> Result<Arc<PipeEnd>> {
        let put = self.backlog.try_put(&mut Some(self.theirs)).unwrap_or(Err(Error::TimedOut));
        put.map_err(|e| gone_is_refused(e, self.name))?;
        Ok(self.ours)
    }

    /// The same, waiting for room.
    ///
    /// # Errors
    /// [`Error::ConnectionRefused`].
    pub(crate) async fn connect(self) -> Result<Arc<PipeEnd>> {
        let put = self.backlog.put(self.theirs).await;
        put.map_err(|e| gone_is_refused(e, self.name))?;
        Ok(self.ours)
    }

    /// The same, on the calling thread.
    ///
    /// # Errors
    /// [`Error::ConnectionRefused`], [`Error::TimedOut`], [`Error::Interrupted`].
    pub(crate) fn block_connect(self, wait: Wait) -> Result<Arc<dyn RawConnection>> {
        let put = self.backlog.block_put(&mut Some(self.theirs), wait, Operation::Connect);
        put.map_err(|e| gone_is_refused(e, self.name))?;
        Ok(Arc::new(PipeConnection(self.ours)))
    }
}

/// A listener that went away while somebody came to it is none.
fn gone_is_refused(error: Error, name: &str) -> Error {
    if error == Error::Closed { Error::ConnectionRefused(name.into()) } else { error }
}

/// A name that is taken for as long as this lives.
pub(crate) struct HostListener {
    names: Arc<Names>,
    address: Address,
    backlog: Arc<Backlog>,
}

impl HostListener {
    pub(crate) fn backlog(&self) -> &Arc<Backlog> {
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
        Ok(Arc::new(PipeConnection(self.backlog.block_take(wait, Operation::Accept)?)))
    }

    fn address(&self) -> &Address {
        &self.address
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        self.backlog.watch(Side::Items, waker)
    }
}
