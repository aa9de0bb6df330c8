//! The primitives of `procbox:worker`.

use super::bindings::procbox::worker::primitives::{
    Handle, Host, HostEvent, HostLock, HostPipe, HostQueue, HostSemaphore, Lent, Message,
};
use super::bindings::{Event, Lock, Pipe, Queue, Semaphore};
use super::handles::{Answer, answer, lent, number, open_kept, owned, wait};
use crate::object::Stored;
use crate::ops;
use crate::state::State;
use procbox_core::raw::Bounds;
use procbox_core::runner::{byte_string, with_handles};
use wasmtime::component::Resource;

impl Host for State {
    fn handles(&mut self) -> Answer<Vec<Handle>> {
        answer(open_kept(self))
    }

    fn pid(&mut self) -> wasmtime::Result<u32> {
        Ok(ops::own::identity(self).pid)
    }
}

/// The most handles in a message: it is packed in one piece.
const SENT: usize = 64 << 10;

/// Gives up a handle.
fn close<T>(state: &mut State, resource: &Resource<T>) -> wasmtime::Result<()> {
    let handle = number(resource);
    state.late.retain(|(from, _)| *from != handle);
    answer(ops::handle::close(state, handle)).map(|_| ())
}

/// Sends a message for the process, which others read as bytes and behind them handles. It is copied and
/// charged before it waits.
async fn send(
    state: &mut State,
    handle: i32,
    bytes: Vec<u8>,
    handles: &[Lent],
    timeout: Option<u64>,
) -> ops::Result<()> {
    if handles.len() > SENT {
        return Err(procbox_core::Error::Exhausted("room for so many handles".into()).into());
    }
    let bytes = with_handles(&bytes, handles.len() as u32)?;
    let to = ops::message::outgoing(&state.table, handle, bytes.len())?;
    let numbers = handles.iter().map(lent);
    let stored = ops::message::pack(state, &bytes, handles.len(), numbers)?;
    drop(bytes);
    match wait(timeout) {
        None => to.try_put(state.account(), stored),
        Some(wait) => to.put(state.standing(), stored, wait).await,
    }
}

/// Receives a message. One whose handles find no room stays: the next call for it gets it.
async fn receive(state: &mut State, handle: i32, timeout: Option<u64>) -> ops::Result<Message> {
    let stored = match state.late.iter().position(|(from, _)| *from == handle) {
        Some(at) => state.late.remove(at).1,
        None => match wait(timeout) {
            None => ops::message::try_get(state, handle)?,
            Some(wait) => ops::message::get(state, handle, wait).await?,
        },
    };
    // One that does not begin with bytes is none for a component.
    let bytes = byte_string(&stored.body)?.to_vec();
    state.work.bytes(bytes.len());
    let kept = std::mem::replace(&mut state.kept, stored);
    let handles = open_kept(state);
    let stored: Stored = std::mem::replace(&mut state.kept, kept);
    match handles {
        Ok(handles) => Ok(Message { bytes, handles }),
        Err(e) => {
            if matches!(e, ops::Error::Failed(procbox_core::Error::Exhausted(_))) {
                state.late.push((handle, stored));
            }
            Err(e)
        }
    }
}

impl HostLock for State {
    fn new(&mut self) -> Answer<Resource<Lock>> {
        answer(ops::lock::new(self).map(owned))
    }

    async fn acquire(&mut self, own: Resource<Lock>, timeout: Option<u64>) -> Answer<bool> {
        let acquired = match wait(timeout) {
            None => ops::lock::try_acquire(self, number(&own)),
            Some(wait) => ops::lock::acquire(self, number(&own), wait).await,
        };
        answer(acquired.map(|acquired| acquired.owner_died))
    }

    fn release(&mut self, own: Resource<Lock>) -> Answer<()> {
        answer(ops::lock::release(self, number(&own)))
    }

    fn drop(&mut self, own: Resource<Lock>) -> wasmtime::Result<()> {
        close(self, &own)
    }
}

impl HostSemaphore for State {
    fn new(&mut self, permits: u32) -> Answer<Resource<Semaphore>> {
        answer(ops::semaphore::new(self, permits as usize).map(owned))
    }

