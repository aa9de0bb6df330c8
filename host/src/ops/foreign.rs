//! Primitives of another backend, on a bridge: each operation of the other files here, on such a one.
//!
//! Those who come here have found that a handle is not one of this sandbox's own: what costs time here
//! costs those nothing.

use super::error::{Error, Result};
use super::wait::within;
use crate::account::{Account, HANDLE, OBJECT};
use crate::blocked::Server;
use crate::foreign::{self, Foreign};
use crate::message::Body;
use crate::object::{Object, Stored};
use crate::state::{Standing, State};
use crate::table::Table;
use crate::waiting::number;
use procbox_core::Error::{Empty, Full, TimedOut};
use procbox_core::Wait;
use procbox_core::observe::Operation;
use procbox_core::raw::{
    Acquired, AtomicOp, Handle, Lent, Message, RawContext, RawEvent, RawLock, RawQueue, RawRegion,
    RawSemaphore, Side,
};
use std::cell::RefCell;
use std::sync::Arc;

/// What a lock, semaphore or event takes there, and the handle's own side of it.
pub(super) const SMALL: usize = 2 * OBJECT;
/// What a queue does, or one direction of a pipe, which has room for messages from the start.
pub(super) const RING: usize = (64 << 10) + SMALL;

/// A buffer for messages that is not let go of when it has at most so many bytes.
const KEPT: usize = 64 << 10;

thread_local! {
    /// What is received is received into this.
    static BUFFER: RefCell<Message> = RefCell::default();
}

/// Makes something there, for which the process's tree pays so much.
pub(super) fn new(
    state: &mut State,
    size: usize,
    make: impl FnOnce(&dyn RawContext) -> procbox_core::Result<Handle>,
) -> Result<i32> {
    let object = make_one(state, size, make)?;
    Ok(state.table.insert(object)?)
}

fn make_one(
    state: &State,
    size: usize,
    make: impl FnOnce(&dyn RawContext) -> procbox_core::Result<Handle>,
) -> Result<Object> {
    let maker = state.environment.maker().ok_or(Error::BadHandle)?;
    let charge = state.account().charge(size)?;
    // Before there is something that would have no handle.
    state.table.check_room(1)?;
    let handle = make(&**maker)?;
    let runtime = state.runtime();
    Ok(Object::Foreign(runtime.known().made(maker, &handle, runtime, charge)?))
}

/// A new pipe there.
pub(super) fn new_pipe(state: &mut State, duplex: bool) -> Result<(i32, i32)> {
    state.table.check_room(2)?;
    let mut other = None;
    let first = make_one(state, 2 * RING, |maker| {
        let (first, second) = maker.pipe(duplex)?;
        other = Some(second);
        Ok(Handle::Pipe(first))
    })?;
    let second = other.ok_or(Error::BadHandle)?;
    let second = make_one(state, SMALL, |_| Ok(Handle::Pipe(second)))?;
    state.table.reserve(2)?;
    Ok((state.table.place(first), state.table.place(second)))
}

fn find(table: &Table, handle: i32) -> Result<&Arc<Foreign>> {
    match table.get(handle) {
        Some(Object::Foreign(foreign)) => Ok(foreign),
        _ => Err(Error::BadHandle),
    }
}

/// A try that did not wait: `None` if it would have to.
fn now<T>(
    tried: procbox_core::Result<T>,
    would_wait: procbox_core::Error,
) -> Option<procbox_core::Result<T>> {
    match tried {
        Err(e) if e == would_wait => None,
        other => Some(other),
    }
}

/// Nobody here can know who ends such a wait.
fn unknown() -> Vec<Server> {
    vec![Server::Unknown]
}

fn as_lock(table: &Table, handle: i32) -> Result<(&Arc<Foreign>, &Arc<dyn RawLock>)> {
    let foreign = find(table, handle)?;
    match foreign.handle() {
        Handle::Lock(raw) => Ok((foreign, raw)),
        _ => Err(Error::BadHandle),
    }
}

