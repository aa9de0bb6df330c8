//! The sandbox's event: a flag, and a count of how often it was set.

use crate::account::Charge;
use crate::runtime::Runtime;
use crate::wait_list::WaitList;
use crate::waiting;
use procbox_core::observe::Operation;
use procbox_core::raw::{RawEvent, Watch};
use procbox_core::{Result, Wait};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;

pub(crate) struct HostEvent {
    this: Weak<HostEvent>,
    pub(crate) runtime: Arc<Runtime>,
    /// Bit 0: set now. The rest: how often it went from clear to set.
    word: AtomicU64,
    changed: WaitList,
    _charge: Charge,
}

const SET: u64 = 1;

impl HostEvent {
    pub(crate) fn new(runtime: Arc<Runtime>, charge: Charge) -> Arc<HostEvent> {
        let (word, changed) = (AtomicU64::new(0), WaitList::new());
        Arc::new_cyclic(|this| HostEvent {
            this: this.clone(),
            runtime,
            word,
            changed,
            _charge: charge,
        })
    }

    /// Waits until it is set, or has been since the call: a `clear` right behind the `set` does not
    /// leave waiters asleep.
    pub(crate) async fn wait_set(&self) -> Result<()> {
        let before = self.word.load(Ordering::Acquire) >> 1;
        waiting::until(&self.runtime, &self.changed, || {
            let word = self.word.load(Ordering::Acquire);
            (word & SET != 0 || word >> 1 != before).then_some(Ok(()))
        })
        .await
    }
}

impl RawEvent for HostEvent {
    fn set(&self) {
        let set = self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
            (word & SET == 0).then(|| (word + 2) | SET)
        });
        if set.is_ok() {
            self.changed.wake(usize::MAX);
        }
    }

    fn clear(&self) {
        self.word.fetch_and(!SET, Ordering::AcqRel);
    }

    fn is_set(&self) -> bool {
        self.word.load(Ordering::Acquire) & SET != 0
    }

    fn wait(&self, wait: Wait) -> Result<()> {
        let attempt = || self.is_set().then_some(Ok(()));
        let on = (Operation::EventWait, waiting::number(self));
        waiting::block(&self.runtime, wait, on, attempt, || self.wait_set())
    }

    fn times_set(&self) -> Option<u64> {
        Some(self.word.load(Ordering::Acquire) >> 1)
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        waiting::watch(&self.runtime, &self.this, |event| &event.changed, waker)
    }
}
