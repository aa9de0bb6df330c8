//! The world of these models: an arena, the processes in it, and what is true of them.

use crate::arena::Arena;
use crate::arena::layout::{FREE, HEAP, Header, Object, RUNNING, SLOTS, Slot, Tag};
use crate::arena::map::slot_offset;
use crate::arena::slots::Claim;
use crate::memory::{self, peek, poke};
use crate::sync::patience::Patience;
use crate::sync::robust;
use crate::{kernel, recover};
use procbox_models::explore::{World, mix, saw};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem::offset_of;
use std::sync::Arc;

/// The embedding program, which is never killed. It has slot 0.
pub(crate) const ROOT: u32 = 10;

/// A start request. Its block is as large as a record's, so that the heap has no gaps.
pub(crate) const REQUEST: [u8; 400] = [7; 400];

#[derive(Default)]
struct Truths {
    /// The processes that have taken their slots and have not ended.
    in_slots: BTreeMap<u32, Claim>,
    /// By claim: the pid of the process that took it.
    ran: BTreeMap<(u32, u64), u32>,
    /// By claim: the pid that the start was said to have made; none if it was said to have failed.
    said: BTreeMap<(u32, u64), Option<u32>>,
}

thread_local! {
    static TRUTHS: RefCell<Truths> = RefCell::default();
    static THING: Cell<u64> = const { Cell::new(0) };
    static SET_UP_FOR: Cell<u32> = const { Cell::new(0) };
}

/// The pid of the process that is made ready at the moment.
pub(crate) fn set_up_for() -> u32 {
    SET_UP_FOR.get()
}

/// The object that processes are given.
pub(crate) fn thing() -> u64 {
    THING.get()
}

pub(crate) struct Slots;

fn header(field: usize) -> u64 {
    peek(field as u64)
}

impl Slots {
    /// An arena with the embedding program and a thing of its.
    pub(crate) fn new() -> (Slots, Arc<Arena>) {
        memory::clear();
        robust::clear();
        kernel::clear();
        TRUTHS.take();
        assert_eq!(kernel::fork(1), ROOT);
        SET_UP_FOR.set(ROOT);
        poke(offset_of!(Header, bump) as u64, HEAP);
        poke(offset_of!(Header, slots) as u64, 1);
        poke(slot_offset(0) + offset_of!(Slot, pid) as u64, ROOT.into());
        poke(slot_offset(0) + offset_of!(Slot, state) as u64, RUNNING);
        let arena = Arena::of_slot(0, 0);
        let thing = arena
            .transaction(&Patience::deaf(), |txn| txn.alloc(512, Tag::number(1)))
            .expect("there is room");
        poke(thing + offset_of!(Object, refs) as u64, 1);
        THING.set(thing);
        (Slots, arena)
    }

    /// A process that has been started, with its view of the arena.
    pub(crate) fn process(parent: &Arc<Arena>, of: u32) -> (u32, Claim, Arc<Arena>) {
        SET_UP_FOR.set(of);
        let claim = parent.new_slot(&REQUEST, &[thing()], false).expect("a slot");
        let pid = kernel::fork(of);
        SET_UP_FOR.set(pid);
        let arena = Arena::of_slot(0, 0);
        arena.enter_slot(claim).expect("it is its own");
        entered(pid, claim);
        (pid, claim, arena)
    }
}

/// A process has taken its slot.
pub(crate) fn entered(pid: u32, claim: Claim) {
    TRUTHS.with_borrow_mut(|truths| {
        truths.in_slots.insert(pid, claim);
        let before = truths.ran.insert((claim.slot, claim.generation), pid);
        assert_eq!(before, None, "two processes have taken one reservation");
    });
}

/// What a parent says of a start.
pub(crate) fn said(claim: Claim, pid: Option<u32>) {
    TRUTHS.with_borrow_mut(|truths| truths.said.insert((claim.slot, claim.generation), pid));
}

/// The process that an actor is ends by itself.
pub(crate) fn exit(pid: u32) {
    TRUTHS.with_borrow_mut(|truths| truths.in_slots.remove(&pid));
    kernel::ended(pid);
}

