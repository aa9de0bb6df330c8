//! Handles, as resources.

use super::bindings::procbox::worker::primitives::{Error, Handle, Lent};
use crate::object::{Object, Stored};
use crate::ops;
use crate::state::State;
use procbox_core::{Wait, raw};
use std::time::Duration;
use wasmtime::component::Resource;

/// What an operation came to: an answer, or the guest's to know why not.
pub(super) type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// The answer of an operation. A resource that stands for nothing is a fault of ours.
pub(super) fn answer<T>(result: ops::Result<T>) -> Answer<T> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(ops::Error::Failed(error)) => Ok(Err(of_error(&error))),
        Err(ops::Error::BadHandle) => Err(wasmtime::Error::msg("a resource stands for nothing")),
    }
}

fn of_error(error: &procbox_core::Error) -> Error {
    use procbox_core::Error as E;
    match error {
        E::TimedOut => Error::TimedOut,
        E::Full => Error::Full,
        E::Empty => Error::Empty,
        E::Closed => Error::Closed,
        E::Interrupted => Error::Interrupted,
        E::Deadlock => Error::Deadlock,
        E::NotHolder => Error::NotHolder,
        E::AlreadyHeld => Error::AlreadyHeld,
        E::Exhausted(_) => Error::Exhausted,
        E::TooLarge { .. } => Error::TooLarge,
        _ => Error::Invalid,
    }
}

/// The wait that a guest's timeout means; `None` if it does not wait at all.
pub(super) fn wait(timeout: Option<u64>) -> Option<Wait> {
    match timeout {
        None => Some(Wait::Forever),
        Some(0) => None,
        Some(nanos) => Some(Wait::AtMost(Duration::from_nanos(nanos))),
    }
}

/// The number of a handle by which its resource is known.
pub(super) fn number<T>(resource: &Resource<T>) -> i32 {
    resource.rep().cast_signed()
}

/// The resource of a handle.
pub(super) fn owned<T: 'static>(handle: i32) -> Resource<T> {
    Resource::new_own(handle.cast_unsigned())
}

/// The number of a handle that is sent.
pub(super) fn lent(lent: &Lent) -> i32 {
    match lent {
        Lent::Lock(own) => number(own),
        Lent::Semaphore(own) => number(own),
        Lent::Event(own) => number(own),
        Lent::Queue(own) => number(own),
        Lent::Pipe(own) => number(own),
    }
}

/// Gives the process the handles of the message that is kept for it, if components have resources for
/// all of them.
pub(super) fn open_kept(state: &mut State) -> ops::Result<Vec<Handle>> {
    let Some(kinds) = state.kept.objects.iter().map(kind).collect::<Option<Vec<_>>>() else {
        return Err(procbox_core::Error::Unsupported("such a handle in a component").into());
    };
    state.work.handles(kinds.len());
    let handles = ops::message::open_kept(state)?;
    Ok(kinds.into_iter().zip(handles).map(|(of, handle)| of(handle)).collect())
}

fn kind(object: &Object) -> Option<fn(i32) -> Handle> {
    Some(match object {
        Object::Lock(_) => |handle| Handle::Lock(owned(handle)),
        Object::Semaphore(_) => |handle| Handle::Semaphore(owned(handle)),
        Object::Event(_) => |handle| Handle::Event(owned(handle)),
        Object::Queue(_) => |handle| Handle::Queue(owned(handle)),
        Object::Pipe(_) => |handle| Handle::Pipe(owned(handle)),
        Object::Foreign(foreign) => return kind_of_another(foreign.handle()),
        // The last two do not travel.
        Object::Ledger(_) | Object::Region(_) | Object::Listener(_) | Object::Process(_) => {
            return None;
        }
    })
}

fn kind_of_another(of: &raw::Handle) -> Option<fn(i32) -> Handle> {
    Some(match of {
        raw::Handle::Lock(_) => |handle| Handle::Lock(owned(handle)),
        raw::Handle::Semaphore(_) => |handle| Handle::Semaphore(owned(handle)),
        raw::Handle::Event(_) => |handle| Handle::Event(owned(handle)),
        raw::Handle::Queue(_) => |handle| Handle::Queue(owned(handle)),
        raw::Handle::Pipe(_) => |handle| Handle::Pipe(owned(handle)),
        _ => return None,
    })
}

/// Keeps for the process what comes with an input, in the place of what came with the one before.
pub(crate) fn hand_out(state: &mut State, objects: Vec<Object>) {
    ops::message::keep(state, Stored { body: Default::default(), objects });
}
