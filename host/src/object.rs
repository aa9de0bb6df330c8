//! What a sandboxed process's handles stand for, and how that comes in from the embedding program
//! and goes out to it.

use crate::account::{HANDLE, MESSAGE};
use crate::blocked;
use crate::channel::{Channel, Item};
use crate::connection::HostListener;
use crate::cycles::{self, Carrier};
use crate::discard::discard;
use crate::event::HostEvent;
use crate::foreign::Foreign;
use crate::ledger::HostLedger;
use crate::lock::{Holder, HostLock};
use crate::message::Body;
use crate::pipe::PipeEnd;
use crate::process::HostProcess;
use crate::ready::Source;
use crate::region::HostRegion;
use crate::runtime::Runtime;
use crate::semaphore::HostSemaphore;
use procbox_core::raw::{Handle, Lent, Message, PipeConnection, Waitable};
use procbox_core::{Error, Result, copy};
use std::any::Any;
use std::sync::{Arc, Weak};

/// A primitive of this sandbox, or a process that was started by the holder.
#[derive(Clone)]
pub(crate) enum Object {
    Lock(Arc<HostLock>),
    Semaphore(Arc<HostSemaphore>),
    Event(Arc<HostEvent>),
    Queue(Arc<Channel<Stored>>),
    Pipe(Arc<PipeEnd>),
    Ledger(Arc<HostLedger>),
    Region(Arc<HostRegion>),
    /// Of another backend, with which there is a bridge.
    Foreign(Arc<Foreign>),
    /// Stays with the process that made it.
    Listener(Arc<HostListener>),
    /// Stays with the process that started it.
    Process(Arc<HostProcess>),
}

/// The object behind something of the embedding program, if it is of this kind at all.
fn own<T: Any + Send + Sync>(any: Arc<dyn Any + Send + Sync>) -> Result<Arc<T>> {
    any.downcast().map_err(|_| Error::ForeignHandle)
}

impl Object {
    /// Takes in handles of the embedding program.
    ///
    /// # Errors
    /// [`Error::ForeignHandle`] if one is neither of the sandbox that `runtime` runs, nor of a context with
    /// which that has a bridge; [`Error::Unsupported`] if it is of such a one, and does not cross.
    pub(crate) fn from_handles(handles: &[Handle], runtime: &Arc<Runtime>) -> Result<Vec<Object>> {
        handles.iter().map(|handle| Object::from_handle(handle, runtime)).collect()
    }

    fn from_handle(handle: &Handle, runtime: &Arc<Runtime>) -> Result<Object> {
        match Object::own_of(handle) {
            Ok(object) if Arc::ptr_eq(object.runtime(), runtime) => Ok(object),
            Ok(_) => Err(Error::ForeignHandle),
            Err(_) => {
                let foreign = Object::of_another(handle, runtime)?;
                foreign.check_crossing().map(|()| foreign)
            }
        }
    }

    /// What a handle of a sandbox's stands for.
    fn own_of(handle: &Handle) -> Result<Object> {
        Ok(match handle {
            Handle::Lock(raw) => Object::Lock(own(raw.clone())?),
            Handle::Semaphore(raw) => Object::Semaphore(own(raw.clone())?),
            Handle::Event(raw) => Object::Event(own(raw.clone())?),
            Handle::Queue(raw) => Object::Queue(own(raw.clone())?),
            Handle::Pipe(raw) => Object::Pipe(own(raw.clone())?),
            Handle::Ledger(raw) => Object::Ledger(own(raw.clone())?),
            Handle::Region(raw) => Object::Region(own(raw.clone())?),
            _ => return Err(Error::ForeignHandle),
        })
    }

    /// What a handle of another backend stands for, whatever can be done with it here.
    ///
    /// # Errors
    /// [`Error::ForeignHandle`] if there is no bridge with its context.
    pub(crate) fn of_another(handle: &Handle, runtime: &Arc<Runtime>) -> Result<Object> {
        runtime.known().take_in(handle, runtime).map(Object::Foreign)
    }

    /// Says whether a process here can do something with what it may be of another backend.
    fn check_crossing(&self) -> Result<()> {
        match self {
            Object::Foreign(foreign) if matches!(foreign.handle(), Handle::Ledger(_)) => {
                Err(Error::Unsupported(
                    "conditions, barriers and what else stands on a ledger in a sandboxed process of a \
                     bridge",
                ))
            }
            _ => Ok(()),
        }
    }

