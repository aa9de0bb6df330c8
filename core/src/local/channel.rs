//! A channel: what queues, pipes, connections and the backlogs of listeners are made of.

use super::sleep::{WaitList, block, number};
use crate::observe::Operation;
use crate::raw::{Bounds, Side, Watch};
use crate::sync::lock;
use crate::{Error, Result, Wait};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::Waker;

/// A thing that can be in a channel.
pub(super) trait Item {
    /// The bytes of it that count against the channel's bound.
    fn size(&self) -> usize;
}

/// A copy of bytes, if there is memory for it.
///
/// # Errors
/// [`Error::Exhausted`].
pub(super) fn copy(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut copy = Vec::new();
    let room = copy.try_reserve_exact(bytes.len());
    room.map_err(|_| Error::Exhausted(format!("memory for a message of {} bytes", bytes.len())))?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

pub(super) struct Channel<T> {
    bounds: Bounds,
    items: Mutex<Items<T>>,
    /// An item came, or it was closed.
    pub(super) filled: Arc<WaitList>,
    /// There is room, or it was closed.
    drained: Arc<WaitList>,
}

struct Items<T> {
    queued: VecDeque<T>,
    /// The bytes of all together.
    bytes: usize,
    closed: bool,
}

impl<T: Item> Channel<T> {
    pub(super) fn new(bounds: Bounds) -> Channel<T> {
        Channel {
            bounds,
            items: Mutex::new(Items { queued: VecDeque::new(), bytes: 0, closed: false }),
            filled: WaitList::new(),
            drained: WaitList::new(),
        }
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.bounds
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.items).queued.len()
    }

    /// True if a take would not block.
    pub(super) fn is_ready(&self) -> bool {
        let items = lock(&self.items);
        items.closed || !items.queued.is_empty()
    }

    /// Says whether an item of this size will ever fit.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub(super) fn check_size(&self, size: usize) -> Result<()> {
        let limit = self.bounds.bytes;
        if size > limit { Err(Error::TooLarge { size, limit }) } else { Ok(()) }
    }

    /// Appends an item, which is made when there is room.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Closed`], [`Error::TooLarge`], [`Error::Interrupted`], and those of
    /// `make`.
    pub(super) fn put(
        &self,
        size: usize,
        wait: Wait,
        operation: Operation,
        mut make: impl FnMut() -> Result<T>,
    ) -> Result<()> {
        self.check_size(size)?;
        block(wait, (operation, number(self)), &[&self.drained], || {
            let mut items = lock(&self.items);
            if items.closed {
                return Some(Err(Error::Closed));
            }
            if items.bytes + size > self.bounds.bytes
                || items.queued.len() >= self.bounds.most_messages()
            {
                return None;
            }
            let made = make().map(|item| {
                items.bytes += size;
                items.queued.push_back(item);
            });
            Some(made)
        })?;
        self.filled.wake();
        Ok(())
    }

    /// Takes the oldest item.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; [`Error::Closed`] when it is closed and drained; [`Error::Interrupted`].
    pub(super) fn take(&self, wait: Wait, operation: Operation) -> Result<T> {
        let item = block(wait, (operation, number(self)), &[&self.filled], || {
            let mut items = lock(&self.items);
            match items.queued.pop_front() {
                Some(item) => {
                    items.bytes -= item.size();
                    Some(Ok(item))
                }
                None => items.closed.then_some(Err(Error::Closed)),
            }
        })?;
        self.drained.wake();
        Ok(item)
    }

    /// Waits until a take would not block.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Interrupted`].
    pub(super) fn poll(&self, wait: Wait, operation: Operation) -> Result<()> {
        let on = (operation, number(self));
        block(wait, on, &[&self.filled], || self.is_ready().then_some(Ok(())))
    }

    /// Refuses further puts; what is there can be taken.
    pub(super) fn close(&self) {
        lock(&self.items).closed = true;
        self.filled.wake();
        self.drained.wake();
    }

    /// The same, when nobody is left to take anything.
    pub(super) fn abandon(&self) {
        let mut items = lock(&self.items);
        items.bytes = 0;
        let left = std::mem::take(&mut items.queued);
        drop(items);
        self.close();
        // Not under the lock: there may be ends of other channels in there.
        drop(left);
    }

    pub(super) fn watch(&self, side: Side, waker: &Waker) -> Watch {
        match side {
            Side::Items => self.filled.watch(waker),
            Side::Room => self.drained.watch(waker),
        }
    }
}
