//! The sandbox's lock: one atomic word that names the holder.

use crate::account::Charge;
use crate::blocked::Server;
use crate::runtime::Runtime;
use crate::wait_list::WaitList;
use crate::waiting;
use procbox_core::observe::{Awaited, Operation, Sight, Visible};
use procbox_core::raw::{Acquired, RawLock, Watch};
use procbox_core::{Error, Result, Wait};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;

/// One that can hold a lock: a sandboxed process, or a thread of the embedding program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder(u64);

impl Holder {
    const FREE: u64 = 0;

    pub(crate) fn process(pid: u32) -> Holder {
        Holder(u64::from(pid))
    }

    /// The calling thread.
    pub(crate) fn thread() -> Holder {
        static NEXT: AtomicU64 = AtomicU64::new(1 << 32);
        thread_local! {
            static ME: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
        }
        Holder(ME.with(|me| *me))
    }

    /// The number by which it is known: a process's pid, or a thread's own.
    pub(crate) fn key(self) -> u64 {
        self.0
    }
}

/// A thread's list from which on locks that it does not hold are dropped when there is one more.
const MANY: usize = 16;

/// The locks that a thread of the embedding program has taken, and may hold: what it holds when it ends is
/// given back, and the next holder is told, as after the death of a process.
struct Taken(RefCell<Vec<Weak<HostLock>>>);

thread_local! {
    static TAKEN: Taken = const { Taken(RefCell::new(Vec::new())) };
}

impl Taken {
    fn note(&self, lock: &HostLock, me: Holder) {
        let mut taken = self.0.borrow_mut();
        if taken.iter().any(|other| other.ptr_eq(&lock.this)) {
            return;
        }
        if taken.len() >= MANY {
            taken.retain(|lock| lock.upgrade().is_some_and(|lock| lock.is_held_by(me)));
        }
        taken.push(lock.this.clone());
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let me = Holder::thread();
        let taken = std::mem::take(self.0.get_mut());
        taken.iter().filter_map(Weak::upgrade).for_each(|lock| lock.abandon(me));
    }
}

pub(crate) struct HostLock {
    this: Weak<HostLock>,
    pub(crate) runtime: Arc<Runtime>,
    /// The holder, or [`Holder::FREE`].
    holder: AtomicU64,
    /// The last holder died; told to the next.
    owner_died: AtomicBool,
    released: WaitList,
    _charge: Charge,
}

impl HostLock {
    pub(crate) fn new(runtime: Arc<Runtime>, charge: Charge) -> Arc<HostLock> {
        Arc::new_cyclic(|this| HostLock {
            this: this.clone(),
            runtime,
            holder: AtomicU64::new(Holder::FREE),
            owner_died: AtomicBool::new(false),
            released: WaitList::new(),
            _charge: charge,
        })
    }

    /// `None` if another has it.
    #[inline]
    pub(crate) fn try_acquire(&self, me: Holder) -> Option<Result<Acquired>> {
        let free = Holder::FREE;
        match self.holder.compare_exchange(free, me.0, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => {
                let owner_died = self.owner_died.load(Ordering::Relaxed)
                    && self.owner_died.swap(false, Ordering::Relaxed);
                Some(Ok(Acquired::new(owner_died)))
            }
            Err(holder) if holder == me.0 => Some(Err(Error::AlreadyHeld)),
            Err(_) => None,
        }
    }

    pub(crate) async fn acquire_as(&self, me: Holder) -> Result<Acquired> {
        waiting::until(&self.runtime, &self.released, || self.try_acquire(me)).await
    }

    #[inline]
    pub(crate) fn release_as(&self, me: Holder) -> Result<()> {
        let free = Holder::FREE;
        self.holder
            .compare_exchange(me.0, free, Ordering::SeqCst, Ordering::Relaxed)
            .map_err(|_| Error::NotHolder)?;
        self.released.wake_swapped(1);
        Ok(())
    }

    pub(crate) fn is_held_by(&self, me: Holder) -> bool {
        self.holder.load(Ordering::Relaxed) == me.0
    }

    /// Who has it.
    pub(crate) fn server(&self) -> Server {
        Server::One(self.holder.load(Ordering::SeqCst))
    }

    /// Gives back what a process or a thread held that has ended.
    pub(crate) fn abandon(&self, dead: Holder) {
        if self.holder.load(Ordering::Relaxed) == dead.0 {
            self.owner_died.store(true, Ordering::Relaxed);
            // It was the holder, and nobody else releases in its name.
            let _ = self.release_as(dead);
        }
    }
}

impl Visible for HostLock {
    fn sight(&self) -> Sight {
        let holder = self.holder.load(Ordering::Relaxed);
        let holder = u32::try_from(holder).ok().filter(|pid| *pid != 0);
        Sight::Lock { object: waiting::number(self), holder }
    }
}

impl RawLock for HostLock {
    fn acquire(&self, wait: Wait) -> Result<Acquired> {
        let me = Holder::thread();
        let on = Awaited { operation: Operation::LockAcquire, object: waiting::number(self) };
        let holder = || self.holder.load(Ordering::SeqCst);
        let (attempt, sleep) = (|| self.try_acquire(me), || self.acquire_as(me));
        let acquired =
            waiting::block_on_one(&self.runtime, wait, on, (me.key(), holder), attempt, sleep)?;
        // In the last moments of a thread there is no list: what it takes then, it gives back itself.
        let _ = TAKEN.try_with(|taken| taken.note(self, me));
        Ok(acquired)
    }

    fn release(&self) -> Result<()> {
        self.release_as(Holder::thread())
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        waiting::watch(&self.runtime, &self.this, |lock| &lock.released, waker)
    }
}
