//! Descent: whose child each process of the table is, also when those in between have ended.
//!
//! A slot has the claim of its parent's slot as its *ancestor*. Before a dead process's slot becomes free,
//! what has it as ancestor is handed to its own. So as long as a process's slot is not free, from each slot
//! of what descends from it a chain of ancestors leads to it.

use super::Arena;
use super::layout::{FREE, RUNNING, SLOTS, STARTING, WITHDRAWN};
use super::record::SlotWords;
use super::slots::Claim;
use crate::sync::atomic::Ordering;
use crate::sync::patience::Patience;
use procbox_core::Result;

/// The slots that one transaction hands over.
const AT_ONCE: usize = 512;

/// Of the word of a claim, the bits of its generation.
const GENERATION: u32 = 48;

impl Claim {
    /// One word for it.
    pub(super) fn word(self) -> u64 {
        u64::from(self.slot) << GENERATION | self.generation & ((1 << GENERATION) - 1)
    }
}

impl Arena {
    fn taken_slots(&self) -> impl Iterator<Item = u32> + '_ {
        let slots = self.header().slots.load(Ordering::Acquire).min(SLOTS) as u32;
        (0..slots).filter(|slot| self.slot(*slot).state.load(Ordering::Acquire) != FREE)
    }

    /// Hands what has a dead process as its ancestor to that one's own, before its slot is freed. It can be
    /// done twice.
    ///
    /// # Errors
    /// Those of transactions.
    pub(crate) fn hand_over_children(&self, dead: Claim, patience: &Patience) -> Result<()> {
        let ancestor = self.slot(dead.slot).ancestor.load(Ordering::Acquire);
        if ancestor == dead.word() {
            // Scribbled over: nobody is his own.
            return Ok(());
        }
        let is_child =
            |slot: &u32| self.slot(*slot).ancestor.load(Ordering::Acquire) == dead.word();
        loop {
            let children: Vec<u32> = self.taken_slots().filter(is_child).take(AT_ONCE).collect();
            if children.is_empty() {
                return Ok(());
            }
            self.transaction(patience, |txn| {
                let mut still = children.iter().filter(|slot| is_child(slot));
                still.try_for_each(|slot| txn.set(SlotWords::of(*slot).ancestor(), ancestor))
            })?;
        }
    }

    /// The slots of what descends from a process, whose slot is not free.
    fn descent(&self, from: Claim) -> Vec<u32> {
        let slots: Vec<u32> = self.taken_slots().collect();
        let mut claims = vec![from.word()];
        let mut found = Vec::new();
        let mut left = slots;
        loop {
            let descends =
                |slot: &u32| claims.contains(&self.slot(*slot).ancestor.load(Ordering::Acquire));
            let (next, others): (Vec<u32>, Vec<u32>) =
                left.into_iter().filter(|slot| *slot != from.slot).partition(descends);
            if next.is_empty() {
                return found;
            }
            claims = next.iter().map(|slot| self.claim(*slot).word()).collect();
            found.extend(next);
            left = others;
        }
    }

    /// The pids of the running processes that descend from one, as far as the table says just now.
    pub(crate) fn descendants(&self, from: Claim) -> Vec<i32> {
        let descent = self.descent(from).into_iter().map(|slot| self.slot(slot));
        let running = descent.filter(|slot| slot.state.load(Ordering::Acquire) == RUNNING);
        // The main thread, whose id is the pid, holds this as long as it lives.
        let pids = running.filter_map(|slot| {
            let pid = slot.pid.load(Ordering::Relaxed);
            (slot.life.holder().map(u64::from) == Some(pid)).then_some(pid as i32)
        });
        pids.collect()
    }

    /// Takes back all reservations for what would descend from a process: these never run. The slots of
    /// those that do run, and the pids.
    ///
    /// # Errors
    /// Those of transactions.
    pub(crate) fn withdraw_descendants(
        &self,
        from: Claim,
        patience: &Patience,
    ) -> Result<Vec<(u32, i32)>> {
        self.transaction(patience, |txn| {
            let mut running = Vec::new();
            for index in self.descent(from) {
                let words = SlotWords::of(index);
                match txn.get(words.state()) {
                    STARTING => txn.set(words.state(), WITHDRAWN)?,
                    RUNNING => running.push((index, txn.get(words.pid()) as i32)),
                    _ => {}
                }
            }
            Ok(running)
        })
    }
}
