//! What is done for the dead: giving back what a process held, and taking apart what nobody refers
//! to any more.
//!
//! Each step is a transaction, or can be done twice, and what is left to do is on record: a
//! recovery that is itself killed is continued by whoever recovers next.

use super::Arena;
use super::alloc::{BURYING, GRAVEYARD};
use super::layout::{BODY, End, FREE, Hold, Pipe, QueueCore, RUNNING, SLOTS, SemaphoreCore, Tag};
use super::table::{HOLDS_SIZE, LINK, NEXT, SlotWords, release};
use crate::sync::robust::RobustLock;
use crate::{event, ring, semaphore, sys};
use nix::libc;
use nix::unistd::getppid;
use procbox_core::Result;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, Ordering};

const ENDS: u64 = offset_of!(Pipe, ends) as u64;
pub(crate) const QUEUES: u64 = offset_of!(Pipe, queues) as u64;

impl Arena {
    /// Gives back what a dead process held, and frees its slot. The caller knows that it is dead.
    pub(crate) fn recover(&self, slot: u32) {
        // What an error leaves undone, the next recovery does.
        let _ = self.recover_slot(slot);
        self.bury();
    }

    fn recover_slot(&self, index: u32) -> Result<()> {
        let _recovery = self.header().recovery.0.guard()?;
        let slot = self.slot(index);
        if slot.state.load(Ordering::Acquire) == FREE {
            return Ok(());
        }
        self.header().lock.0.kick();
        self.header().recovery.0.kick();
        self.sync()?;
        // The kernel has marked the lock; unmark it for the slot's next process.
        drop(slot.life.try_guard());
        for entry in self.entries(index) {
            self.recover_hold(entry)?;
        }
        let words = SlotWords::of(index);
        loop {
            let mut txn = self.begin()?;
            match txn.get(words.holds()) {
                0 => break,
                block => {
                    let next = txn.get(block + NEXT);
                    txn.set(words.holds(), next)?;
                    txn.free(block, HOLDS_SIZE)?;
                }
            }
            txn.commit();
        }
        let mut txn = self.begin()?;
        if txn.get(words.spec()) != 0 {
            let (block, size) = (txn.get(words.spec()), txn.get(words.spec_size()));
            txn.free(block, size)?;
            txn.set(words.spec(), 0)?;
        }
        txn.set(words.state(), FREE)?;
        txn.commit();
        Ok(())
    }

    fn recover_hold(&self, entry: u64) -> Result<()> {
        let hold: &Hold = self.at(entry);
        let object = hold.object.load(Ordering::Acquire);
        match self.tag(object) {
            _ if object == 0 => return Ok(()),
            Some(Tag::QUEUE) => ring::kick(self, object + BODY)?,
            Some(Tag::END) => {
                let pipe = self.body::<End>(object).pipe.load(Ordering::Relaxed);
                for core in queues_of(pipe) {
                    ring::kick(self, core)?;
                }
            }
            Some(Tag::LOCK) => self.body::<RobustLock>(object).kick(),
            Some(Tag::EVENT) => event::kick(self.body::<AtomicU32>(object)),
            Some(Tag::SEMAPHORE) => semaphore::give_back_all(self, object, hold)?,
            _ => {}
        }
        let mut txn = self.begin()?;
        txn.set(entry, 0)?;
        if self.tag(object).is_some_and(Tag::is_handle) {
            release(&mut txn, object)?;
        }
        txn.commit();
        Ok(())
    }

    /// Takes the objects in the graveyard apart. If another thread is at it, that one does it all.
    pub(crate) fn bury(&self) {
        let header = self.header();
        let any = || {
            header.graveyard.load(Ordering::Acquire) != 0
                || header.burying.load(Ordering::Acquire) != 0
        };
        while any() {
            let Some(_recovery) = header.recovery.0.try_guard() else { return };
            while any() {
                if self.bury_one().is_err() {
                    return;
                }
            }
        }
    }