/// A process that was not in the arena's table is ended by another.
pub(crate) fn kill(pid: u32) {
    kernel::kill(pid);
}

/// What a parent does when a child has ended: it reaps, it recovers, and it looks after those whose
/// parents have died.
pub(crate) fn reap(arena: &Arena, pid: u32, claim: Claim) {
    kernel::reap(pid);
    recover::try_recover(arena, claim, &Patience::brief()).expect("nobody is stopped");
}

/// Looks after those whose parents have died until none is left.
pub(crate) fn look_after_unwatched(arena: &Arena) {
    loop {
        let before = digest();
        if !recover::recover_unwatched(arena, &Patience::brief()) {
            return;
        }
        let after = digest();
        saw((before == after).into());
        if before == after {
            procbox_models::explore::wait_until("a change", move || digest() != after);
        }
    }
}

fn digest() -> u64 {
    mix(memory::digest(), kernel::digest())
}

impl World for Slots {
    fn digest(&self) -> u64 {
        TRUTHS.with_borrow(|truths| {
            let digest = mix(memory::digest_with_log(), kernel::digest());
            let digest = truths.in_slots.iter().fold(digest, |d, (pid, _)| mix(d, (*pid).into()));
            let digest = truths.ran.values().fold(digest, |d, pid| mix(d, (*pid).into()));
            truths.said.values().fold(digest, |d, pid| mix(d, pid.map_or(1, u64::from)))
        })
    }

    fn killed(&self, process: u32) {
        exit(process);
    }

    /// A process that has its slot has it until it ends, with all that it was given.
    fn invariant(&self) {
        TRUTHS.with_borrow(|truths| {
            for (pid, claim) in &truths.in_slots {
                let slot = slot_offset(claim.slot);
                let word = |field: usize| peek(slot + field as u64);
                assert_eq!(word(offset_of!(Slot, state)), RUNNING, "state of {pid}'s slot");
                assert_eq!(word(offset_of!(Slot, pid)), u64::from(*pid), "pid of its slot");
                let generation = word(offset_of!(Slot, generation));
                assert_eq!(generation, claim.generation, "generation of {pid}'s slot");
                assert_ne!(peek(slot), 0, "{pid}'s life is held");
                let holds = word(offset_of!(Slot, holds));
                assert_ne!(holds, 0, "{pid} has its record");
                let first = holds + 16;
                assert_eq!(peek(first), thing(), "{pid} has what it was given");
            }
            for (claim, pid) in &truths.said {
                let ran = truths.ran.get(claim);
                match pid {
                    None => assert_eq!(ran, None, "a start that failed ran all the same"),
                    Some(pid) => assert!(ran.is_none_or(|ran| ran == pid), "another ran"),
                }
            }
        });
    }

    /// Slots are free but those of the living, and nothing is lost.
    fn end(&self) {
        let living: Vec<u32> =
            TRUTHS.with_borrow(|truths| truths.in_slots.values().map(|c| c.slot).collect());
        let used = header(offset_of!(Header, slots)).min(SLOTS) as u32;
        for slot in 1..used {
            let state = peek(slot_offset(slot) + offset_of!(Slot, state) as u64);
            if !living.contains(&slot) {
                assert_eq!(state, FREE, "slot {slot} is lost");
            }
        }
        let refs = peek(thing() + offset_of!(Object, refs) as u64);
        assert_eq!(refs, 1 + living.len() as u64, "references to the thing");
        self.no_block_is_lost(living.len() as u64);
    }
}

impl Slots {
    /// Each block of the heap is free, the thing, or a living process's record.
    fn no_block_is_lost(&self, living: u64) {
        let mut taken = header(offset_of!(Header, bump)) - HEAP;
        for class in 0..40 {
            let mut block = header(offset_of!(Header, free) + 8 * class);
            while block != 0 {
                taken -= 1 << class;
                block = peek(block);
            }
        }
        let record = (size_of::<crate::arena::layout::Holds>() as u64).next_power_of_two();
        assert_eq!(taken, 512 + living * record, "bytes of the heap in use");
    }
}
