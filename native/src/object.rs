//! Between core's handles and offsets in the arena.

use crate::arena::Arena;
use crate::arena::layout::Tag;
use crate::arena::table::Held;
use crate::event::NativeEvent;
use crate::lock::NativeLock;
use crate::pipe::NativePipe;
use crate::queue::NativeQueue;
use crate::segment::MOST_HANDLES;
use crate::semaphore::NativeSemaphore;
use procbox_core::{Error, Handle, Result};
use std::any::Any;
use std::sync::Arc;

/// The object behind a handle; `None` if another backend made it.
fn held(handle: &Handle) -> Option<&Arc<Held>> {
    fn of<T: Any>(raw: &dyn Any) -> Option<&T> {
        raw.downcast_ref()
    }
    match handle {
        Handle::Lock(raw) => of::<NativeLock>(&**raw as &dyn Any).map(|o| &o.0),
        Handle::Semaphore(raw) => of::<NativeSemaphore>(&**raw as &dyn Any).map(|o| &o.0),
        Handle::Event(raw) => of::<NativeEvent>(&**raw as &dyn Any).map(|o| &o.0),
        Handle::Queue(raw) => of::<NativeQueue>(&**raw as &dyn Any).map(|o| &o.0),
        Handle::Pipe(raw) => of::<NativePipe>(&**raw as &dyn Any).map(|o| &o.0),
        _ => None,
    }
}

/// The offsets of objects that are to travel.
///
/// # Errors
/// [`Error::ForeignHandle`] for one of another context, [`Error::Invalid`] for too many.
pub(crate) fn offsets(arena: &Arc<Arena>, handles: &[Handle]) -> Result<Vec<u64>> {
    if handles.len() > MOST_HANDLES {
        return Err(Error::Invalid(format!("a message carries at most {MOST_HANDLES} handles")));
    }
    let offset = |handle| match held(handle) {
        Some(held) if Arc::ptr_eq(&held.arena, arena) => Ok(held.offset),
        _ => Err(Error::ForeignHandle),
    };
    handles.iter().map(offset).collect()
}

/// The handle for an object of this process.
pub(crate) fn handle(held: Arc<Held>) -> Option<Handle> {
    let tag = held.arena.tag(held.offset)?;
    Some(match tag {
        Tag::LOCK => Handle::Lock(Arc::new(NativeLock(held))),
        Tag::SEMAPHORE => Handle::Semaphore(Arc::new(NativeSemaphore(held))),
        Tag::EVENT => Handle::Event(Arc::new(NativeEvent(held))),
        Tag::QUEUE => Handle::Queue(Arc::new(NativeQueue(held))),
        Tag::END => Handle::Pipe(Arc::new(NativePipe(held))),
        _ => return None,
    })
}
