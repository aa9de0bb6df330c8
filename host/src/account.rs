//! The account of a tree: the memory of the host that its processes take, and what else counts for
//! all of them together.
//!
//! A tree is all the processes that come of one start by the embedding program. Whatever the host
//! keeps for one of them is charged before it is made: linear memory, messages with their overhead,
//! handles, names, arguments, output that is kept, and a fixed sum for each object and each process.
//! What cannot be charged is refused: to the guest a call answers `EXHAUSTED`, or its memory does not
//! grow.
//!
//! Beside the bytes there are two counts of things that a tree may have only so many of: handles that its
//! processes have, and bytes of messages in its queues and pipes. They are kept only where they are
//! limited.
//!
//! A [`Charge`] is given back when it is dropped, so it lies beside what it is for. Small messages are
//! too many for that: a channel has a reserve for all that are in it (see [`Reserve`]), and touches
//! the account when that has to grow or has grown far too large.

use crate::abroad::PaidFor;
use crate::cycles::Carriers;
use crate::tree_limits::TreeLimits;
use procbox_core::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The sum for an object: a lock, a queue, an end of a pipe, a listener.
pub(crate) const OBJECT: usize = 512;
/// The sum for a process beside its stack: its store, its instance, and what host calls touch of it.
pub(crate) const PROCESS: usize = 64 << 10;
/// The sum for a message in a channel, whatever is in it.
pub(crate) const MESSAGE: usize = 256;
/// The sum for a handle in a message.
pub(crate) const HANDLE: usize = 64;
/// The sum for one of the things that a process waits for.
pub(crate) const WAITED: usize = 256;
/// The sum for what a process has of a ledger.
pub(crate) const LINE: usize = 192;
/// The sum for a place in a table of handles.
pub(crate) const PLACE: usize = 32;

/// A count of things, which is kept only if there is a limit of it.
pub(crate) struct Count {
    now: AtomicUsize,
    most: usize,
    /// What they are, for the error.
    what: &'static str,
}

impl Count {
    fn new(most: Option<usize>, what: &'static str) -> Count {
        Count { now: AtomicUsize::new(0), most: most.unwrap_or(usize::MAX), what }
    }

    #[inline]
    fn is_limited(&self) -> bool {
        self.most != usize::MAX
    }

    /// There are to be so many more.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    #[inline]
    pub(crate) fn take(&self, n: usize) -> Result<()> {
        if !self.is_limited() || add(&self.now, n, self.most).is_some() {
            return Ok(());
        }
        Err(self.exhausted())
    }

    #[cold]
    fn exhausted(&self) -> Error {
        Error::Exhausted(format!("{} {} for a tree of processes", self.most, self.what))
    }

    /// There are so many less.
    #[inline]
    pub(crate) fn give(&self, n: usize) {
        if self.is_limited() {
            self.now.fetch_sub(n, Ordering::Relaxed);
        }
    }
}

/// Adds to a count that has a limit; what it was before, if that was possible.
fn add(count: &AtomicUsize, more: usize, most: usize) -> Option<usize> {
    let sum = |now: usize| now.checked_add(more).filter(|sum| *sum <= most);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).ok()
}

/// The account of one tree. Whatever is made for one of its processes refers to it.
pub(crate) struct Account {
    /// Carriers that its processes made.
    pub(crate) carriers: Carriers,
    /// Bytes of the host, and how many there may be.
    used: AtomicUsize,
    most: usize,
    /// The most that there were.
    peak: AtomicUsize,
    /// Processes that live.
    alive: AtomicUsize,
    /// Handles that processes have.
    pub(crate) handles: Count,
    /// Bytes of messages in queues and pipes.
    pub(crate) queued: Count,
    /// What it pays for abroad, whoever has that.
    pub(crate) abroad: PaidFor,
}

impl Account {
    /// One for a new tree that may have so much.
    pub(crate) fn of_tree(limits: &TreeLimits) -> Arc<Account> {
        let most = limits.memory.unwrap_or(usize::MAX);
        Account::with(Carriers::new(), most, limits.handles, limits.queued)
    }

    /// One for what the embedding program makes. Guests may fill its queues: each has an account of
    /// its own, so that no tree pays for another.
    pub(crate) fn of_embedder(most: usize) -> Arc<Account> {
        Account::with(Carriers::closed(), most, None, None)
    }

    fn with(
        carriers: Carriers,
        most: usize,
        handles: Option<usize>,
        queued: Option<usize>,
    ) -> Arc<Account> {
        Arc::new(Account {
            carriers,
            used: AtomicUsize::new(0),
            most,
            peak: AtomicUsize::new(0),
            alive: AtomicUsize::new(0),
            handles: Count::new(handles, "handles"),
            queued: Count::new(queued, "bytes of messages"),
            abroad: PaidFor::default(),
        })
    }

