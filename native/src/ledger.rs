//! The ledger: a page of numbers under a robust lock, kept twice.
//!
//! Whoever changes it writes the sheet that is not in force, with what its own line is to be and where
//! that stands in its record, and then the version, which puts the sheet in force: that one store is
//! the change. Behind it the line is copied into the record, and that is noted on the sheet. If the
//! writer dies before the store, nothing has happened; if it dies behind it, the next holder of the lock
//! copies the line. So page and line are never apart, and the line of a dead process, found in its
//! record, is what it had.

use crate::arena::Arena;
use crate::arena::held::Held;
use crate::arena::kind::{Kind, Needs, Rest};
use crate::arena::layout::{BODY, Hold, Tag, shared};
use crate::arena::waits::{Awaits, Patient};
use crate::arena::watches::Wakes;
use crate::sync::futex;
use crate::sync::patience::Patience;
use crate::sync::robust::RobustLock;
use crate::sync::signal::Signal;
use procbox_core::observe::{Operation, Waiting};
use procbox_core::raw::{BELLS, Handle, LANES, Page, RawLedger, Seen, WORDS, Watch};
use procbox_core::time::{Clock, SystemClock};
use procbox_core::{Result, Wait};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::Waker;

shared! {
    /// The body of a ledger. All zero is one that nobody has written on.
    struct Core {
        /// Held by whoever looks at the page or changes it, for that moment.
        lock: RobustLock,
        /// The number of changes; its parity says which sheet is in force.
        version: AtomicU64,
        /// The page as it is, and as it was or is about to be.
        sheets: [Sheet; 2],
        /// For those who wait.
        bells: [Signal; BELLS],
    }

    /// One state of the page.
    struct Sheet {
        words: [AtomicU64; WORDS],
        lost: [AtomicU64; LANES],
        /// How often each bell was rung.
        rung: [AtomicU32; BELLS],
        /// The entry of a record whose line is yet to be what follows; 0 for none.
        entry: AtomicU64,
        line: AtomicU64,
    }
}

/// A ledger, by handle.
pub(crate) struct NativeLedger(Arc<Held>);

/// Kind of ledgers, as the arena sees it.
pub(crate) struct LedgerKind;

const SIZE: u64 = size_of::<Core>() as u64;

impl Kind for LedgerKind {
    fn tag(&self) -> Tag {
        Tag::number(7)
    }

    fn size(&self) -> u64 {
        BODY + SIZE
    }

    fn handle(&self, held: Arc<Held>) -> Option<Handle> {
        Some(Handle::Ledger(Arc::new(NativeLedger(held))))
    }

    fn held<'a>(&self, handle: &'a Handle) -> Option<&'a Arc<Held>> {
        let Handle::Ledger(raw) = handle else { return None };
        (&**raw as &dyn Any).downcast_ref().map(|ledger: &NativeLedger| &ledger.0)
    }

    fn rest(&self, _: &Arena, _: u64, hold: &Hold) -> Rest {
        if hold.line() == 0 { Rest::Nothing } else { Rest::Recorded }
    }

    fn needs(&self, arena: &Arena, awaits: &Awaits) -> Needs {
        let (bell, seen) = ((awaits.detail >> 32) as usize, awaits.detail as u32);
        let core: &Core = arena.body(awaits.object);
        if core.rung(bell) == seen { Needs::Referrers } else { Needs::Nothing }
    }

    fn recover(&self, arena: &Arena, object: u64, hold: &Hold, patience: &Patience) -> Result<()> {
        let core: &Core = arena.body(object);
        core.lock.hold(patience, |_| {
            core.lock.wake_all();
            core.settle(arena, object);
            let line = hold.line();
            if line != 0 {
                let mut page = core.page(hold);
                page.lose(line);
                (0..BELLS).for_each(|bell| page.ring(bell));
                core.write(&page, arena.offset_of(hold), 0);
                core.settle(arena, object);
            }
            Ok(())
        })?;
        // It may have died before it rang.
        core.bells.iter().for_each(|bell| bell.bump(arena.shared(), futex::wake_all));
        Ok(())
    }
}

impl Core {
    fn sheet(&self, version: u64) -> &Sheet {
        &self.sheets[(version % 2) as usize]
    }

    /// The sheet that is in force.
    fn in_force(&self) -> &Sheet {
        self.sheet(self.version.load(Ordering::SeqCst))
    }

    /// How often a bell was rung. Without the lock it may be one that is about to be.
    fn rung(&self, bell: usize) -> u32 {
        self.in_force().rung.get(bell).map_or(0, |rung| rung.load(Ordering::SeqCst))
    }

