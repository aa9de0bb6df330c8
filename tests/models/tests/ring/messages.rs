//! Those who put, those who get, and one who is killed.

use crate::arena::{Arena, CORE};
use crate::ring::{self, Ring};
use crate::sync::patience::Patience;
use procbox_core::raw::Message;
use procbox_core::{Bounds, Wait};
use procbox_models::victim::{killed_before_each_step, run};
use std::sync::Arc;

/// A message so large that no two are in one segment.
const LARGE: usize = 12_000;

/// One that is apart.
const APART: usize = 20_000;

/// A queue of so many messages.
fn queue(most: usize) -> Arc<Arena> {
    let arena = Arena::new();
    let bounds = Bounds::new(Some(most), 1 << 20);
    let filled = arena.transaction(&Patience::deaf(), |txn| ring::fill(&arena, txn, CORE, bounds));
    filled.expect("there is room");
    arena
}

fn put(arena: &Arc<Arena>, number: u64, size: usize) {
    let mut bytes = vec![0; size];
    bytes[..8].copy_from_slice(&number.to_ne_bytes());
    Ring::new(arena, CORE).put(&bytes, &[], Wait::Forever, 0).expect("room comes");
}

fn get(arena: &Arc<Arena>, size: usize) -> u64 {
    let (number, its_size) = get_any(arena);
    assert_eq!(its_size, size);
    number
}

fn get_any(arena: &Arc<Arena>) -> (u64, usize) {
    let mut message = Message::default();
    Ring::new(arena, CORE).get(&mut message, Wait::Forever, 0).expect("a message comes");
    let number = message.bytes[..8].try_into().expect("eight bytes");
    (u64::from_ne_bytes(number), message.bytes.len())
}

/// What whoever recovers a dead process does for a queue of its.
fn recover(arena: &Arc<Arena>) {
    ring::recover(arena, CORE, &Patience::deaf()).expect("nobody is stopped");
    arena.free_record();
}

/// Nothing is lost: what is left is one segment, or two if the head is still to follow a jump.
fn check_blocks(arena: &Arc<Arena>) {
    assert!((1..=2).contains(&arena.blocks()), "{} blocks are not free", arena.blocks());
}

fn spawn<R: 'static>(
    arena: &Arc<Arena>,
    body: impl FnOnce(&Arc<Arena>) -> R + 'static,
) -> loom::thread::JoinHandle<R> {
    let arena = arena.clone();
    loom::thread::spawn(move || body(&arena))
}

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(model);
}

#[test]
fn messages_come_in_order_with_their_bytes() {
    check(3, || {
        let arena = queue(8);
        let producer = spawn(&arena, |arena| (1..3).for_each(|n| put(arena, n, 8)));
        assert_eq!((get(&arena, 8), get(&arena, 8)), (1, 2));
        producer.join().unwrap();
        assert_eq!(Ring::new(&arena, CORE).len(), 0);
    });
}

#[test]
fn one_who_waits_for_room_gets_it() {
    check(3, || {
        let arena = queue(1);
        let producer = spawn(&arena, |arena| (1..3).for_each(|n| put(arena, n, 8)));
        assert_eq!((get(&arena, 8), get(&arena, 8)), (1, 2));
        producer.join().unwrap();
    });
}

#[test]
fn messages_of_two_go_to_two() {
    check(2, || {
        let arena = queue(8);
        let producer = spawn(&arena, |arena| put(arena, 1, 8));
        let consumer = spawn(&arena, |arena| get(arena, 8));
        put(&arena, 2, 8);
        let mut got = [get(&arena, 8), consumer.join().unwrap()];
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
        producer.join().unwrap();
    });
}

/// Each message has a segment, which is freed when the next is got, and used again.
#[test]
fn large_messages_pass_from_segment_to_segment() {
    check(2, || {
        let arena = queue(2);
        let producer = spawn(&arena, |arena| (1..5).for_each(|n| put(arena, n, LARGE)));
        (1..5).for_each(|n| assert_eq!(get(&arena, LARGE), n));
        producer.join().unwrap();
    });
}

