//! What messages take that processes of a sandbox have sent through queues and pipes of another backend.
//!
//! They lie in that backend's memory, and nobody says here when one is received. But no more of them can be
//! there than the queue has messages, and the oldest go first: so what a tree has sent is a list of sizes,
//! of which as many count, from the end, as the queue has messages at all. It is looked at when the list has
//! doubled, and when the tree is out of what it may have. That is never too little; it is too much where others
//! have sent to the same queue, until it is empty once.
//!
//! A message is counted before it is sent, which is done unlocked: it may wait for one who is stopped. So two
//! that are sent at once may stand in the list in another order than in the queue. As many more count as
//! were ever sent at once beside one.

use crate::account::{Account, HANDLE, MESSAGE, Reserve};
use crate::sync::lock;
use procbox_core::Result;
use procbox_core::raw::Bounds;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

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
    /// Messages that are counted, and are being sent.
    under_way: usize,
    /// The most that were beside another, since the list was empty.
    beside: usize,
}

impl Share {
    fn new(account: &Arc<Account>) -> Share {
        Share {
            account: account.clone(),
            reserve: Reserve::default(),
            sizes: VecDeque::new(),
            most: FEW,
            under_way: 0,
            beside: 0,
        }
    }

    /// Counts a message; whether the tree may have it.
    fn count(&mut self, (bytes, handles): (usize, usize)) -> Result<()> {
        self.account.queued.take(bytes + Bounds::OVERHEAD)?;
        if self.reserve.need(cost(bytes, handles), &self.account) {
            self.beside = self.beside.max(self.under_way);
            self.under_way += 1;
            return Ok(());
        }
        self.account.queued.give(bytes + Bounds::OVERHEAD);
        Err(self.account.exhausted())
    }

    /// One that was counted was sent, or was not.
    fn tried(&mut self, size: (usize, usize), is_sent: bool) {
        self.under_way -= 1;
        if is_sent {
            self.sizes.push_back(size);
        } else {
            self.uncount(size);
        }
    }

    /// Counts one less, which is not in the list.
    fn uncount(&mut self, (bytes, handles): (usize, usize)) {
        self.account.queued.give(bytes + Bounds::OVERHEAD);
        self.reserve.release(cost(bytes, handles), &self.account);
    }

    /// No more than so many are there.
    fn keep(&mut self, there: usize) {
        let most = if there == 0 { 0 } else { there.saturating_add(self.beside) };
        while self.sizes.len() > most
            && let Some(first) = self.sizes.pop_front()
        {
            self.uncount(first);
        }
        if self.sizes.is_empty() {
            self.beside = self.under_way.saturating_sub(1);
        }
        self.most = FEW.max(2 * self.sizes.len());
    }

    /// Whether any of its messages is; if not, the account has all back.
    fn is_left(&mut self) -> bool {
        let is_left = !self.sizes.is_empty() || self.under_way > 0;
        if !is_left {
            self.reserve.clear(&self.account);
        }
        is_left
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.keep(0);
        self.reserve.clear(&self.account);
    }
}

fn cost(bytes: usize, handles: usize) -> usize {
    bytes + MESSAGE + HANDLE * handles
}

impl Sent {
    /// Has a message sent by `send`, for which the tree of this account pays. `there` says how many messages
    /// there are, whoever sent them, and `first` is called when it is the tree's first.
    ///
    /// # Errors
    /// [`procbox_core::Error::Exhausted`], and those of `send`.
    pub(super) fn send(
        &self,
        account: &Arc<Account>,
        size: (usize, usize),
        (there, first): (impl Fn() -> usize, impl FnOnce()),
        send: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let is_first = self.count(account, size, there)?;
        if is_first {
            first();
        }
        let sent = send();
        let mut shares = lock(&self.0);
        // It is there as long as one of its messages is under way.
        if let Some(share) = shares.iter_mut().find(|share| Arc::ptr_eq(&share.account, account)) {
            share.tried(size, sent.is_ok());
        }
        sent
    }

    /// Counts a message that is to be sent; whether its tree had none there.
    fn count(
        &self,
        account: &Arc<Account>,
        size: (usize, usize),
        there: impl Fn() -> usize,
    ) -> Result<bool> {
        let mut shares = lock(&self.0);
        let known = shares.iter().position(|share| Arc::ptr_eq(&share.account, account));
        let at = known.unwrap_or_else(|| {
            if shares.len() == shares.capacity() {
                // Trees come and go: those of whose messages none is left are forgotten.
                let there = there();
                shares.iter_mut().for_each(|share| share.keep(there));
                shares.retain_mut(Share::is_left);
            }
            shares.push(Share::new(account));
            shares.len() - 1
        });
        let share = &mut shares[at];
        if share.sizes.len() >= share.most {
            share.keep(there());
        }
        let counted = share.count(size).or_else(|_| {
            share.keep(there());
            share.count(size)
        });
        if counted.is_err() && known.is_none() {
            shares.pop();
        }
        counted.map(|()| known.is_none())
    }

    /// Looks how many messages are there still; whether there are any. A tree that has none there has to
    /// be told of the next.
    pub(super) fn settle(&self, there: impl Fn() -> usize) -> bool {
        let mut shares = lock(&self.0);
        // Not before: what is counted meanwhile would not be there.
        let there = if shares.is_empty() { 0 } else { there() };
        shares.iter_mut().for_each(|share| share.keep(there));
        shares.retain_mut(Share::is_left);
        !shares.is_empty()
    }
}
