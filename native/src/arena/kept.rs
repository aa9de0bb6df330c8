//! Large blocks that are free and keep their memory, so that the next message of their size touches no
//! new page: who gives it back to the system, and when.
//!
//! A block of 256 KiB or more that is freed goes onto a list of *kept* ones (`alloc`), as long as there is
//! a process that looks after them, the *keeper*, and while they are no more than [`MOST_KEPT`] together.
//! A thread of the keeper's looks every [`PAUSE`] whether one of them was used since; when none was, it
//! gives the memory of all back. Who recovers a keeper that has ended is the next one. While there is none,
//! blocks give their memory back when they are freed.

use super::Arena;
use super::alloc::{GIVEN_BACK, KEEPER};
use super::slots::Claim;
use crate::sync::atomic::Ordering;
use crate::sync::patience::Patience;
use procbox_core::{Error, Result};
use std::sync::Weak;
use std::time::Duration;

/// Between two looks: blocks that nobody has used for so long give their memory back.
const PAUSE: Duration = Duration::from_millis(250);

/// Of the word of the keeper: there is one.
const IS_THERE: u64 = 1 << 63;

fn word(claim: Claim) -> u64 {
    IS_THERE | claim.word()
}

impl Arena {
    /// Sees to it that there is a keeper, if so many bytes make a large block.
    #[inline]
    pub(super) fn watch_kept(&self, size: u64) {
        if size > 1 << (GIVEN_BACK - 1) && self.header().keeper.load(Ordering::Relaxed) == 0 {
            self.keep();
        }
    }

    /// Becomes the keeper, unless another does.
    #[cold]
    fn keep(&self) {
        // If that fails blocks are not kept, until another tries.
        let _ = self.keep_after(0, &Patience::brief());
    }

    /// For a keeper that is dead: takes its place, so that the processes of a stream that begin and end one
    /// after another have the same memory.
    ///
    /// # Errors
    /// Those of transactions.
    pub(crate) fn keep_for_the_dead(&self, dead: Claim, patience: &Patience) -> Result<()> {
        if self.header().keeper.load(Ordering::Acquire) == word(dead) {
            self.keep_after(word(dead), patience)?;
        }
        Ok(())
    }

    /// Becomes the keeper, if `before` is in its place.
    fn keep_after(&self, before: u64, patience: &Patience) -> Result<()> {
        let own = word(self.claim(self.me()));
        let made = self.transaction(patience, |txn| match txn.get(KEEPER) {
            keeper if keeper == before => txn.set(KEEPER, own).map(|()| true),
            _ => Ok(false),
        })?;
        if !made {
            return Ok(());
        }
        let arena = self.this.clone();
        let thread = std::thread::Builder::new().name("procbox-kept".into());
        match thread.spawn(move || look_after(&arena, own)) {
            Ok(_) => Ok(()),
            // Nobody would look: nothing is kept.
            Err(_) => self.give_back_kept(own, patience),
        }
    }

    /// Gives the memory of all kept blocks back, one by one, after which there is no keeper.
    fn give_back_kept(&self, keeper: u64, patience: &Patience) -> Result<()> {
        while self.header().keeper.load(Ordering::Acquire) == keeper {
            self.transaction(patience, |txn| match txn.give_back_one() {
                Ok(false) => txn.set(KEEPER, 0),
                other => other.map(drop),
            })?;
        }
        Ok(())
    }
}

/// Gives all kept blocks back when none of them is used any more, and ends.
fn look_after(arena: &Weak<Arena>, own: u64) {
    let mut used = None;
    loop {
        std::thread::sleep(PAUSE);
        let Some(arena) = arena.upgrade() else { return };
        let now = arena.header().kept_used.load(Ordering::Relaxed);
        if used.replace(now) != Some(now) {
            continue;
        }
        match arena.give_back_kept(own, &Patience::brief()) {
            // One that is stopped is in the way.
            Err(Error::TimedOut | Error::Interrupted) => {}
            _ => return,
        }
    }
}