/// Each message has a block, which is freed when it was got, and used again.
#[test]
fn messages_that_are_apart_come_in_order() {
    check(2, || {
        let arena = queue(2);
        let producer = spawn(&arena, |arena| (1..4).for_each(|n| put(arena, n, APART)));
        (1..4).for_each(|n| assert_eq!(get(&arena, APART), n));
        producer.join().unwrap();
        check_blocks(&arena);
    });
}

/// Its message is in the queue whole, or not at all; who waits gets the next one, and the counts are right.
fn a_killed_producer(steps: usize, size: usize, others: usize) {
    a_killed_producer_behind(&[], steps, size, others);
}

fn a_killed_producer_behind(before: &[usize], steps: usize, size: usize, others: usize) {
    let arena = queue(8);
    for size in before {
        put(&arena, 0, *size);
        assert_eq!(get(&arena, *size), 0);
    }
    let victim = spawn(&arena, move |arena| {
        if run(steps, || put(arena, 1, size)) {
            recover(arena);
        }
    });
    let producer = spawn(&arena, move |arena| put(arena, 2, others));
    let mut got = vec![get_any(&arena)];
    victim.join().unwrap();
    producer.join().unwrap();
    // As any transaction does, it finishes that of a dead process, if nobody has yet.
    arena.sync(&Patience::deaf()).expect("nobody is stopped");
    let ring = Ring::new(&arena, CORE);
    assert!(ring.len() <= 1, "{} messages are counted", ring.len());
    (0..ring.len()).for_each(|_| got.push(get_any(&arena)));
    got.sort_unstable();
    let (first, second) = ((1, size), (2, others));
    assert!(got == [second] || got == [first, second], "got {got:?}");
    assert!(!ring.is_ready());
    check_blocks(&arena);
}

#[test]
fn a_killed_producer_leaves_its_message_whole_or_not_at_all() {
    killed_before_each_step(2, |steps| a_killed_producer(steps, 8, 8));
}

#[test]
fn a_killed_producer_of_a_large_message_leaves_it_whole_or_not_at_all() {
    killed_before_each_step(1, |steps| a_killed_producer(steps, LARGE, LARGE));
}

/// The next message would have room in the segment before, without a transaction.
#[test]
fn a_killed_producer_of_a_large_message_is_repaired_by_that_of_a_small_one() {
    killed_before_each_step(1, |steps| a_killed_producer_behind(&[LARGE], steps, LARGE, 8));
}

#[test]
fn a_killed_producer_of_a_message_that_is_apart_leaves_it_whole_or_not_at_all() {
    killed_before_each_step(1, |steps| a_killed_producer(steps, APART, APART));
}

#[test]
fn a_killed_producer_of_a_message_that_is_apart_is_repaired_by_that_of_a_small_one() {
    killed_before_each_step(1, |steps| a_killed_producer(steps, APART, 8));
}

/// At most one message goes with it; who waits for a message or for room gets it.
fn a_killed_consumer(steps: usize, most: usize, size: usize) {
    let arena = queue(most);
    let victim = spawn(&arena, move |arena| {
        if run(steps, || _ = get(arena, size)) {
            recover(arena);
        }
    });
    let producer = spawn(&arena, move |arena| (1..3).for_each(|n| put(arena, n, size)));
    let first = get(&arena, size);
    victim.join().unwrap();
    producer.join().unwrap();
    let ring = Ring::new(&arena, CORE);
    assert!(ring.len() <= 1, "{} messages are counted", ring.len());
    if ring.len() == 1 {
        assert_eq!((first, get(&arena, size)), (1, 2));
    }
    assert!(!ring.is_ready());
    check_blocks(&arena);
}

#[test]
fn a_killed_consumer_takes_one_message_with_it_at_most() {
    killed_before_each_step(1, |steps| a_killed_consumer(steps, 8, 8));
}

#[test]
fn a_killed_consumer_keeps_nobody_waiting_for_room() {
    killed_before_each_step(1, |steps| a_killed_consumer(steps, 1, 8));
}

#[test]
fn a_killed_consumer_between_two_segments_takes_one_message_with_it_at_most() {
    killed_before_each_step(1, |steps| a_killed_consumer(steps, 8, LARGE));
}

#[test]
fn a_killed_consumer_of_messages_that_are_apart_takes_one_with_it_at_most() {
    killed_before_each_step(1, |steps| a_killed_consumer(steps, 8, APART));
}
