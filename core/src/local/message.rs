//! Messages between threads: bytes that are copied once, and handles that are the things themselves, of one
//! family.

use super::Home;
use super::channel::Item;
use super::event::LocalEvent;
use super::ledger::LocalLedger;
use super::life::same_home;
use super::lock::LocalLock;
use super::pipe::LocalPipe;
use super::queue::LocalQueue;
use super::region::LocalRegion;
use super::semaphore::LocalSemaphore;
use crate::Result;
use crate::raw::{Handle, Message};
use std::any::Any;
use std::sync::Arc;

impl Item for Message {
    fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// The context's family that a handle is of, if it is one of this backend.
fn home_of(handle: &Handle) -> Option<&Arc<Home>> {
    fn of<T: Any>(raw: &dyn Any) -> Option<&T> {
        raw.downcast_ref()
    }
    match handle {
        Handle::Lock(raw) => of(&**raw).map(|it: &LocalLock| &it.home),
        Handle::Semaphore(raw) => of(&**raw).map(|it: &LocalSemaphore| &it.home),
        Handle::Event(raw) => of(&**raw).map(|it: &LocalEvent| &it.home),
        Handle::Queue(raw) => of(&**raw).map(|it: &LocalQueue| &it.home),
        Handle::Pipe(raw) => of(&**raw).map(|it: &LocalPipe| &it.home),
        Handle::Ledger(raw) => of(&**raw).map(|it: &LocalLedger| &it.home),
        Handle::Region(raw) => of(&**raw).map(|it: &LocalRegion| &it.home),
    }
}

/// Checks that all handles of a message are of this family.
///
/// # Errors
/// [`crate::Error::ForeignHandle`].
pub(super) fn check(home: &Arc<Home>, handles: &[Handle]) -> Result<()> {
    handles.iter().try_for_each(|handle| same_home(home, home_of(handle)))
}