    /// One more process lives, which has so many bytes beside the usual ones.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub(crate) fn enter(self: &Arc<Account>, bytes: usize) -> Result<Member> {
        let charge = self.charge(bytes.saturating_add(PROCESS))?;
        self.alive.fetch_add(1, Ordering::Relaxed);
        Ok(Member { account: self.clone(), _charge: charge })
    }

    /// Takes bytes, which have to be given back; whether there were as many. To be called by who
    /// holds no channel's lock.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        self.take_now(bytes) || self.make_room() && self.take_now(bytes)
    }

    /// Frees circles of queues that nobody can reach any more, and looks what was received of what it has
    /// sent to other backends: they may be what fills it. Whether it is worth another try. To be called by
    /// who holds no channel's lock.
    pub(crate) fn make_room(&self) -> bool {
        let settled = self.settle();
        self.carriers.try_collect() || settled
    }

    /// Looks what is left of what it pays for abroad; whether it had anything back.
    fn settle(&self) -> bool {
        let before = self.used();
        self.abroad.settle();
        self.used() < before
    }

    /// Takes bytes that are there already, however many it has: for what its processes receive. See
    /// [`Account::is_overdrawn`].
    pub(crate) fn overdraw(self: &Arc<Account>, bytes: usize) -> Charge {
        let now = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.peak.fetch_max(now, Ordering::Relaxed);
        Charge { account: self.clone(), bytes }
    }

    /// True if it has more than it may have: nothing more is received then.
    pub(crate) fn is_overdrawn(&self) -> bool {
        self.used() > self.most
    }

    fn take_now(&self, bytes: usize) -> bool {
        let Some(before) = add(&self.used, bytes, self.most) else { return false };
        if before + bytes > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(before + bytes, Ordering::Relaxed);
        }
        true
    }

    /// The bytes that there are now.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The most bytes that there were at any time.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Gives bytes back that were taken.
    pub(crate) fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes bytes for as long as the charge lives.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub(crate) fn charge(self: &Arc<Account>, bytes: usize) -> Result<Charge> {
        if self.take(bytes) {
            Ok(Charge { account: self.clone(), bytes })
        } else {
            Err(self.exhausted())
        }
    }

    pub(crate) fn exhausted(&self) -> Error {
        Error::Exhausted(format!("{} bytes of memory for a tree of processes", self.most))
    }
}

/// A part of an account, for as long as this lives.
pub(crate) struct Charge {
    account: Arc<Account>,
    bytes: usize,
}

impl Charge {
    /// Whose it is.
    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Takes more.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    pub(crate) fn add(&mut self, bytes: usize) -> Result<()> {
        if !self.account.take(bytes) {
            return Err(self.account.exhausted());
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.give(self.bytes);
    }
}

/// What a channel has taken for the small messages in it, in as few steps as possible.
#[derive(Default)]
pub(crate) struct Reserve {
    needed: usize,
    taken: usize,
}

impl Reserve {
    /// By how much it grows at once, and how much it keeps in hand.
    const STEP: usize = 16 << 10;

    /// Needs more; whether there was as much.
    #[inline]
    pub(crate) fn need(&mut self, bytes: usize, account: &Account) -> bool {
        let needed = self.needed + bytes;
        if needed > self.taken && !self.grow(needed, account) {
            return false;
        }
        self.needed = needed;
        true
    }

    /// A channel with a few messages takes little, and one with many seldom.
    fn grow(&mut self, needed: usize, account: &Account) -> bool {
        let short = needed - self.taken;
        let ample = short.max(self.taken.min(Reserve::STEP));
        for more in [ample, short] {
            if account.take_now(more) {
                self.taken += more;
                return true;
            }
        }
        false
    }

    /// Needs less; true if it has given some back.
    #[inline]
    pub(crate) fn release(&mut self, bytes: usize, account: &Account) -> bool {
        self.needed -= bytes;
        let spare = self.taken - self.needed;
        if spare < 2 * Reserve::STEP {
            return false;
        }
        account.give(spare - Reserve::STEP);
        self.taken = self.needed + Reserve::STEP;
        true
    }

    /// Needs nothing any more.
    pub(crate) fn clear(&mut self, account: &Account) {
        account.give(self.taken);
        *self = Reserve::default();
    }
}

/// A process's part in its tree: it has it for as long as its store is there.
pub(crate) struct Member {
    account: Arc<Account>,
    _charge: Charge,
}

impl Drop for Member {
    /// What no process and nobody else holds goes with the last one.
    fn drop(&mut self) {
        if self.account.alive.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.account.carriers.close();
            self.account.abroad.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_charged_comes_back_and_the_limit_is_exact() {
        let account = Account::of_tree(&TreeLimits::new().memory(1000));
        let mut first = account.charge(600).unwrap();
        assert!(matches!(account.charge(401), Err(Error::Exhausted(_))));
        let second = account.charge(400).unwrap();
        assert!(first.add(1).is_err());
        drop(second);
        assert!(first.add(400).is_ok());
        drop(first);
        assert!(account.charge(usize::MAX).is_err());
        assert!(account.charge(1000).is_ok());
    }

    #[test]
    fn a_count_is_exact_where_it_is_limited_and_not_kept_where_it_is_not() {
        let account = Account::of_tree(&TreeLimits::new().handles(3));
        account.handles.take(2).unwrap();
        assert!(matches!(account.handles.take(2), Err(Error::Exhausted(_))));
        account.handles.take(1).unwrap();
        account.handles.give(3);
        account.handles.take(3).unwrap();
        account.queued.take(usize::MAX).unwrap();
        account.queued.take(usize::MAX).unwrap();
    }

    proptest! {
        /// Whatever comes and goes, a reserve has what it needs, and not much more.
        #[test]
        fn a_reserve_follows_what_is_in_it(sizes in prop::collection::vec(0usize..9000, 1..80)) {
            const MOST: usize = 200_000;
            let account = Account::of_tree(&TreeLimits::new().memory(MOST));
            let mut reserve = Reserve::default();
            let mut inside = Vec::new();
            for size in &sizes {
                let sum: usize = inside.iter().sum();
                let fits = sum + size <= MOST;
                prop_assert_eq!(reserve.need(*size, &account), fits);
                if fits {
                    inside.push(*size);
                }
                prop_assert!(account.used.load(Ordering::Relaxed) <= MOST);
            }
            for size in inside.drain(..) {
                reserve.release(size, &account);
            }
            prop_assert!(account.used.load(Ordering::Relaxed) < 2 * Reserve::STEP);
            reserve.clear(&account);
            prop_assert_eq!(account.used.load(Ordering::Relaxed), 0);
        }
    }
}