/// Takes a lock if it is free.
#[cold]
pub(super) fn try_lock(state: &State, handle: i32) -> Result<Acquired> {
    let (foreign, raw) = as_lock(&state.table, handle)?;
    Ok(foreign.try_lock(raw, state.holder())?)
}

/// Takes a lock, waiting.
pub(super) async fn lock(state: &mut State, handle: i32, wait: Wait) -> Result<Acquired> {
    let me = state.holder();
    let (foreign, raw) = as_lock(&state.table, handle)?;
    let on = (Operation::LockAcquire, number(&**foreign));
    let acquired = foreign.until(Side::Items, || now(foreign.try_lock(raw, me), TimedOut));
    Ok(within(state.standing(), wait, on, unknown, acquired).await?)
}

/// Gives a lock back.
#[cold]
pub(super) fn unlock(state: &State, handle: i32) -> Result<()> {
    let (foreign, raw) = as_lock(&state.table, handle)?;
    Ok(foreign.unlock(raw, state.holder(), false)?)
}

fn as_semaphore(table: &Table, handle: i32) -> Result<(&Arc<Foreign>, &Arc<dyn RawSemaphore>)> {
    let foreign = find(table, handle)?;
    foreign::semaphore(foreign).map(|raw| (foreign, raw)).ok_or(Error::BadHandle)
}

/// Takes a permit if there is one.
#[cold]
pub(super) fn try_acquire(state: &mut State, handle: i32) -> Result<()> {
    let (foreign, raw) = as_semaphore(&state.table, handle)?;
    raw.acquire(Wait::Never)?;
    state.foreign_permits.took(foreign);
    Ok(())
}

/// Takes a permit, waiting.
pub(super) async fn acquire(state: &mut State, handle: i32, wait: Wait) -> Result<()> {
    let (foreign, raw) = as_semaphore(&state.table, handle)?;
    let on = (Operation::SemaphoreAcquire, number(&**foreign));
    let acquired = foreign.until(Side::Items, || now(raw.acquire(Wait::Never), TimedOut));
    within(state.standing(), wait, on, unknown, acquired).await?;
    state.foreign_permits.took(foreign);
    Ok(())
}

/// Gives a permit back.
#[cold]
pub(super) fn release(state: &mut State, handle: i32) -> Result<()> {
    let (foreign, raw) = as_semaphore(&state.table, handle)?;
    state.foreign_permits.gave(foreign);
    Ok(raw.release()?)
}

/// Turns a permit of the process into one that does not come back.
pub(super) fn forget(state: &mut State, handle: i32) -> Result<()> {
    let (foreign, raw) = as_semaphore(&state.table, handle)?;
    // Of those that the program has there, one that another process here has is not this one's to forget.
    if state.foreign_permits.gave(foreign) {
        raw.forget();
    }
    Ok(())
}

/// Permits that are free now.
pub(super) fn available(state: &State, handle: i32) -> Result<usize> {
    Ok(as_semaphore(&state.table, handle)?.1.available())
}

/// An event.
pub(super) fn event(table: &Table, handle: i32) -> Result<(&Arc<Foreign>, &Arc<dyn RawEvent>)> {
    let foreign = find(table, handle)?;
    match foreign.handle() {
        Handle::Event(raw) => Ok((foreign, raw)),
        _ => Err(Error::BadHandle),
    }
}

/// Waits until an event is set, or has been since the call.
pub(super) async fn wait_set(state: &mut State, handle: i32, wait: Wait) -> Result<()> {
    let (foreign, raw) = event(&state.table, handle)?;
    let on = (Operation::EventWait, number(&**foreign));
    let before = raw.times_set();
    let is_due = || (raw.is_set() || raw.times_set() != before).then_some(Ok(()));
    Ok(within(state.standing(), wait, on, unknown, foreign.until(Side::Items, is_due)).await?)
}

/// A queue.
pub(super) fn queue(table: &Table, handle: i32) -> Result<&dyn RawQueue> {
    match find(table, handle)?.handle() {
        Handle::Queue(raw) => Ok(&**raw),
        _ => Err(Error::BadHandle),
    }
}

