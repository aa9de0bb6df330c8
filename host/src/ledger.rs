//! The sandbox's ledger: a page under a mutex, with the number of changes by which a guest that has
//! read it knows whether it still is what it read.

use crate::account::Charge;
use crate::runtime::Runtime;
use crate::sync::lock;
use crate::wait_list::WaitList;
use crate::waiting;
use procbox_core::observe::Operation;
use procbox_core::raw::{BELLS, Page, RawLedger, Seen, Watch};
use procbox_core::time::Clock;
use procbox_core::{Result, Wait};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;

pub(crate) struct HostLedger {
    this: Weak<HostLedger>,
    pub(crate) runtime: Arc<Runtime>,
    state: Mutex<Written>,
    /// How often each bell was rung; changed under the mutex.
    rung: [AtomicU32; BELLS],
    bells: [WaitList; BELLS],
    _charge: Charge,
}

/// What is written on it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Written {
    /// The number of changes.
    pub(crate) version: u64,
    /// The page; its line is that of the embedding program.
    pub(crate) page: Page,
    /// How often each bell has been rung.
    pub(crate) seen: Seen,
}

impl HostLedger {
    pub(crate) fn new(runtime: Arc<Runtime>, charge: Charge) -> Arc<HostLedger> {
        Arc::new_cyclic(|this| HostLedger {
            this: this.clone(),
            runtime,
            state: Mutex::default(),
            rung: Default::default(),
            bells: [WaitList::new(), WaitList::new()],
            _charge: charge,
        })
    }

    /// What is written on it now.
    pub(crate) fn read(&self) -> Written {
        *lock(&self.state)
    }

    /// Puts a page in force, but for its line, if there was no change since this version; whether that
    /// is so.
    pub(crate) fn write(&self, version: u64, page: &Page) -> bool {
        let mut state = lock(&self.state);
        if state.version != version {
            return false;
        }
        let mine = state.page.mine;
        self.put(&mut state, &Page { mine, ..*page });
        drop(state);
        self.ring(page.ring);
        true
    }

    fn put(&self, state: &mut Written, page: &Page) {
        state.version += 1;
        state.page = Page { ring: [0; BELLS], ..*page };
        for (bell, ring) in page.ring.into_iter().enumerate() {
            if ring > 0 {
                state.seen[bell] = state.seen[bell].wrapping_add(1);
                self.rung[bell].store(state.seen[bell], Ordering::SeqCst);
            }
        }
    }

    fn ring(&self, ring: [u32; BELLS]) {
        for (bell, n) in self.bells.iter().zip(ring).filter(|(_, n)| *n > 0) {
            bell.wake_swapped(n as usize);
        }
    }

    /// The line of a process that has ended is lost, and all who wait look again.
    pub(crate) fn lose(&self, line: u64) {
        let mut state = lock(&self.state);
        let mut page = state.page;
        page.lose(line);
        (0..BELLS).for_each(|bell| page.ring(bell));
        self.put(&mut state, &page);
        drop(state);
        self.ring(page.ring);
    }

    /// Waits until a bell has been rung since then; at once if there is no such bell.
    pub(crate) async fn rung_since(&self, bell: usize, seen: u32) -> Result<()> {
        let (Some(rung), Some(list)) = (self.rung.get(bell), self.bells.get(bell)) else {
            return Ok(());
        };
        let is_rung = || (rung.load(Ordering::SeqCst) != seen).then_some(Ok(()));
        waiting::until(&self.runtime, list, is_rung).await
    }
}

impl RawLedger for HostLedger {
    fn change(&self, _: Option<Wait>, work: &mut dyn FnMut(&mut Page)) -> Result<Seen> {
        let mut state = lock(&self.state);
        let mut page = state.page;
        work(&mut page);
        if page != state.page {
            page.line()?;
            self.put(&mut state, &page);
        }
        let seen = state.seen;
        drop(state);
        self.ring(page.ring);
        Ok(seen)
    }

    fn wait(&self, bell: usize, seen: Seen, wait: Wait) -> Result<()> {
        let seen = seen.get(bell).copied().unwrap_or(0);
        let attempt = || {
            let rung = self.rung.get(bell).map(|rung| rung.load(Ordering::SeqCst));
            (rung != Some(seen)).then_some(Ok(()))
        };
        let on = (Operation::LedgerWait, waiting::number(self));
        waiting::block(&self.runtime, wait, on, attempt, || self.rung_since(bell, seen))
    }

    fn watch(&self, bell: usize, seen: Seen, waker: &Waker) -> Result<Option<Watch>> {
        let (Some(rung), Some(seen)) = (self.rung.get(bell), seen.get(bell)) else {
            waker.wake_by_ref();
            return Ok(Some(Watch::new(())));
        };
        let watch = waiting::watch(&self.runtime, &self.this, move |own| &own.bells[bell], waker)?;
        if rung.load(Ordering::SeqCst) != *seen {
            waker.wake_by_ref();
        }
        Ok(watch)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.runtime.clock().clone()
    }
}