    fn bury_one(&self) -> Result<()> {
        let mut txn = self.begin()?;
        let object = match txn.get(BURYING) {
            0 => {
                let first = txn.get(GRAVEYARD);
                if first == 0 {
                    return Ok(());
                }
                let next = txn.get(first + LINK);
                txn.set(BURYING, first)?;
                txn.set(GRAVEYARD, next)?;
                txn.commit();
                first
            }
            object => {
                drop(txn);
                object
            }
        };
        match self.tag(object) {
            Some(Tag::QUEUE) => {
                ring::drain(self, object + BODY)?;
                let mut txn = self.begin()?;
                ring::free_last(self, &mut txn, object + BODY)?;
                txn.free(object, BODY + size_of::<QueueCore>() as u64)?;
                txn.set(BURYING, 0)?;
                txn.commit();
            }
            Some(Tag::END) => self.bury_end(object)?,
            Some(Tag::PIPE) => {
                for core in queues_of(object) {
                    ring::drain(self, core)?;
                }
                let mut txn = self.begin()?;
                for core in queues_of(object) {
                    ring::free_last(self, &mut txn, core)?;
                }
                txn.free(object, size_of::<Pipe>() as u64)?;
                txn.set(BURYING, 0)?;
                txn.commit();
            }
            tag => {
                let size = match tag {
                    Some(Tag::SEMAPHORE) => BODY + size_of::<SemaphoreCore>() as u64,
                    Some(Tag::LOCK) => BODY + 40,
                    _ => BODY + 4,
                };
                let mut txn = self.begin()?;
                if matches!(tag, Some(Tag::SEMAPHORE | Tag::LOCK | Tag::EVENT)) {
                    txn.free(object, size)?;
                }
                txn.set(BURYING, 0)?;
                txn.commit();
            }
        }
        Ok(())
    }

    /// The end of a pipe is gone: nothing more comes from it and nothing more goes to it.
    fn bury_end(&self, object: u64) -> Result<()> {
        let end: &End = self.body(object);
        let pipe = end.pipe.load(Ordering::Relaxed);
        let side = end.side.load(Ordering::Relaxed) as usize & 1;
        let cores = queues_of(pipe);
        // In this order: a receiver that sees the end, and then sends, must be told so too.
        ring::close(self, cores[side])?;
        ring::close(self, cores[1 - side])?;
        // Nobody will receive what was sent to it; the handles in there must not live on.
        ring::drain(self, cores[side])?;
        let mut txn = self.begin()?;
        let left = txn.get(pipe + ENDS).saturating_sub(1);
        txn.set(pipe + ENDS, left)?;
        txn.free(object, BODY + size_of::<End>() as u64)?;
        txn.set(BURYING, if left == 0 { pipe } else { 0 })?;
        txn.commit();
        Ok(())
    }

    /// If this process's parent is dead, nobody watches this process and its siblings: does the
    /// parent's recovery, and that of all dead processes whose parents are dead.
    pub(crate) fn recover_orphaned(&self) {
        let parent = self.parent.load(Ordering::Relaxed);
        if parent == 0 || getppid().as_raw() as u32 == parent {
            return;
        }
        let was = self.slot(self.me()).parent.load(Ordering::Relaxed);
        let slot = self.slot((was >> 32) as u32);
        if slot.pid.load(Ordering::Relaxed) == u64::from(was as u32) {
            self.recover((was >> 32) as u32);
        }
        self.recover_unwatched();
    }

    /// Recovers the dead processes whose parents are dead, who would have done it. Whether there are
    /// others without a parent that still live.
    pub(crate) fn recover_unwatched(&self) -> bool {
        let mut some_live = false;
        let slots = self.header().slots.load(Ordering::Acquire).min(SLOTS) as u32;
        for index in (0..slots).filter(|index| *index != self.me()) {
            let slot = self.slot(index);
            if slot.state.load(Ordering::Acquire) != RUNNING {
                continue;
            }
            let parent = slot.parent.load(Ordering::Relaxed);
            let above = self.slot((parent >> 32) as u32);
            let watched = above.state.load(Ordering::Acquire) != FREE
                && above.pid.load(Ordering::Relaxed) == u64::from(parent as u32);
            if watched {
                continue;
            }
            let pid = slot.pid.load(Ordering::Relaxed) as libc::pid_t;
            // When the main thread is dead, the process is when it has ended: gone, or a zombie that
            // nobody reaps.
            if slot.life.is_free() && sys::has_ended(pid) {
                self.recover(index);
            } else {
                some_live = true;
            }
        }
        some_live
    }
}

/// The offsets of a pipe's two queues.
pub(crate) fn queues_of(pipe: u64) -> [u64; 2] {
    [pipe + QUEUES, pipe + QUEUES + size_of::<QueueCore>() as u64]
}