    async fn acquire(&mut self, own: Resource<Semaphore>, timeout: Option<u64>) -> Answer<()> {
        answer(match wait(timeout) {
            None => ops::semaphore::try_acquire(self, number(&own)),
            Some(wait) => ops::semaphore::acquire(self, number(&own), wait).await,
        })
    }

    fn release(&mut self, own: Resource<Semaphore>) -> Answer<()> {
        answer(ops::semaphore::release(self, number(&own)))
    }

    fn available(&mut self, own: Resource<Semaphore>) -> Answer<u32> {
        let available = ops::semaphore::available(self, number(&own));
        answer(available.map(|n| u32::try_from(n).unwrap_or(u32::MAX)))
    }

    fn drop(&mut self, own: Resource<Semaphore>) -> wasmtime::Result<()> {
        close(self, &own)
    }
}

impl HostEvent for State {
    fn new(&mut self) -> Answer<Resource<Event>> {
        answer(ops::event::new(self).map(owned))
    }

    fn set(&mut self, own: Resource<Event>) -> Answer<()> {
        answer(ops::event::set(self, number(&own)))
    }

    fn clear(&mut self, own: Resource<Event>) -> Answer<()> {
        answer(ops::event::clear(self, number(&own)))
    }

    fn is_set(&mut self, own: Resource<Event>) -> Answer<bool> {
        answer(ops::event::is_set(self, number(&own)))
    }

    async fn wait(&mut self, own: Resource<Event>, timeout: Option<u64>) -> Answer<()> {
        answer(match wait(timeout) {
            None => match ops::event::is_set(self, number(&own)) {
                Ok(true) => Ok(()),
                Ok(false) => Err(procbox_core::Error::TimedOut.into()),
                Err(e) => Err(e),
            },
            Some(wait) => ops::event::wait(self, number(&own), wait).await,
        })
    }

    fn drop(&mut self, own: Resource<Event>) -> wasmtime::Result<()> {
        close(self, &own)
    }
}

impl HostQueue for State {
    fn new(&mut self, messages: Option<u64>, bytes: Option<u64>) -> Answer<Resource<Queue>> {
        // A bound that is too large to be counted is none.
        let messages = messages.and_then(|n| usize::try_from(n).ok());
        let bytes = bytes.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        let bounds = Bounds::new(messages, bytes.min(Bounds::MAX_BYTES));
        answer(ops::queue::new(self, bounds).map(owned))
    }

    async fn put(
        &mut self,
        own: Resource<Queue>,
        bytes: Vec<u8>,
        handles: Vec<Lent>,
        timeout: Option<u64>,
    ) -> Answer<()> {
        answer(send(self, number(&own), bytes, &handles, timeout).await)
    }

    async fn get(&mut self, own: Resource<Queue>, timeout: Option<u64>) -> Answer<Message> {
        answer(receive(self, number(&own), timeout).await)
    }

    fn len(&mut self, own: Resource<Queue>) -> Answer<u32> {
        let len = ops::queue::len(self, number(&own));
        answer(len.map(|n| u32::try_from(n).unwrap_or(u32::MAX)))
    }

    fn close(&mut self, own: Resource<Queue>) -> Answer<()> {
        answer(ops::queue::close(self, number(&own)))
    }

    fn drop(&mut self, own: Resource<Queue>) -> wasmtime::Result<()> {
        close(self, &own)
    }
}

impl HostPipe for State {
    fn new(&mut self, duplex: bool) -> Answer<(Resource<Pipe>, Resource<Pipe>)> {
        answer(ops::pipe::new(self, duplex).map(|(first, second)| (owned(first), owned(second))))
    }

    async fn send(
        &mut self,
        own: Resource<Pipe>,
        bytes: Vec<u8>,
        handles: Vec<Lent>,
        timeout: Option<u64>,
    ) -> Answer<()> {
        answer(send(self, number(&own), bytes, &handles, timeout).await)
    }

    async fn recv(&mut self, own: Resource<Pipe>, timeout: Option<u64>) -> Answer<Message> {
        answer(receive(self, number(&own), timeout).await)
    }

    fn drop(&mut self, own: Resource<Pipe>) -> wasmtime::Result<()> {
        close(self, &own)
    }
}