    /// The handle for it, if it is of another backend.
    ///
    /// # Errors
    /// [`Error::ForeignHandle`] if it is not.
    pub(crate) fn foreign_handle(&self) -> Result<Handle> {
        match self {
            Object::Foreign(foreign) => Ok(foreign.hand_out()),
            _ => Err(Error::ForeignHandle),
        }
    }

    /// The runtime of its sandbox.
    fn runtime(&self) -> &Arc<Runtime> {
        match self {
            Object::Lock(lock) => &lock.runtime,
            Object::Semaphore(semaphore) => &semaphore.runtime,
            Object::Event(event) => &event.runtime,
            Object::Queue(queue) => &queue.runtime,
            Object::Pipe(end) => &end.runtime,
            Object::Ledger(ledger) => &ledger.runtime,
            Object::Region(region) => &region.runtime,
            Object::Foreign(foreign) => &foreign.runtime,
            Object::Listener(listener) => &listener.backlog().runtime,
            Object::Process(process) => &process.runtime,
        }
    }

    /// Gives handles out to the embedding program. Processes and listeners do not travel.
    pub(crate) fn into_handles(objects: Vec<Object>) -> Vec<Handle> {
        objects.into_iter().filter_map(Object::into_handle).collect()
    }

    fn into_handle(self) -> Option<Handle> {
        match self {
            Object::Lock(own) => Some(Handle::Lock(own)),
            Object::Semaphore(own) => Some(Handle::Semaphore(own)),
            Object::Event(own) => Some(Handle::Event(own)),
            Object::Queue(own) => Some(Handle::Queue(own)),
            Object::Pipe(own) => Some(Handle::Pipe(own)),
            Object::Ledger(own) => Some(Handle::Ledger(own)),
            Object::Region(own) => Some(Handle::Region(own)),
            Object::Foreign(foreign) => Some(foreign.hand_out()),
            Object::Listener(_) | Object::Process(_) => None,
        }
    }

    /// True for what may be handed to another process. A process is the business of who started it,
    /// and a listener of who made it.
    pub(crate) fn travels(&self) -> bool {
        !matches!(self, Object::Listener(_) | Object::Process(_))
    }

    /// The address by which it is known as a carrier of messages, if it is one that travels.
    fn carrier(&self) -> Option<usize> {
        match self {
            Object::Queue(queue) => Some(cycles::address(queue)),
            Object::Pipe(end) => Some(cycles::address(end)),
            _ => None,
        }
    }

    /// It as a carrier, if there are carriers in its messages.
    pub(crate) fn carrying(&self) -> Option<Weak<dyn Carrier>> {
        match self {
            Object::Queue(queue) => {
                let own: Weak<Channel<Stored>> = Arc::downgrade(queue);
                queue.carries().then_some(own as _)
            }
            Object::Pipe(end) => {
                let own: Weak<PipeEnd> = Arc::downgrade(end);
                end.incoming().is_ok_and(|channel| channel.carries()).then_some(own as _)
            }
            _ => None,
        }
    }

    /// The address of a thing that several can serve who have it.
    pub(crate) fn address(&self) -> Option<usize> {
        match self {
            Object::Semaphore(semaphore) => Some(blocked::address(semaphore)),
            Object::Event(event) => Some(blocked::address(event)),
            Object::Queue(queue) => Some(blocked::address(queue)),
            Object::Pipe(end) => Some(blocked::address(end)),
            Object::Ledger(ledger) => Some(blocked::address(ledger)),
            // A wait for one is in no circle.
            Object::Region(_) | Object::Foreign(_) => None,
            Object::Lock(_) | Object::Listener(_) | Object::Process(_) => None,
        }
    }

    /// The address of a lock.
    pub(crate) fn lock_address(&self) -> Option<usize> {
        match self {
            Object::Lock(lock) => Some(Arc::as_ptr(lock).addr()),
            Object::Foreign(foreign) => Some(Arc::as_ptr(foreign).addr()),
            _ => None,
        }
    }

    /// True if it is a lock that this process has.
    pub(crate) fn is_held_by(&self, me: Holder) -> bool {
        match self {
            Object::Lock(lock) => lock.is_held_by(me),
            Object::Foreign(foreign) => foreign.is_held_by(me),
            _ => false,
        }
    }

    /// Gives back what a process had of it that has ended, and tells of what it may have changed.
    pub(crate) fn abandon(&self, dead: Holder) {
        match self {
            Object::Lock(lock) => lock.abandon(dead),
            Object::Foreign(foreign) => foreign.abandon(dead),
            // It may have been ended before it told of a change.
            Object::Region(region) => region.tell(),
            _ => {}
        }
    }

