//! Listeners and connections: a table of names, and for each who listens there a channel of those who came.

use super::Home;
use super::channel::{Channel, Item, copy};
use crate::observe::Operation;
use crate::raw::{Address, Bounds, MAX_MESSAGE, RawConnection, RawListener, Side, Watch};
use crate::sync::lock;
use crate::{Error, Result, Wait};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};
use std::task::Waker;

/// The number of those who may wait to be accepted; the next waits to wait.
const BACKLOG: usize = 128;
/// The most that a connection holds, each way: one message of the largest size, or many small ones.
const BOUNDS: Bounds = Bounds::new(Some(1 << 10), MAX_MESSAGE);

/// Those who came to a listener and were not accepted yet: the other ends of their connections.
type Backlog = Channel<LocalConnection>;

impl Item for LocalConnection {
    fn size(&self) -> usize {
        0
    }
}

impl Item for Vec<u8> {
    fn size(&self) -> usize {
        self.len()
    }
}

/// The backlogs of those who listen, by name.
#[derive(Default)]
pub(super) struct Names(Mutex<HashMap<String, Arc<Backlog>>>);

fn name_of(address: &Address) -> Result<&str> {
    match address {
        Address::Name(name) => Ok(name),
        _ => Err(Error::Unsupported("listeners elsewhere than at names")),
    }
}

impl Names {
    /// # Errors
    /// [`Error::AddressInUse`]; [`Error::Unsupported`] for what is no name.
    pub(super) fn listen(
        self: &Arc<Names>,
        home: &Arc<Home>,
        address: &Address,
    ) -> Result<LocalListener> {
        let name = name_of(address)?;
        let backlog = Arc::new(Channel::new(Bounds::DEFAULT.messages(BACKLOG)));
        match lock(&self.0).entry(name.into()) {
            Entry::Occupied(_) => Err(Error::AddressInUse(name.into())),
            Entry::Vacant(free) => {
                free.insert(backlog.clone());
                let (names, address, home) = (self.clone(), address.clone(), home.clone());
                Ok(LocalListener { home, names, address, backlog })
            }
        }
    }

    /// # Errors
    /// [`Error::ConnectionRefused`], [`Error::TimedOut`], [`Error::Interrupted`];
    /// [`Error::Unsupported`] for what is no name.
    pub(super) fn connect(
        &self,
        home: &Arc<Home>,
        address: &Address,
        wait: Wait,
    ) -> Result<LocalConnection> {
        let name = name_of(address)?;
        let refused = || Error::ConnectionRefused(name.into());
        let backlog = lock(&self.0).get(name).cloned().ok_or_else(refused)?;
        let (ours, theirs) = LocalConnection::pair(home);
        let mut theirs = Some(theirs);
        // It is made once: whoever makes it has room for it.
        let make = || theirs.take().ok_or(Error::Closed);
        match backlog.put(0, wait, Operation::Connect, make) {
            // A listener that went away while somebody came to it is none.
            Err(Error::Closed) => Err(refused()),
            put => put.map(|()| ours),
        }
    }
}

/// A name that is taken for as long as this lives.
pub(super) struct LocalListener {
    pub(super) home: Arc<Home>,
    names: Arc<Names>,
    address: Address,
    pub(super) backlog: Arc<Backlog>,
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        if let Address::Name(name) = &self.address {
            lock(&self.names.0).remove(name);
        }
        // Those who wait, in it and for it, are turned away.
        self.backlog.abandon();
    }
}

impl RawListener for LocalListener {
    fn accept(&self, wait: Wait) -> Result<Arc<dyn RawConnection>> {
        let peer = self.backlog.take(wait, Operation::Accept)?;
        Ok(Arc::new(peer))
    }

    fn address(&self) -> &Address {
        &self.address
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        Ok(Some(self.backlog.watch(Side::Items, waker)))
    }
}

/// One end of a connection: bytes, and no handles.
pub(super) struct LocalConnection {
    pub(super) home: Arc<Home>,
    pub(super) incoming: Arc<Channel<Vec<u8>>>,
    outgoing: Arc<Channel<Vec<u8>>>,
}

impl LocalConnection {
    fn pair(home: &Arc<Home>) -> (LocalConnection, LocalConnection) {
        let [one, other] = [(); 2].map(|()| Arc::new(Channel::new(BOUNDS)));
        let (incoming, outgoing) = (one.clone(), other.clone());
        let first = LocalConnection { home: home.clone(), incoming, outgoing };
        (first, LocalConnection { home: home.clone(), incoming: other, outgoing: one })
    }
}

impl Drop for LocalConnection {
    fn drop(&mut self) {
        // In this order: who has drained it and was told finds that nobody listens either.
        self.incoming.abandon();
        self.outgoing.close();
    }
}

impl RawConnection for LocalConnection {
    fn send(&self, bytes: &[u8], wait: Wait) -> Result<()> {
        self.outgoing.put(bytes.len(), wait, Operation::PipeSend, || copy(bytes))
    }

    fn recv(&self, into: &mut Vec<u8>, most: usize, wait: Wait) -> Result<()> {
        *into = self.incoming.take(wait, Operation::PipeRecv)?;
        let size = into.len();
        if size > most { Err(Error::TooLarge { size, limit: most }) } else { Ok(()) }
    }

    fn poll(&self, wait: Wait) -> Result<()> {
        self.incoming.poll(wait, Operation::PipeRecv)
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        Ok(Some(self.incoming.watch(Side::Items, waker)))
    }
}
