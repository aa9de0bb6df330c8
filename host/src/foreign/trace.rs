//! What trees pay for a primitive of another backend: for itself, if a process of theirs has made it, and for
//! what they have sent to it.
//!
//! Both last as long as the primitive does there, which may be longer than anybody here has a handle of it:
//! in a message, or with a process of the other backend. So it is kept apart from the [`super::Foreign`], in
//! the accounts of those who pay, and looked at by what the other backend says of a primitive's life. It
//! keeps nothing there: an end of a pipe is closed when its last handle is.

use super::sent::Sent;
use crate::abroad::Abroad;
use crate::account::{Account, Charge};
use crate::sync::lock;
use procbox_core::Result;
use procbox_core::raw::Life;
use std::sync::{Arc, Mutex};

/// What is paid for one primitive.
pub(super) struct Trace {
    /// Where nobody can say, it is there until the trees have ended.
    life: Option<Box<dyn Life>>,
    /// Of the tree that has made it.
    charge: Mutex<Option<Charge>>,
    sent: Sent,
}

impl Trace {
    pub(super) fn new(life: Option<Box<dyn Life>>, charge: Option<Charge>) -> Trace {
        Trace { life, charge: Mutex::new(charge), sent: Sent::default() }
    }

    /// The messages that are there at most; `None` if it is gone.
    fn messages(&self) -> Option<usize> {
        self.life.as_ref().map_or(Some(usize::MAX), |life| life.messages())
    }

    /// False if nobody can have it any more.
    pub(super) fn is_there(&self) -> bool {
        self.messages().is_some()
    }

    /// Has a message of so many bytes and handles sent by `send`, for which this tree pays.
    ///
    /// # Errors
    /// [`procbox_core::Error::Exhausted`], and those of `send`.
    pub(super) fn send(
        self: &Arc<Trace>,
        account: &Arc<Account>,
        size: (usize, usize),
        send: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let there = || self.messages().unwrap_or(0);
        let first = || account.abroad.keep(self.clone());
        self.sent.send(account, size, (there, first), send)
    }
}

impl Abroad for Trace {
    fn settle(&self) -> bool {
        let is_any_left = self.sent.settle(|| self.messages().unwrap_or(0));
        let mut charge = lock(&self.charge);
        let _given_back = if self.is_there() { None } else { charge.take() };
        is_any_left || charge.is_some()
    }
}

/// The last handle of the primitive that there is here has gone, if this is dropped after it.
pub(super) struct Parting(pub(super) Arc<Trace>);

impl Drop for Parting {
    fn drop(&mut self) {
        let is_left = self.0.settle();
        // Unlocked before it is kept: those that are kept may be looked at then, and this is one.
        let account = lock(&self.0.charge).as_ref().map(|charge| charge.account().clone());
        if is_left && let Some(account) = account {
            // Others have it: who has made it pays for it still.
            account.abroad.keep(self.0.clone());
        }
    }
}