/// A region.
pub(super) fn region(table: &Table, handle: i32) -> Result<(&Arc<Foreign>, &Arc<dyn RawRegion>)> {
    let foreign = find(table, handle)?;
    match foreign.handle() {
        Handle::Region(raw) => Ok((foreign, raw)),
        _ => Err(Error::BadHandle),
    }
}

/// Waits until the word of a region at an offset is another than this.
pub(super) async fn wait_word(
    state: &mut State,
    handle: i32,
    (at, is): (usize, u64),
    wait: Wait,
) -> Result<()> {
    let (foreign, raw) = region(&state.table, handle)?;
    let on = (Operation::RegionWait, number(&**foreign));
    let is_another = || match raw.atomic(at, AtomicOp::Load) {
        Ok(word) => (word != is).then_some(Ok(())),
        Err(e) => Some(Err(e)),
    };
    Ok(within(state.standing(), wait, on, unknown, foreign.until(Side::Items, is_another)).await?)
}

/// Something that carries messages; whether it is a queue.
pub(super) fn carrier(table: &Table, handle: i32) -> Result<(&Arc<Foreign>, bool)> {
    let foreign = find(table, handle)?;
    match foreign.handle() {
        Handle::Queue(_) => Ok((foreign, true)),
        Handle::Pipe(_) => Ok((foreign, false)),
        _ => Err(Error::BadHandle),
    }
}

/// The handles of a message, if all can cross.
fn handles(stored: &Stored) -> procbox_core::Result<Vec<Handle>> {
    stored.objects.iter().map(Object::foreign_handle).collect()
}

/// Sends a message if there is room.
pub(super) fn try_put(
    foreign: &Arc<Foreign>,
    account: &Arc<Account>,
    stored: &Stored,
) -> Result<()> {
    Ok(foreign.try_send(account, &stored.body, &handles(stored)?)?)
}

/// Sends a message for a process, waiting.
pub(super) async fn put(
    standing: Standing<'_>,
    foreign: &Arc<Foreign>,
    operation: Operation,
    stored: &Stored,
    wait: Wait,
) -> procbox_core::Result<()> {
    let handles = handles(stored)?;
    let full = if operation == Operation::QueuePut { Full } else { TimedOut };
    let account = &standing.process.tree.account;
    let put = foreign
        .until(Side::Room, || now(foreign.try_send(account, &stored.body, &handles), full.clone()));
    within(standing, wait, (operation, number(&**foreign)), unknown, put).await
}

/// Receives a message for a tree, if there is one.
pub(super) fn try_get(foreign: &Foreign, account: &Arc<Account>) -> procbox_core::Result<Stored> {
    if account.is_overdrawn() && !account.make_room() && account.is_overdrawn() {
        return Err(account.exhausted());
    }
    BUFFER.with_borrow_mut(|message| {
        let lent = foreign.try_receive(message)?;
        let objects = message.handles.drain(..);
        let objects = objects.map(|handle| Object::of_another(&handle, &foreign.runtime));
        let objects = objects.collect::<procbox_core::Result<Vec<_>>>();
        let n = objects.as_ref().map_or(0, Vec::len);
        let bytes = lent.as_ref().map_or(&message.bytes[..], Lent::bytes);
        // It has left its queue, and is not to be lost: what is too much is refused before the next.
        let body = match Body::needs_charge(bytes.len(), n) {
            false => Body::from(bytes),
            true => Body::charged(bytes, account.overdraw(bytes.len() + HANDLE * n)),
        };
        if message.bytes.capacity() > KEPT {
            message.bytes = Vec::new();
        }
        Ok(Stored { body, objects: objects? })
    })
}

/// Receives a message for a process, waiting.
pub(super) async fn get(
    standing: Standing<'_>,
    foreign: &Arc<Foreign>,
    is_queue: bool,
    wait: Wait,
) -> procbox_core::Result<Stored> {
    let (operation, empty) = match is_queue {
        true => (Operation::QueueGet, Empty),
        false => (Operation::PipeRecv, TimedOut),
    };
    let account = &standing.process.tree.account;
    let got = foreign.until(Side::Items, || now(try_get(foreign, account), empty.clone()));
    within(standing, wait, (operation, number(&**foreign)), unknown, got).await
}
