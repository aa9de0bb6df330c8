//! Listeners and connections: a name that the host keeps, and pipes that come from it.

use super::primitives::{GuestPipe, Own, get};
use super::sys;
use procbox_core::raw::{Handle, Message, PipeConnection, RawConnection, RawListener};
use procbox_core::{Address, Error, Result, Wait};
use std::sync::Arc;

pub(super) struct GuestListener {
    own: Own,
    address: Address,
}

impl GuestListener {
    /// The number that the host knows it by.
    pub(super) fn number(&self) -> i32 {
        self.own.0
    }
}

fn name_of(address: &Address) -> Result<&str> {
    match address {
        Address::Name(name) => Ok(name),
        _ => Err(Error::NotGranted("use the network")),
    }
}

pub(super) fn listen(address: &Address) -> Result<Arc<dyn RawListener>> {
    let own = Own(sys::connection_listen(name_of(address)?)?);
    Ok(Arc::new(GuestListener { own, address: address.clone() }))
}

pub(super) fn connect(address: &Address, wait: Wait) -> Result<Arc<dyn RawConnection>> {
    let own = Own(sys::connection_connect(name_of(address)?, wait)?);
    Ok(Arc::new(PipeConnection(Arc::new(GuestPipe(own)))))
}

impl RawListener for GuestListener {
    fn accept(&self, wait: Wait) -> Result<Arc<dyn RawConnection>> {
        let mut came = Message::default();
        get(&self.own, &mut came, wait)?;
        match came.handles.into_iter().next() {
            Some(Handle::Pipe(end)) => Ok(Arc::new(PipeConnection(end))),
            _ => Err(Error::Closed),
        }
    }

    fn address(&self) -> &Address {
        &self.address
    }
}
