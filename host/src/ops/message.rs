//! Messages: into and out of queues, pipes and listeners.
//!
//! Who comes to a listener is received from it, as a message that carries an end of a pipe.

use super::error::{Error, Result};
use super::foreign;
use super::wait::within;
use crate::account::Account;
use crate::blocked::Server;
use crate::channel::Channel;
use crate::connection::HostListener;
use crate::foreign::Foreign;
use crate::message::Body;
use crate::object::{Object, Stored};
use crate::pipe::PipeEnd;
use crate::state::{Standing, State};
use crate::table::Table;
use crate::waiting::number;
use procbox_core::Wait;
use procbox_core::observe::Operation;
use std::sync::Arc;

/// The error of a wait that ran out: a queue has its own.
fn spent(error: procbox_core::Error, instead: procbox_core::Error) -> procbox_core::Error {
    if error == procbox_core::Error::TimedOut { instead } else { error }
}

/// Where a message is sent.
pub(crate) struct Outgoing<'a> {
    to: To<'a>,
    is_queue: bool,
}

enum To<'a> {
    Own(&'a Channel<Stored>),
    Foreign(&'a Arc<Foreign>),
}

/// Where a message of this size is sent by a handle, if it will ever fit there.
#[inline]
pub(crate) fn outgoing(table: &Table, handle: i32, size: usize) -> Result<Outgoing<'_>> {
    let (channel, is_queue) = match table.get(handle) {
        Some(Object::Queue(queue)) => (queue, true),
        Some(Object::Pipe(end)) => (end.outgoing()?, false),
        Some(Object::Listener(_)) => return Err(procbox_core::Error::Closed.into()),
        _ => {
            let (foreign, is_queue) = foreign::carrier(table, handle)?;
            foreign.check_size(size)?;
            return Ok(Outgoing { to: To::Foreign(foreign), is_queue });
        }
    };
    channel.check_size(size)?;
    Ok(Outgoing { to: To::Own(channel), is_queue })
}

/// A message of the process: its bytes, charged to its tree, and what its `n` handles stand for. The
/// process keeps its own.
#[inline]
pub(crate) fn pack(
    state: &State,
    bytes: &[u8],
    n: usize,
    handles: impl Iterator<Item = i32>,
) -> Result<Stored> {
    let body = match Body::needs_charge(bytes.len(), n) {
        false => bytes.into(),
        true => Body::charged(bytes, Body::charge(bytes.len(), n, state.account())?),
    };
    state.work.bytes(bytes.len());
    state.work.handles(n);
    let object = |handle| match state.table.get(handle) {
        Some(object) if object.travels() => Ok(object.clone()),
        _ => Err(Error::BadHandle),
    };
    Ok(Stored { body, objects: handles.map(object).collect::<Result<_>>()? })
}

impl Outgoing<'_> {
    /// The error when there is no room.
    fn full(&self) -> procbox_core::Error {
        if self.is_queue { procbox_core::Error::Full } else { procbox_core::Error::TimedOut }
    }

    /// Sends a message if there is room.
    #[inline]
    pub(crate) fn try_put(self, account: &Arc<Account>, stored: Stored) -> Result<()> {
        match self.to {
            To::Own(channel) => match channel.try_put(&mut Some(stored)) {
                None => Err(self.full().into()),
                Some(put) => Ok(put?),
            },
            To::Foreign(foreign) => foreign::try_put(foreign, account, &stored),
        }
    }

    /// Sends a message for a process, waiting.
    pub(crate) async fn put(self, state: Standing<'_>, stored: Stored, wait: Wait) -> Result<()> {
        let operation = if self.is_queue { Operation::QueuePut } else { Operation::PipeSend };
        let channel = match self.to {
            To::Own(channel) => channel,
            To::Foreign(foreign) => {
                let put = foreign::put(state, foreign, operation, &stored, wait).await;
                return Ok(put.map_err(|e| spent(e, self.full()))?);
            }
        };
        let on = (operation, number(channel));
        let servers = || vec![channel.takers()];
        let put = within(state, wait, on, servers, channel.put(stored)).await;
        Ok(put.map_err(|e| spent(e, self.full()))?)
    }
}

