//! Recovery of the dead: giving back what a process held, and freeing its place.
//!
//! Each step is a transaction, or can be done twice, and what is left to do is on record: a
//! recovery that is itself killed is continued by whoever recovers next. What has to be done for an
//! object only its kind knows; which kinds there are is said here.

use crate::arena::layout::{FREE, Hold, SLOTS, STARTING, WITHDRAWN};
use crate::arena::record::{SlotWords, release};
use crate::arena::slots::Claim;
use crate::arena::{Above, Arena};
use crate::{event, lock, pipe, queue, semaphore, syscalls};
use nix::libc;
use nix::unistd::getppid;
use procbox_core::Result;
use std::sync::atomic::Ordering;

/// The kinds and the recovery that every arena of this process is made with.
pub(crate) static ABOVE: Above = Above {
    kinds: &[
        &lock::LockKind,
        &semaphore::SemaphoreKind,
        &event::EventKind,
        &queue::QueueKind,
        &pipe::EndKind,
        &pipe::PipeKind,
    ],
    recover_orphaned,
};

/// Gives back what a dead process held, and frees its slot. The caller knows that it is dead. If
/// somebody else has done so already the slot may be another's by now, which is left alone.
pub(crate) fn recover(arena: &Arena, claim: Claim) {
    // What an error leaves undone, the next recovery does.
    let _ = arena.header().recovery.0.hold(|_| recover_slot(arena, claim));
    arena.reclaim();
}

fn recover_slot(arena: &Arena, claim: Claim) -> Result<()> {
    let index = claim.slot;
    let slot = arena.slot(index);
    // A transaction of a dead one may be the one that reserved the slot, or that freed it.
    arena.sync()?;
    // Slots become free under the recovery lock only, so this stays true.
    if !arena.holds_good(claim) {
        return Ok(());
    }
    arena.header().lock.0.wake_all();
    arena.header().recovery.0.wake_all();
    arena.sync()?;
    // The kernel has marked the lock; unmark it for the slot's next process.
    slot.life.try_hold(|_| Ok(()))?;
    for entry in arena.entries(index) {
        recover_hold(arena, entry)?;
    }
    arena.free_record(index)?;
    arena.transaction(|txn| txn.set(SlotWords::of(index).state(), FREE))
}

fn recover_hold(arena: &Arena, entry: u64) -> Result<()> {
    let hold: &Hold = arena.at(entry);
    let object = hold.object.load(Ordering::Acquire);
    if object == 0 {
        return Ok(());
    }
    let kind = arena.kind(object);
    if let Some(kind) = kind {
        kind.recover(arena, object, hold)?;
    }
    arena.transaction(|txn| {
        txn.set(entry, 0)?;
        if kind.is_some_and(|kind| kind.is_handle()) { release(txn, object) } else { Ok(()) }
    })
}

/// If this process's parent is dead, nobody watches this process and its siblings: does the
/// parent's recovery, and that of all dead processes whose parents are dead.
fn recover_orphaned(arena: &Arena) {
    let Some(parent) = arena.parent() else { return };
    if getppid().as_raw() as u32 == parent {
        return;
    }
    let was = arena.slot(arena.me()).parent.load(Ordering::Relaxed);
    let claim = arena.claim((was >> 32) as u32);
    if arena.slot(claim.slot).pid.load(Ordering::Acquire) == u64::from(was as u32) {
        recover(arena, claim);
    }
    recover_unwatched(arena);
}

/// Recovers the dead processes whose parents are dead, who would have done it. Whether there are
/// others without a parent that still live.
pub(crate) fn recover_unwatched(arena: &Arena) -> bool {
    let mut some_live = false;
    let slots = arena.header().slots.load(Ordering::Acquire).min(SLOTS) as u32;
    for index in (0..slots).filter(|index| *index != arena.me()) {
        let claim = arena.claim(index);
        let slot = arena.slot(index);
        let state = slot.state.load(Ordering::Acquire);
        if state == FREE {
            continue;
        }
        let parent = slot.parent.load(Ordering::Relaxed);
        let above = arena.slot((parent >> 32) as u32);
        let watched = above.state.load(Ordering::Acquire) != FREE
            && above.pid.load(Ordering::Relaxed) == u64::from(parent as u32);
        if watched {
            continue;
        }
        // Its parent was killed before it had run; it does not, unless it has begun meanwhile.
        if matches!(state, STARTING | WITHDRAWN) {
            match arena.withdraw(claim) {
                Ok(None) => recover(arena, claim),
                Ok(Some(_)) => some_live = true,
                // Another's by now.
                Err(_) => {}
            }
            continue;
        }
        let pid = slot.pid.load(Ordering::Relaxed) as libc::pid_t;
        // When the main thread is dead, the process is when it has ended: gone, or a zombie that
        // nobody reaps.
        if slot.life.is_free() && syscalls::has_ended(pid) {
            recover(arena, claim);
        } else {
            some_live = true;
        }
    }
    some_live
}

#[cfg(test)]
mod tests {
    use super::ABOVE;
    use crate::arena::layout::Tag;

    #[test]
    fn each_kind_stands_where_its_tag_leads() {
        let mut numbers = 1..;
        for kind in ABOVE.kinds {
            assert_eq!(Some(kind.tag()), numbers.next().map(Tag::number));
        }
    }
}