    /// The page as the process of this entry sees it, for who has the lock.
    fn page(&self, hold: &Hold) -> Page {
        let sheet = self.in_force();
        Page {
            words: sheet.words.each_ref().map(|word| word.load(Ordering::Relaxed)),
            lost: sheet.lost.each_ref().map(|word| word.load(Ordering::Relaxed)),
            mine: Page::lanes(hold.line()),
            ring: [0; BELLS],
        }
    }

    /// Puts a page in force, with a line that is to be copied yet; for who has the lock.
    fn write(&self, page: &Page, entry: u64, line: u64) {
        let version = self.version.load(Ordering::Relaxed);
        let (old, new) = (self.sheet(version), self.sheet(version.wrapping_add(1)));
        for (to, word) in new.words.iter().zip(page.words) {
            to.store(word, Ordering::Relaxed);
        }
        for (to, word) in new.lost.iter().zip(page.lost) {
            to.store(word, Ordering::Relaxed);
        }
        for ((to, before), ring) in new.rung.iter().zip(&old.rung).zip(page.ring) {
            let more = u32::from(ring > 0);
            to.store(before.load(Ordering::Relaxed).wrapping_add(more), Ordering::SeqCst);
        }
        new.line.store(line, Ordering::Relaxed);
        new.entry.store(entry, Ordering::Release);
        self.version.store(version.wrapping_add(1), Ordering::SeqCst);
    }

    /// Copies a line that is to be copied yet; for who has the lock.
    #[inline]
    fn settle(&self, arena: &Arena, object: u64) {
        let sheet = self.in_force();
        let entry = sheet.entry.load(Ordering::Acquire);
        if entry != 0 {
            let hold: &Hold = arena.at(entry);
            // It is another's only if this process has let go of it, with an empty line.
            if hold.object.load(Ordering::Relaxed) == object {
                hold.set_line(sheet.line.load(Ordering::Relaxed));
            }
            sheet.entry.store(0, Ordering::Release);
        }
    }
}

impl NativeLedger {
    pub(crate) fn create(arena: &Arc<Arena>) -> Result<NativeLedger> {
        let held = arena.create_object(&LedgerKind, |_, object| {
            arena.zero(object + BODY, SIZE);
            Ok(())
        });
        held.map(NativeLedger)
    }

    #[inline]
    fn core(&self) -> &Core {
        self.0.arena.body(self.0.offset)
    }
}

impl RawLedger for NativeLedger {
    fn change(&self, wait: Option<Wait>, work: &mut dyn FnMut(&mut Page)) -> Result<Seen> {
        let patience = wait.map_or(Patience::deaf(), Patience::new);
        let (arena, object, core, hold) =
            (&*self.0.arena, self.0.offset, self.core(), self.0.hold());
        let (seen, ring) = core.lock.hold(&patience, |_| {
            core.settle(arena, object);
            let before = core.page(hold);
            let mut page = before;
            work(&mut page);
            if page != before {
                core.write(&page, self.0.entry(), page.line()?);
                core.settle(arena, object);
            }
            let rung = core.in_force().rung.each_ref().map(|rung| rung.load(Ordering::Relaxed));
            Ok((rung, page.ring))
        })?;
        // All are woken: see `sync::signal`.
        for (bell, _) in core.bells.iter().zip(ring).filter(|(_, ring)| *ring > 0) {
            bell.changed(arena.shared(), futex::wake_all);
        }
        Ok(seen)
    }

    fn wait(&self, bell: usize, seen: Seen, wait: Wait) -> Result<()> {
        let core = self.core();
        let (Some(signal), Some(seen)) = (core.bells.get(bell), seen.get(bell)) else {
            return Ok(());
        };
        let until = wait.deadline(&SystemClock);
        let (operation, object) = (Operation::LedgerWait, self.0.offset);
        let waiting = Waiting::begin(std::process::id, operation, object);
        let detail = (bell as u64) << 32 | u64::from(*seen);
        let mut patient = Patient::new(&self.0.arena, wait, Awaits { operation, object, detail });
        loop {
            let announced = signal.announce();
            if core.rung(bell) != *seen {
                waiting.end(true);
                return Ok(());
            }
            patient.block(announced, until)?;
        }
    }

    fn watch(&self, bell: usize, seen: Seen, waker: &Waker) -> Result<Option<Watch>> {
        let core = self.core();
        let (Some(signal), Some(seen)) = (core.bells.get(bell), seen.get(bell)) else {
            waker.wake_by_ref();
            return Ok(Some(Watch::new(())));
        };
        // All: see `sync::signal`.
        let watch = self.0.watch(signal, Wakes::All, waker)?;
        if core.rung(bell) != *seen {
            waker.wake_by_ref();
        }
        Ok(Some(watch))
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }
}