/// Where a message is received from.
enum Incoming<'a> {
    Queue(&'a Channel<Stored>),
    Pipe(&'a Channel<Stored>),
    Listener(&'a HostListener),
    Foreign(&'a Arc<Foreign>, bool),
}

#[inline]
fn incoming(table: &Table, handle: i32) -> Result<Incoming<'_>> {
    match table.get(handle) {
        Some(Object::Queue(queue)) => Ok(Incoming::Queue(queue)),
        Some(Object::Pipe(end)) => Ok(Incoming::Pipe(end.incoming()?)),
        Some(Object::Listener(listener)) => Ok(Incoming::Listener(listener)),
        _ => foreign::carrier(table, handle)
            .map(|(foreign, is_queue)| Incoming::Foreign(foreign, is_queue)),
    }
}

fn arrival(end: Arc<PipeEnd>) -> Stored {
    Stored { body: Body::default(), objects: vec![Object::Pipe(end)] }
}

/// Receives a message if there is one.
#[inline]
pub(crate) fn try_get(state: &State, handle: i32) -> Result<Stored> {
    use procbox_core::Error::{Empty, TimedOut};
    Ok(match incoming(&state.table, handle)? {
        Incoming::Queue(channel) => channel.try_take().unwrap_or(Err(Empty))?,
        Incoming::Pipe(channel) => channel.try_take().unwrap_or(Err(TimedOut))?,
        Incoming::Listener(listener) => {
            arrival(listener.backlog().try_take().unwrap_or(Err(TimedOut))?)
        }
        Incoming::Foreign(foreign, _) => foreign::try_get(foreign, state.account())?,
    })
}

/// Receives a message, waiting.
pub(crate) async fn get(state: &mut State, handle: i32, wait: Wait) -> Result<Stored> {
    use procbox_core::Error::Empty;
    let standing = state.standing();
    Ok(match incoming(&state.table, handle)? {
        Incoming::Queue(channel) => {
            let on = (Operation::QueueGet, number(channel));
            let servers = || vec![channel.putters()];
            let taken = within(standing, wait, on, servers, channel.take()).await;
            taken.map_err(|e| spent(e, Empty))?
        }
        Incoming::Pipe(channel) => {
            let on = (Operation::PipeRecv, number(channel));
            let servers = || vec![channel.putters()];
            within(standing, wait, on, servers, channel.take()).await?
        }
        Incoming::Listener(listener) => {
            let backlog = listener.backlog();
            let on = (Operation::Accept, number(backlog));
            let servers = || vec![Server::Unknown];
            arrival(within(standing, wait, on, servers, backlog.take()).await?)
        }
        Incoming::Foreign(foreign, is_queue) => {
            let got = foreign::get(standing, foreign, is_queue, wait).await;
            got.map_err(|e| if is_queue { spent(e, Empty) } else { e })?
        }
    })
}

/// Keeps a message for the process, in the place of the one that it kept before.
#[inline]
pub(crate) fn keep(state: &mut State, stored: Stored) {
    state.kept = stored;
}

/// The message that is kept for the process, if there is room for its handles.
pub(crate) fn kept(state: &State) -> Result<&Stored> {
    state.table.check_room(state.kept.objects.len())?;
    Ok(&state.kept)
}

/// Gives the process the handles of the kept message, and leaves an empty one.
pub(crate) fn open_kept(state: &mut State) -> Result<Vec<i32>> {
    state.table.reserve(state.kept.objects.len())?;
    let objects = std::mem::take(&mut state.kept).take_objects();
    Ok(objects.into_iter().map(|object| state.table.place(object)).collect())
}
