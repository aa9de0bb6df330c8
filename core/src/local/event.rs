//! The event: a flag, and how often it was set, so that who waits also sees a set that is over.

use super::Home;
use super::sleep::{WaitList, block, number};
use crate::observe::Operation;
use crate::raw::{RawEvent, Watch};
use crate::sync::lock;
use crate::{Result, Wait};
use std::sync::{Arc, Mutex};
use std::task::Waker;

pub(super) struct LocalEvent {
    pub(super) home: Arc<Home>,
    flag: Mutex<Flag>,
    set: Arc<WaitList>,
}

#[derive(Default)]
struct Flag {
    is_set: bool,
    times: u64,
}

impl LocalEvent {
    pub(super) fn new(home: Arc<Home>) -> LocalEvent {
        LocalEvent { home, flag: Mutex::default(), set: WaitList::new() }
    }
}

impl RawEvent for LocalEvent {
    fn set(&self) {
        let mut flag = lock(&self.flag);
        flag.is_set = true;
        flag.times += 1;
        drop(flag);
        self.set.wake();
    }

    fn clear(&self) {
        lock(&self.flag).is_set = false;
    }

    fn is_set(&self) -> bool {
        lock(&self.flag).is_set
    }

    fn wait(&self, wait: Wait) -> Result<()> {
        let before = lock(&self.flag).times;
        block(wait, (Operation::EventWait, number(self)), &[&self.set], || {
            let flag = lock(&self.flag);
            (flag.is_set || flag.times != before).then_some(Ok(()))
        })
    }

    fn times_set(&self) -> Option<u64> {
        Some(lock(&self.flag).times)
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        Ok(Some(self.set.watch(waker)))
    }
}
