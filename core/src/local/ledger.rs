//! The ledger: a page and its lines under a mutex. A worker that ends loses its line, and all who wait look
//! again.

use super::life::Lines;
use super::sleep::{WaitList, block, number};
use super::{Home, life};
use crate::observe::Operation;
use crate::raw::{BELLS, LANES, Page, RawLedger, Seen, Watch};
use crate::sync::lock;
use crate::time::{Clock, SystemClock};
use crate::{Error, Result, Wait};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;

pub(super) struct LocalLedger {
    this: Weak<LocalLedger>,
    pub(super) home: Arc<Home>,
    written: Mutex<Written>,
    bells: [Arc<WaitList>; BELLS],
}

#[derive(Default)]
struct Written {
    /// The page, without a line.
    page: Page,
    /// The lines of those who have something on them, by pid.
    lines: HashMap<u32, [u32; LANES]>,
    /// How often each bell has been rung.
    seen: Seen,
}

impl Written {
    /// Puts a page in force, but for its line; which bells are to be rung.
    fn put(&mut self, page: &Page) -> [u32; BELLS] {
        self.page = Page { ring: [0; BELLS], mine: [0; LANES], ..*page };
        for (seen, _) in self.seen.iter_mut().zip(page.ring).filter(|(_, ring)| *ring > 0) {
            *seen = seen.wrapping_add(1);
        }
        page.ring
    }
}

impl LocalLedger {
    pub(super) fn new(home: Arc<Home>) -> Arc<LocalLedger> {
        Arc::new_cyclic(|this| LocalLedger {
            this: this.clone(),
            home,
            written: Mutex::default(),
            bells: [WaitList::new(), WaitList::new()],
        })
    }

    fn ring(&self, ring: [u32; BELLS]) {
        self.bells.iter().zip(ring).filter(|(_, n)| *n > 0).for_each(|(bell, _)| bell.wake());
    }
}

impl Lines for LocalLedger {
    fn lose(&self, pid: u32) {
        let mut written = lock(&self.written);
        let Some(mine) = written.lines.remove(&pid) else { return };
        let mut page = Page { mine, ..written.page };
        // One that is there can be written.
        let line = page.line().unwrap_or(0);
        page.lose(line);
        (0..BELLS).for_each(|bell| page.ring(bell));
        let ring = written.put(&page);
        drop(written);
        self.ring(ring);
    }
}

impl RawLedger for LocalLedger {
    fn change(&self, _: Option<Wait>, work: &mut dyn FnMut(&mut Page)) -> Result<Seen> {
        // Its line is lost, with all that it says.
        if life::has_exited() {
            return Err(Error::Interrupted);
        }
        let me = life::this();
        let pid = me.as_ref().map_or(life::FIRST, |me| me.identity.pid);
        let mut written = lock(&self.written);
        let mine = written.lines.get(&pid).copied().unwrap_or_default();
        let before = Page { mine, ..written.page };
        let mut page = before;
        work(&mut page);
        if page == before {
            return Ok(written.seen);
        }
        page.line()?;
        if page.mine == [0; LANES] {
            written.lines.remove(&pid);
        } else if written.lines.insert(pid, page.mine).is_none()
            && let Some(me) = me
        {
            me.is_on(self.this.clone());
        }
        let ring = written.put(&page);
        let seen = written.seen;
        drop(written);
        self.ring(ring);
        Ok(seen)
    }

    fn wait(&self, bell: usize, seen: Seen, wait: Wait) -> Result<()> {
        let (Some(list), Some(seen)) = (self.bells.get(bell), seen.get(bell)) else {
            return Ok(());
        };
        block(wait, (Operation::LedgerWait, number(self)), &[list], || {
            (lock(&self.written).seen.get(bell) != Some(seen)).then_some(Ok(()))
        })
    }

    fn watch(&self, bell: usize, seen: Seen, waker: &Waker) -> Result<Option<Watch>> {
        let (Some(list), Some(seen)) = (self.bells.get(bell), seen.get(bell)) else {
            waker.wake_by_ref();
            return Ok(Some(Watch::new(())));
        };
        let watch = list.watch(waker);
        // After it is in the list: it was rung meanwhile, or whoever rings it finds this one there.
        let now = lock(&self.written).seen.get(bell).copied();
        if now != Some(*seen) {
            waker.wake_by_ref();
        }
        Ok(Some(watch))
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
}
