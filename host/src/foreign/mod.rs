//! Primitives of another backend, which processes of this sandbox share with that backend's on a bridge.
//!
//! A [`Foreign`] is what a process's handle stands for then: one for each primitive, whatever handle of it
//! came in, so that all processes of the sandbox mean the same by it. It is used through the raw traits by
//! tries that do not wait; who has to wait is woken by what the other backend watches (`wait`). Nothing here
//! knows which backend that is.
//!
//! For the other backend all processes of this sandbox are one process: the program that embeds them. Who
//! of them has what is therefore kept here: the holder of a lock, permits (`permits`), and what the messages
//! that a tree has on their way take (`sent`), and who pays for what (`trace`).

mod known;
mod sent;
mod trace;
mod wait;

pub(crate) use known::Known;

use crate::account::Account;
use crate::lock::Holder;
use crate::permits::Lender;
use crate::runtime::Runtime;
use crate::wait_list::WaitList;
use known::Key;
use procbox_core::raw::{
    Acquired, Handle, Lent, Message, RawContext, RawLock, RawSemaphore, Waitable,
};
use procbox_core::{Error, Result, Wait};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use trace::Parting;

/// What is nobody's key: see [`Holder::key`].
const NOBODY: u64 = 0;

/// A primitive of another backend.
pub(crate) struct Foreign {
    handle: Handle,
    /// The context that it is of.
    maker: Weak<dyn RawContext>,
    pub(crate) runtime: Arc<Runtime>,
    key: Key,
    /// The process that has it, if it is a lock.
    holder: AtomicU64,
    /// For those who wait for several things.
    changed: WaitList,
    /// What is paid for it. The last field: it looks whether the primitive has gone with the handle.
    trace: Parting,
}

impl Foreign {
    /// Hands its handle to the other backend, or to the embedding program.
    pub(crate) fn hand_out(&self) -> Handle {
        self.handle.clone()
    }

    /// The handle of it, to look at.
    #[inline]
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// It as a lock, for a process.
    ///
    /// # Errors
    /// [`Error::TimedOut`] if another has it, [`Error::AlreadyHeld`].
    pub(crate) fn try_lock(&self, raw: &Arc<dyn RawLock>, me: Holder) -> Result<Acquired> {
        match raw.acquire_for() {
            Ok(acquired) => {
                self.holder.store(me.key(), Ordering::Relaxed);
                Ok(acquired)
            }
            Err(Error::TimedOut) if self.is_held_by(me) => Err(Error::AlreadyHeld),
            Err(e) => Err(e),
        }
    }

    /// Gives the lock back that a process has.
    ///
    /// # Errors
    /// [`Error::NotHolder`].
    pub(crate) fn unlock(&self, raw: &Arc<dyn RawLock>, me: Holder, died: bool) -> Result<()> {
        // It stands there as long as it has the lock, and is not written by anybody else meanwhile.
        if !self.is_held_by(me) {
            return Err(Error::NotHolder);
        }
        self.holder.store(NOBODY, Ordering::Relaxed);
        raw.release_for(died)
    }

    /// True if it is a lock that this process has.
    pub(crate) fn is_held_by(&self, me: Holder) -> bool {
        self.holder.load(Ordering::Relaxed) == me.key()
    }

    /// Gives back what a process held that has ended.
    pub(crate) fn abandon(&self, dead: Holder) {
        match &self.handle {
            Handle::Lock(raw) => {
                // Most had not.
                let _ = self.unlock(raw, dead, true);
            }
            // It may have been ended before it told of a change.
            Handle::Region(raw) => raw.notify(),
            _ => {}
        }
    }

    /// Sends a message whose tree is `account`, if there is room: bytes, and handles of the other backend.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::TimedOut`] for a pipe, [`Error::Closed`], [`Error::TooLarge`],
    /// [`Error::Exhausted`], [`Error::Unsupported`].
    pub(crate) fn try_send(
        &self,
        account: &Arc<Account>,
        bytes: &[u8],
        handles: &[Handle],
    ) -> Result<()> {
        match self.send_now(account, bytes, handles) {
            Err(Error::Exhausted(_)) if account.make_room() => {
                self.send_now(account, bytes, handles)
            }
            other => other,
        }
    }

    fn send_now(&self, account: &Arc<Account>, bytes: &[u8], handles: &[Handle]) -> Result<()> {
        match &self.handle {
            Handle::Queue(raw) => {
                let put = || raw.put(bytes, handles, Wait::Never);
                self.trace.0.send(account, (bytes.len(), handles.len()), put)
            }
            Handle::Pipe(raw) => {
                let send = || raw.send(bytes, handles, Wait::Never);
                self.trace.0.send(account, (bytes.len(), handles.len()), send)
            }
            _ => Err(Error::Unsupported("messages to such a thing")),
        }
    }

    /// Receives a message, if there is one: into `into`, but for bytes that can stay where they are.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::TimedOut`] for a pipe, [`Error::Closed`], [`Error::Unsupported`].
    pub(crate) fn try_receive(&self, into: &mut Message) -> Result<Option<Lent>> {
        match &self.handle {
            Handle::Queue(raw) => raw.get_lent(into, Wait::Never),
            Handle::Pipe(raw) => raw.recv_lent(into, Wait::Never),
            _ => Err(Error::Unsupported("messages from such a thing")),
        }
    }

    /// Says whether a message of this size will ever fit.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub(crate) fn check_size(&self, size: usize) -> Result<()> {
        let limit = match &self.handle {
            Handle::Queue(raw) => raw.bounds().bytes,
            _ => procbox_core::Bounds::MAX_BYTES,
        };
        if size > limit { Err(Error::TooLarge { size, limit }) } else { Ok(()) }
    }

    /// True if a receive would not wait.
    fn has_news(&self) -> bool {
        let it = match &self.handle {
            Handle::Queue(raw) => Waitable::Queue(raw.clone()),
            Handle::Pipe(raw) => Waitable::Pipe(raw.clone()),
            _ => return false,
        };
        // Where its context is gone, the receive itself says what there is to say.
        let ready = self.maker.upgrade().map(|maker| maker.ready(&[it], Wait::Never));
        !matches!(ready, Some(Err(Error::TimedOut)))
    }
}

impl Lender for Foreign {
    fn take_back(&self, permits: usize) {
        if let Handle::Semaphore(raw) = &self.handle {
            // It fails only on overflow, which permits that were taken cannot cause.
            let _ = (0..permits).try_for_each(|_| raw.release());
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.runtime.known().forget(self.key);
    }
}

/// Permits of it are taken one by one, of the other backend.
pub(crate) fn semaphore(foreign: &Foreign) -> Option<&Arc<dyn RawSemaphore>> {
    match &foreign.handle {
        Handle::Semaphore(raw) => Some(raw),
        _ => None,
    }
}
