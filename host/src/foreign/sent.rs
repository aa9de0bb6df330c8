//! What messages take that processes of a sandbox have sent through queues and pipes of another backend.
//!
//! They lie in that backend's memory, and nobody says here when one is received. But no more of them can be
//! there than the queue has messages, and the oldest go first: so what a tree has sent is a list of sizes,
//! of which as many count, from the end, as the queue has messages at all. It is looked at when the list has
//! doubled, and when the tree is out of what it may have. That is never too little; it is too much where others
//! have sent to the same queue, until it is empty once.

use super::Foreign;
use crate::account::{Account, HANDLE, MESSAGE, Reserve};
use crate::sync::lock;
use procbox_core::Result;
use procbox_core::raw::Bounds;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The least after which it is looked how many messages are there still.
const FEW: usize = 64;

/// What each tree has sent.
#[derive(Default)]
pub(super) struct Sent(Mutex<Vec<Share>>);

/// What one tree has.
struct Share {
    account: Arc<Account>,
    reserve: Reserve,
    /// By message, in the order in which they were sent: its bytes, and its handles.
    sizes: VecDeque<(usize, usize)>,
    /// How long that may become before it is looked at.
    most: usize,
}

impl Share {
    /// Counts a message; whether the tree may have it.
    fn count(&mut self, (bytes, handles): (usize, usize)) -> Result<()> {
        self.account.queued.take(bytes + Bounds::OVERHEAD)?;
        if self.reserve.need(cost(bytes, handles), &self.account) {
            self.sizes.push_back((bytes, handles));
            return Ok(());
        }
        self.account.queued.give(bytes + Bounds::OVERHEAD);
        Err(self.account.exhausted())
    }

    /// Counts one less, which is no more in the list.
    fn uncount(&mut self, (bytes, handles): (usize, usize)) {
        self.account.queued.give(bytes + Bounds::OVERHEAD);
        self.reserve.release(cost(bytes, handles), &self.account);
    }

    /// No more than so many are there.
    fn keep(&mut self, most: usize) {
        while self.sizes.len() > most
            && let Some(first) = self.sizes.pop_front()
        {
            self.uncount(first);
        }
        self.most = FEW.max(2 * self.sizes.len());
    }

    /// Whether any of its messages is; if not, the account has all back.
    fn is_left(&mut self) -> bool {
        if self.sizes.is_empty() {
            self.reserve.clear(&self.account);
        }
        !self.sizes.is_empty()
    }
}

fn cost(bytes: usize, handles: usize) -> usize {
    bytes + MESSAGE + HANDLE * handles
}

impl Sent {
    /// Has a message sent by `send`, for which the tree of this account pays. `there` says how many messages
    /// there are, whoever sent them.
    ///
    /// # Errors
    /// [`Error::Exhausted`], and those of `send`.
    pub(super) fn send(
        &self,
        foreign: &Arc<Foreign>,
        account: &Arc<Account>,
        size: (usize, usize),
        there: impl Fn() -> usize,
        send: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let mut shares = lock(&self.0);
        let known = shares.iter().position(|share| Arc::ptr_eq(&share.account, account));
        let at = known.unwrap_or_else(|| {
            if shares.len() == shares.capacity() {
                // Trees come and go: those of whose messages none is left are forgotten.
                let there = there();
                shares.iter_mut().for_each(|share| share.keep(there));
                shares.retain_mut(Share::is_left);
            }
            let place: Weak<Foreign> = Arc::downgrade(foreign);
            account.sends_to(place);
            let (reserve, sizes) = (Reserve::default(), VecDeque::new());
            shares.push(Share { account: account.clone(), reserve, sizes, most: FEW });
            shares.len() - 1
        });
        let share = &mut shares[at];
        if share.sizes.len() >= share.most {
            share.keep(there());
        }
        if share.count(size).is_err() {
            share.keep(there());
            share.count(size)?;
        }
        let sent = send();
        if sent.is_err()
            && let Some(last) = share.sizes.pop_back()
        {
            share.uncount(last);
        }
        sent
    }

    /// Looks how many messages there are still; whether there are any. A tree that has none there has to
    /// be told of the next.
    pub(super) fn settle(&self, there: impl Fn() -> usize) -> bool {
        // Whoever sends just now looks itself.
        let Ok(mut shares) = self.0.try_lock() else { return true };
        let there = if shares.is_empty() { 0 } else { there() };
        shares.iter_mut().for_each(|share| share.keep(there));
        shares.retain_mut(Share::is_left);
        !shares.is_empty()
    }

    /// Nobody here can send any more, nor look: what is there still stays counted until its tree has ended.
    pub(super) fn end(&mut self, there: usize) {
        let shares = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for mut share in shares.drain(..) {
            share.keep(there);
            share.is_left();
        }
    }
}