    /// The source to wait for; `None` if it is not that kind of thing.
    pub(crate) fn source(&self) -> Option<Arc<dyn Source>> {
        match self {
            Object::Queue(queue) => Some(queue.clone()),
            Object::Pipe(end) => end.incoming().ok().map(|channel| channel.clone() as _),
            Object::Listener(listener) => Some(listener.backlog().clone()),
            Object::Process(process) => Some(process.clone()),
            Object::Foreign(foreign) => match foreign.handle() {
                Handle::Queue(_) | Handle::Pipe(_) => Some(Arc::new(foreign.clone())),
                _ => None,
            },
            Object::Lock(_) | Object::Semaphore(_) | Object::Event(_) => None,
            Object::Ledger(_) | Object::Region(_) => None,
        }
    }
}

/// The source to wait for, given something of the embedding program.
///
/// # Errors
/// [`Error::ForeignHandle`] if it is of another backend, [`Error::Closed`] for an end that only sends.
pub(crate) fn source_of(waitable: &Waitable) -> Result<Arc<dyn Source>> {
    Ok(match waitable {
        Waitable::Queue(raw) => own::<Channel<Stored>>(raw.clone())?,
        Waitable::Pipe(raw) => own::<PipeEnd>(raw.clone())?.incoming()?.clone(),
        Waitable::Process(raw) => own::<HostProcess>(raw.clone())?,
        Waitable::Connection(raw) => {
            let PipeConnection(end) = &*own::<PipeConnection>(raw.clone())?;
            source_of(&Waitable::Pipe(end.clone()))?
        }
        Waitable::Listener(raw) => own::<HostListener>(raw.clone())?.backlog().clone(),
        _ => return Err(Error::ForeignHandle),
    })
}

/// A message on its way.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) body: Body,
    pub(crate) objects: Vec<Object>,
}

impl Stored {
    /// A message of the embedding program.
    ///
    /// # Errors
    /// [`Error::ForeignHandle`] if a handle is not of the sandbox that `runtime` runs.
    pub(crate) fn pack(bytes: &[u8], handles: &[Handle], runtime: &Arc<Runtime>) -> Result<Stored> {
        let objects = Object::from_handles(handles, runtime)?;
        Ok(Stored { body: bytes.into(), objects })
    }

    /// Hands it to the embedding program.
    pub(crate) fn unpack(mut self, into: &mut Message) {
        into.bytes.clear();
        copy::append(&mut into.bytes, &self.body);
        into.handles = Object::into_handles(self.take_objects());
    }

    /// A message of the embedding program, with the bytes that it has written, which are taken out of `lent`;
    /// `None` if these would have to be copied.
    ///
    /// # Errors
    /// [`Error::ForeignHandle`], as for [`Stored::pack`]; then they stay.
    pub(crate) fn pack_lent(
        lent: &mut Lent,
        handles: &[Handle],
        runtime: &Arc<Runtime>,
    ) -> Result<Option<Stored>> {
        let objects = Object::from_handles(handles, runtime)?;
        Ok(lent.take_own().map(|bytes| Stored { body: bytes.into(), objects }))
    }

    /// Hands it to the embedding program: its bytes too, if they need not be copied into `into`.
    pub(crate) fn lend(mut self, into: &mut Message) -> Option<Lent> {
        match self.body.take_bytes() {
            Some(bytes) => {
                into.bytes.clear();
                into.handles = Object::into_handles(self.take_objects());
                Some(Lent::own(bytes))
            }
            None => {
                self.unpack(into);
                None
            }
        }
    }

    /// Gives back what was not put.
    pub(crate) fn give_back(mut self, lent: &mut Lent) {
        *lent = Lent::own(self.body.take_bytes().unwrap_or_else(|| self.body.to_vec()));
    }

    /// Takes out what its handles stand for.
    pub(crate) fn take_objects(&mut self) -> Vec<Object> {
        std::mem::take(&mut self.objects)
    }
}

impl Drop for Stored {
    /// Wherever a message ends that nobody has read, its handles end here.
    fn drop(&mut self) {
        if !self.objects.is_empty() {
            discard(self.take_objects());
        }
    }
}

impl Item for Stored {
    fn size(&self) -> usize {
        self.body.len()
    }

    fn cost(&self) -> usize {
        let handles = if self.body.is_charged() { 0 } else { self.objects.len() };
        MESSAGE + HANDLE * handles
    }

    fn carriers(&self, addresses: &mut Vec<usize>) {
        addresses.extend(self.objects.iter().filter_map(Object::carrier));
    }

    fn carries(&self) -> bool {
        self.objects.iter().any(|object| object.carrier().is_some())
    }
}
