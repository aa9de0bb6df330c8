//! The sandbox's queue, and the channel that pipes are made of too.

use crate::object::Object;
use crate::runtime::{Runtime, lock};
use crate::wait_list::WaitList;
use crate::waiting;
use procbox_core::{Bounds, Error, Handle, Message, RawQueue, Result, Wait};
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

/// A message on its way: it is in here whole, or not at all.
pub(crate) struct Stored {
    pub(crate) body: Body,
    pub(crate) objects: Vec<Object>,
}

/// A message's bytes. Small ones need no allocation.
pub(crate) enum Body {
    Small { len: u8, bytes: [u8; SMALL] },
    Large(Box<[u8]>),
}

/// What fits into a [`Body`] of 80 bytes beside its length and tag.
const SMALL: usize = 78;

impl From<&[u8]> for Body {
    fn from(message: &[u8]) -> Body {
        if message.len() > SMALL {
            return Body::Large(message.into());
        }
        let mut bytes = [0; SMALL];
        bytes[..message.len()].copy_from_slice(message);
        Body::Small { len: message.len() as u8, bytes }
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Body::Small { len, bytes } => &bytes[..usize::from(*len)],
            Body::Large(bytes) => bytes,
        }
    }
}

struct State {
    messages: VecDeque<Stored>,
    /// The bytes of all messages together.
    bytes: usize,
    /// Somebody waits for room in bytes, so that a place may not do for who is woken first.
    short_of_bytes: bool,
    closed: bool,
}

pub(crate) struct HostQueue {
    pub(crate) runtime: Arc<Runtime>,
    bounds: Bounds,
    state: Mutex<State>,
    /// A message came, or it was closed: one taker each.
    filled: WaitList,
    /// There is room, or it was closed.
    drained: WaitList,
    /// For those that look and do not take: woken all at once, so that they keep no taker asleep.
    watched: WaitList,
}

impl HostQueue {
    pub(crate) fn new(runtime: Arc<Runtime>, bounds: Bounds) -> HostQueue {
        HostQueue {
            runtime,
            bounds,
            state: Mutex::new(State {
                messages: VecDeque::new(),
                bytes: 0,
                short_of_bytes: false,
                closed: false,
            }),
            filled: WaitList::new(),
            drained: WaitList::new(),
            watched: WaitList::new(),
        }
    }

    /// Whether a message of this size will ever fit.
    pub(crate) fn check_size(&self, size: usize) -> Result<()> {
        let limit = self.bounds.bytes;
        if size > limit { Err(Error::TooLarge { size, limit }) } else { Ok(()) }
    }

    /// Takes the message out of `slot` if there is room; `None` if there is not.
    pub(crate) fn try_put(&self, slot: &mut Option<Stored>) -> Option<Result<()>> {
        let size = slot.as_ref().map_or(0, |stored| stored.body.len());
        let mut state = lock(&self.state);
        if state.closed {
            return Some(Err(Error::Closed));
        }
        if state.bytes + size > self.bounds.bytes {
            state.short_of_bytes = true;
            return None;
        }
        if self.bounds.messages.is_some_and(|most| state.messages.len() >= most) {
            return None;
        }
        if let Some(stored) = slot.take() {
            state.bytes += size;
            state.messages.push_back(stored);
        }
        drop(state);
        self.filled.wake_ordered(1);
        self.watched.wake_ordered(usize::MAX);
        Some(Ok(()))
    }

    pub(crate) async fn put_stored(&self, stored: Stored) -> Result<()> {
        let mut slot = Some(stored);
        waiting::until(&self.runtime, &self.drained, || self.try_put(&mut slot)).await
    }

    /// `None` if there is no message.
    pub(crate) fn try_take(&self) -> Option<Result<Stored>> {
        let mut state = lock(&self.state);
        match state.messages.pop_front() {
            Some(stored) => {
                state.bytes -= stored.body.len();
                // Room in bytes may let several in, or another than who is first; a place lets in one.
                let all = std::mem::take(&mut state.short_of_bytes);
                drop(state);
                self.drained.wake_ordered(if all { usize::MAX } else { 1 });
                Some(Ok(stored))
            }
            None if state.closed => Some(Err(Error::Closed)),
            None => None,
        }
    }

    pub(crate) async fn take(&self) -> Result<Stored> {
        waiting::until(&self.runtime, &self.filled, || self.try_take()).await
    }

    /// Whether a take would not wait.
    pub(crate) fn is_ready(&self) -> bool {
        let state = lock(&self.state);
        state.closed || !state.messages.is_empty()
    }

    pub(crate) fn watched(&self) -> &WaitList {
        &self.watched
    }

    pub(crate) fn close_now(&self) {
        lock(&self.state).closed = true;
        self.wake_all();
    }

    /// Closes it and drops what is in it: nobody will take it.
    pub(crate) fn abandon(&self) {
        let dropped = {
            let mut state = lock(&self.state);
            state.closed = true;
            state.bytes = 0;
            std::mem::take(&mut state.messages)
        };
        // Dropped unlocked: a message may carry the last handle of this very channel's other end.
        drop(dropped);
        self.wake_all();
    }

    fn wake_all(&self) {
        self.filled.wake_ordered(usize::MAX);
        self.drained.wake_ordered(usize::MAX);
        self.watched.wake_ordered(usize::MAX);
    }

    pub(crate) fn put_handles(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()> {
        self.check_size(bytes.len())?;
        let objects = Object::from_handles(handles, &self.runtime)?;
        let mut slot = Some(Stored { body: bytes.into(), objects });
        if let Some(answer) = self.try_put(&mut slot) {
            return answer;
        }
        let attempt = || None;
        let put = move || async move {
            waiting::until(&self.runtime, &self.drained, || self.try_put(&mut slot)).await
        };
        waiting::block(&self.runtime, wait, attempt, put)
    }

    pub(crate) fn get_handles(&self, into: &mut Message, wait: Wait) -> Result<()> {
        let stored = waiting::block(&self.runtime, wait, || self.try_take(), || self.take())?;
        into.bytes.clear();
        into.bytes.extend_from_slice(&stored.body);
        into.handles = Object::into_handles(stored.objects);
        Ok(())
    }
}

impl RawQueue for HostQueue {
    fn put(&self, bytes: &[u8], handles: &[Handle], wait: Wait) -> Result<()> {
        self.put_handles(bytes, handles, wait).map_err(|e| timed_out_is(e, Error::Full))
    }

    fn get(&self, into: &mut Message, wait: Wait) -> Result<()> {
        self.get_handles(into, wait).map_err(|e| timed_out_is(e, Error::Empty))
    }

    fn len(&self) -> usize {
        lock(&self.state).messages.len()
    }

    fn bounds(&self) -> Bounds {
        self.bounds
    }

    fn close(&self) {
        self.close_now();
    }
}

/// A queue has its own words for a wait that ran out.
pub(crate) fn timed_out_is(error: Error, instead: Error) -> Error {
    if error == Error::TimedOut { instead } else { error }
}
