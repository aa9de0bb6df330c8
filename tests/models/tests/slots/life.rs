//! The processes, and what each does.

use crate::arena::Arena;
use crate::arena::slots::Claim;
use crate::settle::settle;
use crate::sync::patience::Patience;
use crate::world::{
    REQUEST, ROOT, Slots, entered, exit, kill, look_after_unwatched, reap, said, thing,
};
use crate::{kernel, recover};
use procbox_core::Error;
use procbox_models::explore::{Explored, Explorer, saw, serve, spawn, step, wait_until};
use std::sync::Arc;

fn explore(kills: u32, begin: impl Fn() -> Slots) -> Explored {
    let explored = Explorer { kills, most_states: 3_000_000 }.check(begin);
    println!("{explored:?}");
    explored
}

/// A new process: it takes its slot, works, and ends.
fn child(pid: u32, claim: Claim) {
    let arena = Arena::of_slot(0, 0);
    match arena.enter_slot(claim) {
        Ok(request) => {
            assert_eq!(request, REQUEST);
            entered(pid, claim);
            step("work");
        }
        Err(e) => assert_eq!(e, Error::Closed),
    }
    exit(pid);
}

/// A zygote: it forks once, and answers.
fn zygote(pid: u32, parent: u32) {
    wait_until("a request", move || {
        kernel::socket(|socket| socket.request.is_some()) || kernel::has_ended(parent)
    });
    if let Some(claim) = kernel::socket(|socket| socket.request.take()) {
        step("a fork");
        let made = kernel::fork(kernel::parent(pid));
        spawn(made, "child", true, move || child(made, claim));
        step("an answer");
        kernel::socket(|socket| socket.answer = Some(made as i32));
        wait_until("the parent's end", move || kernel::has_ended(parent));
    }
    exit(pid);
}

/// A parent that starts a process by its zygote, whose patience may end at any time, and waits for it.
fn start(arena: &Arena, zygote: u32) {
    let claim = arena.new_slot(&REQUEST, &[thing()], false).expect("a slot");
    step("a request");
    kernel::socket(|socket| socket.request = Some(claim));
    step("an answer, or none");
    let answer = kernel::socket(|socket| socket.answer.take());
    saw(answer.unwrap_or(0) as u64);
    if answer.is_none() {
        kill(zygote);
        kernel::reap(zygote);
    }
    let started = settle(arena, claim, answer.map(Ok).ok_or(Error::Closed));
    said(claim, started.as_ref().ok().map(|pid| *pid as u32));
    if let Ok(pid) = started {
        wait_until("the child's end", move || kernel::has_ended(pid as u32));
        reap(arena, pid as u32, claim);
    }
}

/// A parent without a zygote that starts a process, as soon as it can, and waits for it.
fn start_another(arena: &Arena, me: u32) {
    let claim = arena.new_slot(&REQUEST, &[thing()], false).expect("a slot");
    let made = kernel::fork(me);
    spawn(made, "another", false, move || child(made, claim));
    wait_until("the other's end", move || kernel::has_ended(made));
    reap(arena, made, claim);
}

/// The embedding program starts a process; its zygote and the child are killed, or it gives up on the
/// zygote. Meanwhile another of its threads starts one too, which may get the slot.
#[test]
fn a_start_has_one_truth_whatever_becomes_of_the_zygote_and_the_child() {
    explore(2, || {
        let (slots, arena) = Slots::new();
        let made = kernel::fork(ROOT);
        serve(made, "zygote", true, move || zygote(made, ROOT));
        let other = arena.clone();
        spawn(ROOT, "starter", false, move || start(&arena, made));
        spawn(ROOT, "another starter", false, move || start_another(&other, ROOT));
        slots
    });
}

/// A parent is killed while it starts a process. The embedding program reaps it, looks after what it
/// left, and then starts another.
#[test]
fn what_a_killed_parent_was_about_to_start_leaves_nothing() {
    explore(2, || {
        let (slots, root) = Slots::new();
        let (parent, claim, arena) = Slots::process(&root, ROOT);
        let made = kernel::fork(parent);
        serve(made, "zygote", true, move || zygote(made, parent));
        spawn(parent, "parent", true, move || {
            start(&arena, made);
            exit(parent);
        });
        spawn(ROOT, "reaper", false, move || {
            wait_until("the parent's end", move || kernel::has_ended(parent));
            reap(&root, parent, claim);
            look_after_unwatched(&root);
        });
        slots
    });
}

/// A parent has died with two children. One has died too; the other, an orphan, recovers for both of
/// them while the embedding program does.
fn orphans(root: &Arc<Arena>, killable: bool, looks: bool) {
    let (parent, claim, of_parent) = Slots::process(root, ROOT);
    let (dead, _, _) = Slots::process(&of_parent, parent);
    let (orphan, _, of_orphan) = Slots::process(&of_parent, parent);
    exit(dead);
    exit(parent);
    spawn(orphan, "orphan", killable, move || {
        recover::recover_orphaned(&of_orphan);
        exit(orphan);
    });
    let root = root.clone();
    spawn(ROOT, "reaper", false, move || {
        reap(&root, parent, claim);
        if looks {
            look_after_unwatched(&root);
        } else {
            wait_until("the orphan's end", move || kernel::has_ended(orphan));
            look_after_unwatched(&root);
        }
    });
}

#[test]
fn those_who_recover_the_same_dead_do_it_once_though_one_is_killed() {
    explore(1, || {
        let (slots, root) = Slots::new();
        orphans(&root, true, true);
        slots
    });
}

/// Meanwhile slots are used again.
#[test]
fn those_who_recover_the_same_dead_leave_the_next_alone() {
    explore(0, || {
        let (slots, root) = Slots::new();
        orphans(&root, false, false);
        spawn(ROOT, "starter", false, move || start_another(&root, ROOT));
        slots
    });
}

/// A parent has died, and its child. While the embedding program recovers both, slots are used again.
#[test]
fn no_dead_child_of_a_dead_parent_is_overlooked() {
    explore(0, || {
        let (slots, root) = Slots::new();
        let (parent, claim, of_parent) = Slots::process(&root, ROOT);
        let (dead, _, _) = Slots::process(&of_parent, parent);
        exit(dead);
        exit(parent);
        let other = root.clone();
        spawn(ROOT, "reaper", false, move || {
            reap(&root, parent, claim);
            look_after_unwatched(&root);
        });
        spawn(ROOT, "starter", false, move || start_another(&other, ROOT));
        slots
    });
}

/// Two threads see one child's end: one joins it, one is the reaper. A third starts another process.
#[test]
fn two_threads_that_reap_one_child_leave_the_next_alone() {
    explore(0, || {
        let (slots, root) = Slots::new();
        let (dead, claim, _) = Slots::process(&root, ROOT);
        exit(dead);
        for name in ["joiner", "reaper"] {
            let root = root.clone();
            spawn(ROOT, name, false, move || {
                kernel::reap(dead);
                recover::try_recover(&root, claim, &Patience::brief()).expect("nobody is stopped");
            });
        }
        spawn(ROOT, "starter", false, move || start_another(&root, ROOT));
        slots
    });
}
