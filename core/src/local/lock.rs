//! The lock: a word under a mutex that names the thread that holds it.

use super::Home;
use super::sleep::{WaitList, block, number};
use crate::observe::Operation;
use crate::raw::{Acquired, RawLock, Watch};
use crate::sync::lock;
use crate::{Error, Result, Wait};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;

/// A thread's list from which on locks that it does not hold are dropped when there is one more.
const MANY: usize = 16;

pub(super) struct LocalLock {
    this: Weak<LocalLock>,
    pub(super) home: Arc<Home>,
    state: Mutex<State>,
    released: Arc<WaitList>,
}

#[derive(Default)]
struct State {
    holder: Option<u64>,
    /// The last holder died; told to the next.
    owner_died: bool,
}

/// The locks that a thread has taken, and may hold.
#[derive(Default)]
struct Taken(RefCell<Vec<Weak<LocalLock>>>);

thread_local! {
    static TAKEN: Taken = Taken::default();
}

/// The calling thread's number: no other has it, nor will.
fn me() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static ME: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    ME.with(|me| *me)
}

impl Taken {
    fn note(&self, taken: &LocalLock, me: u64) {
        let mut all = self.0.borrow_mut();
        if all.iter().any(|other| other.ptr_eq(&taken.this)) {
            return;
        }
        if all.len() >= MANY && all.len().is_power_of_two() {
            all.retain(|held| held.upgrade().is_some_and(|it| lock(&it.state).holder == Some(me)));
        }
        all.push(taken.this.clone());
    }

    fn let_go(&self) {
        let all = std::mem::take(&mut *self.0.borrow_mut());
        all.iter().filter_map(Weak::upgrade).for_each(|lock| lock.abandon(me()));
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Gives back what the calling thread holds, as if it had died.
pub(super) fn let_go() {
    let _ = TAKEN.try_with(Taken::let_go);
}

impl LocalLock {
    pub(super) fn new(home: Arc<Home>) -> Arc<LocalLock> {
        Arc::new_cyclic(|this| LocalLock {
            this: this.clone(),
            home,
            state: Mutex::default(),
            released: WaitList::new(),
        })
    }

    fn try_acquire(&self, me: u64) -> Option<Result<Acquired>> {
        let mut state = lock(&self.state);
        match state.holder {
            None => {
                state.holder = Some(me);
                Some(Ok(Acquired::new(std::mem::take(&mut state.owner_died))))
            }
            Some(holder) if holder == me => Some(Err(Error::AlreadyHeld)),
            Some(_) => None,
        }
    }

    /// Gives back what a thread holds that has ended.
    fn abandon(&self, dead: u64) {
        let mut state = lock(&self.state);
        if state.holder == Some(dead) {
            *state = State { holder: None, owner_died: true };
            drop(state);
            self.released.wake();
        }
    }
}

impl RawLock for LocalLock {
    fn acquire(&self, wait: Wait) -> Result<Acquired> {
        let me = me();
        let on = (Operation::LockAcquire, number(self));
        let acquired = block(wait, on, &[&self.released], || self.try_acquire(me))?;
        // In the last moments of a thread there is no list: what it takes then, it gives back itself.
        let _ = TAKEN.try_with(|taken| taken.note(self, me));
        Ok(acquired)
    }

    fn release(&self) -> Result<()> {
        let mut state = lock(&self.state);
        if state.holder != Some(me()) {
            return Err(Error::NotHolder);
        }
        state.holder = None;
        drop(state);
        self.released.wake();
        Ok(())
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        Ok(Some(self.released.watch(waker)))
    }
}
