//! The raw traits of the primitives, each a handle and its imports.

use super::ledger::GuestLedger;
use super::region::GuestRegion;
use super::sys::{self, check, try_then_wait};
use procbox_abi::{Received, code, kind};
use procbox_core::raw::{Handle, Message, RawEvent, RawLock, RawPipe, RawQueue, RawSemaphore};
use procbox_core::{Acquired, Bounds, Error, Result, Wait};
use std::any::Any;
use std::sync::Arc;

/// A number that the host knows this process's object by; closed when dropped.
pub(super) struct Own(pub(super) i32);

impl Drop for Own {
    fn drop(&mut self) {
        sys::handle_close(self.0);
    }
}

pub(super) struct GuestLock(pub(super) Own);
pub(super) struct GuestSemaphore(pub(super) Own);
pub(super) struct GuestEvent(pub(super) Own);
pub(super) struct GuestQueue(pub(super) Own);
pub(super) struct GuestPipe(pub(super) Own);

/// The numbers of handles that are about to be sent.
pub(super) fn numbers(handles: &[Handle]) -> Result<Vec<i32>> {
    handles.iter().map(number).collect()
}

/// The number of a handle.
pub(super) fn number(handle: &Handle) -> Result<i32> {
    fn own<T: Any>(any: &dyn Any, number: fn(&T) -> i32) -> Result<i32> {
        any.downcast_ref().map(number).ok_or(Error::ForeignHandle)
    }
    match handle {
        Handle::Lock(raw) => own(&**raw as &dyn Any, |own: &GuestLock| own.0.0),
        Handle::Semaphore(raw) => own(&**raw as &dyn Any, |own: &GuestSemaphore| own.0.0),
        Handle::Event(raw) => own(&**raw as &dyn Any, |own: &GuestEvent| own.0.0),
        Handle::Queue(raw) => own(&**raw as &dyn Any, |own: &GuestQueue| own.0.0),
        Handle::Pipe(raw) => own(&**raw as &dyn Any, |own: &GuestPipe| own.0.0),
        Handle::Ledger(raw) => own(&**raw as &dyn Any, |own: &GuestLedger| own.0.0),
        Handle::Region(raw) => own(&**raw as &dyn Any, |own: &GuestRegion| own.0.0),
        _ => Err(Error::ForeignHandle),
    }
}

/// The handles that came with a message, by number and kind.
pub(super) fn handles(received: Vec<Received>) -> Result<Vec<Handle>> {
    received
        .into_iter()
        .map(|received| {
            let own = Own(received.handle);
            match received.kind {
                kind::LOCK => Ok(Handle::Lock(Arc::new(GuestLock(own)))),
                kind::SEMAPHORE => Ok(Handle::Semaphore(Arc::new(GuestSemaphore(own)))),
                kind::EVENT => Ok(Handle::Event(Arc::new(GuestEvent(own)))),
                kind::QUEUE => Ok(Handle::Queue(Arc::new(GuestQueue(own)))),
                kind::PIPE => Ok(Handle::Pipe(Arc::new(GuestPipe(own)))),
                kind::LEDGER => Ok(Handle::Ledger(Arc::new(GuestLedger(own)))),
                kind::REGION => Ok(Handle::Region(Arc::new(GuestRegion(own)))),
                _ => Err(Error::ForeignHandle),
            }
        })
        .collect()
}

/// A first receive gets a buffer of this size; larger messages are read in a second call.
const FIRST_BUFFER: usize = 4 << 10;

fn put(to: &Own, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()> {
    if handles.is_empty() {
        return sys::message_put(to.0, bytes, &[], wait);
    }
    sys::message_put(to.0, bytes, &numbers(handles)?, wait)
}

pub(super) fn get(from: &Own, into: &mut Message, wait: Wait) -> Result<()> {
    into.handles.clear();
    into.bytes.clear();
    into.bytes.reserve(FIRST_BUFFER);
    if let Some(sizes) = sys::message_get(from.0, &mut into.bytes, wait)? {
        into.handles = handles(sys::message_read(sizes, &mut into.bytes)?)?;
    }
    Ok(())
}

impl RawLock for GuestLock {
    fn acquire(&self, wait: Wait) -> Result<Acquired> {
        let Own(h) = self.0;
        let code = try_then_wait(wait, || sys::lock_try_acquire(h), |t| sys::lock_acquire(h, t))?;
        Ok(Acquired::new(code == code::NOTED))
    }

    fn release(&self) -> Result<()> {
        check(sys::lock_release(self.0.0)).map(|_| ())
    }
}

impl RawSemaphore for GuestSemaphore {
    fn acquire(&self, wait: Wait) -> Result<()> {
        let Own(h) = self.0;
        let attempt = || sys::semaphore_try_acquire(h);
        try_then_wait(wait, attempt, |t| sys::semaphore_acquire(h, t)).map(|_| ())
    }

    fn release(&self) -> Result<()> {
        check(sys::semaphore_release(self.0.0)).map(|_| ())
    }

    fn forget(&self) {
        sys::semaphore_forget(self.0.0);
    }

    fn available(&self) -> usize {
        usize::try_from(sys::semaphore_available(self.0.0)).unwrap_or(0)
    }
}

impl RawEvent for GuestEvent {
    fn set(&self) {
        sys::event_set(self.0.0);
    }

    fn clear(&self) {
        sys::event_clear(self.0.0);
    }

    fn is_set(&self) -> bool {
        sys::event_is_set(self.0.0) == 1
    }

    fn wait(&self, wait: Wait) -> Result<()> {
        if self.is_set() {
            return Ok(());
        }
        if wait.is_never() {
            return Err(Error::TimedOut);
        }
        check(sys::event_wait(self.0.0, wait.to_nanos())).map(|_| ())
    }
}

impl RawQueue for GuestQueue {
    fn put(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()> {
        put(&self.0, bytes, handles, wait)
    }

    fn get(&self, into: &mut Message, wait: Wait) -> Result<()> {
        get(&self.0, into, wait)
    }

    fn len(&self) -> usize {
        usize::try_from(sys::queue_len(self.0.0)).unwrap_or(0)
    }

    fn bounds(&self) -> Bounds {
        match sys::queue_bounds(self.0.0) {
            Ok(bounds) => Bounds::new(
                usize::try_from(bounds.messages).ok(),
                usize::try_from(bounds.bytes).unwrap_or(0),
            ),
            Err(_) => Bounds::default(),
        }
    }

    fn close(&self) {
        sys::queue_close(self.0.0);
    }
}

impl RawPipe for GuestPipe {
    fn send(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()> {
        put(&self.0, bytes, handles, wait)
    }

    fn recv(&self, into: &mut Message, wait: Wait) -> Result<()> {
        get(&self.0, into, wait)
    }

    fn poll(&self, wait: Wait) -> Result<()> {
        sys::wait_any(&[self.0.0], wait).map(|_| ())
    }
}
