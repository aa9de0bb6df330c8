//! The raw trait of ledgers: a page is read, changed here, and put in force unless somebody else has
//! changed it meanwhile.

use super::primitives::Own;
use super::sys;
use procbox_abi::LedgerPage;
use procbox_core::raw::{BELLS, Page, RawLedger, Seen};
use procbox_core::time::{Clock, SystemClock};
use procbox_core::{Result, Wait};
use std::sync::Arc;

pub(super) struct GuestLedger(pub(super) Own);

fn page_of(from: &LedgerPage) -> Page {
    Page {
        words: [
            from.word_0,
            from.word_1,
            from.word_2,
            from.word_3,
            from.word_4,
            from.word_5,
            from.word_6,
            from.word_7,
        ],
        lost: [from.lost_0, from.lost_1, from.lost_2],
        mine: Page::lanes(from.line),
        ring: [0; BELLS],
    }
}

fn to_write(version: u64, page: &Page) -> Result<LedgerPage> {
    let [word_0, word_1, word_2, word_3, word_4, word_5, word_6, word_7] = page.words;
    let ([lost_0, lost_1, lost_2], [ring_0, ring_1]) = (page.lost, page.ring);
    Ok(LedgerPage {
        version,
        word_0,
        word_1,
        word_2,
        word_3,
        word_4,
        word_5,
        word_6,
        word_7,
        lost_0,
        lost_1,
        lost_2,
        line: page.line()?,
        ring_0,
        ring_1,
    })
}

impl RawLedger for GuestLedger {
    fn change(&self, _: Option<Wait>, work: &mut dyn FnMut(&mut Page)) -> Result<Seen> {
        let Own(handle) = self.0;
        loop {
            let read = sys::ledger_read(handle)?;
            let before = page_of(&read);
            let mut page = before;
            work(&mut page);
            let mut seen = [read.ring_0, read.ring_1];
            if page == before {
                return Ok(seen);
            }
            if sys::ledger_write(handle, &to_write(read.version, &page)?)? {
                for (seen, ring) in seen.iter_mut().zip(page.ring) {
                    *seen = seen.wrapping_add(u32::from(ring > 0));
                }
                return Ok(seen);
            }
        }
    }

    fn wait(&self, bell: usize, seen: Seen, wait: Wait) -> Result<()> {
        let seen = seen.get(bell).copied().unwrap_or(0);
        // A bell that there is not the host refuses.
        let bell = i32::try_from(bell).unwrap_or(-1);
        sys::check(sys::ledger_wait(self.0.0, bell, seen as i32, wait.to_nanos())).map(|_| ())
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
}
