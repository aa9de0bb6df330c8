//! Recovery of the dead: giving back what a process held, and freeing its place.
//!
//! Each step is a transaction, or can be done twice, and what is left to do is on record: a
//! recovery that is itself killed is continued by whoever recovers next. What has to be done for an
//! object only its kind knows; which kinds there are is said in `kinds`.
//!
//! `tests/models` goes through the orders in which this, starts and deaths can happen.

use crate::arena::Arena;
use crate::arena::layout::{FREE, Hold, SLOTS, STARTING, WITHDRAWN};
use crate::arena::put_off::Left;
use crate::arena::record::{By, SlotWords};
use crate::arena::slots::Claim;
use crate::sync::atomic::Ordering;
use crate::sync::patience::Patience;
use crate::syscalls;
use procbox_core::{Error, Result};

/// Gives back what a dead process held, and frees its slot: at once, or in the background if a process
/// is stopped that is in the way.
pub(crate) fn recover(arena: &Arena, claim: Claim) {
    if try_recover(arena, claim, &Patience::brief()).is_err() {
        arena.put_off(Some(Left::Dead(claim)));
    }
}

/// Gives back what a dead process held, and frees its slot. The caller knows that it is dead. If
/// somebody else has done so already the slot may be another's by now, which is left alone.
///
/// # Errors
/// [`Error::TimedOut`] and [`Error::Interrupted`] if that is not done: by a second attempt, it is.
pub(crate) fn try_recover(arena: &Arena, claim: Claim, patience: &Patience) -> Result<()> {
    let slot = |_| recover_slot(arena, claim, patience);
    match arena.header().recovery.0.hold(patience, slot) {
        Err(e @ (Error::TimedOut | Error::Interrupted)) => return Err(e),
        // Another error comes of memory that was scribbled over.
        _ => arena.reclaim(),
    }
    Ok(())
}

fn recover_slot(arena: &Arena, claim: Claim, patience: &Patience) -> Result<()> {
    let index = claim.slot;
    let slot = arena.slot(index);
    // Slots become free under the recovery lock only, so this stays true.
    if !arena.holds_good(claim, patience)? {
        return Ok(());
    }
    arena.header().lock.0.wake_all();
    arena.header().recovery.0.wake_all();
    arena.sync(patience)?;
    // The kernel has marked the lock; unmark it for the slot's next process.
    slot.life.try_hold(|_| Ok(()))?;
    arena.forget_waits(index);
    for entry in arena.entries(index) {
        recover_hold(arena, entry, patience)?;
    }
    arena.keep_for_the_dead(claim, patience)?;
    arena.hand_over_children(claim, patience)?;
    arena.free_record(index, patience)?;
    arena.transaction(patience, |txn| txn.set(SlotWords::of(index).state(), FREE))
}

fn recover_hold(arena: &Arena, entry: u64, patience: &Patience) -> Result<()> {
    let hold: &Hold = arena.at(entry);
    let object = hold.object.load(Ordering::Acquire);
    if object == 0 {
        return Ok(());
    }
    let Some(kind) = arena.kind(object) else {
        // A message that it was writing or reading in place.
        return arena.free_loaned(entry, patience);
    };
    kind.recover(arena, object, hold, patience)?;
    arena.transaction(patience, |txn| {
        txn.set(entry, 0)?;
        if kind.is_handle() { arena.release(txn, object, By::Process) } else { Ok(()) }
    })
}

/// If this process's parent is dead, nobody watches this process and its siblings: does the
/// parent's recovery, and that of all dead processes whose parents are dead.
pub(crate) fn recover_orphaned(arena: &Arena) {
    let Some(parent) = arena.parent() else { return };
    if syscalls::parent() == parent {
        return;
    }
    let patience = Patience::brief();
    let was = arena.slot(arena.me()).parent.load(Ordering::Relaxed);
    let claim = arena.claim((was >> 32) as u32);
    if arena.slot(claim.slot).pid.load(Ordering::Acquire) == u64::from(was as u32) {
        // What is not done is done by the next look.
        let _ = try_recover(arena, claim, &patience);
    }
    recover_unwatched(arena, &patience);
}

/// Recovers the dead processes whose parents are dead, who would have done it. Whether there are
/// others without a parent that still live, or that a stopped process keeps from being recovered.
pub(crate) fn recover_unwatched(arena: &Arena, patience: &Patience) -> bool {
    loop {
        let (recovered, some_live) = look_at_unwatched(arena, patience);
        // Whose parent was recovered just now nobody watches either.
        if !recovered {
            return some_live;
        }
    }
}

/// One look at all slots: whether a process was recovered, and as [`recover_unwatched`].
fn look_at_unwatched(arena: &Arena, patience: &Patience) -> (bool, bool) {
    let (mut recovered, mut some_live) = (false, false);
    let mut recover = |claim| {
        let done = try_recover(arena, claim, patience).is_ok();
        recovered |= done && matches!(arena.holds_good(claim, patience), Ok(false));
        !done
    };
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
            match arena.withdraw(claim, patience) {
                Ok(None) => some_live |= recover(claim),
                Ok(Some(_)) | Err(Error::TimedOut | Error::Interrupted) => some_live = true,
                // Another's by now.
                Err(_) => {}
            }
            continue;
        }
        let pid = slot.pid.load(Ordering::Relaxed) as i32;
        // When the main thread is dead, the process is when it has ended: gone, or a zombie that
        // nobody reaps.
        if slot.life.is_free() && syscalls::has_ended(pid) {
            some_live |= recover(claim);
        } else {
            some_live = true;
        }
    }
    (recovered, some_live)
}
