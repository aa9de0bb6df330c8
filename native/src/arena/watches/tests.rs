//! Who is woken for a change, and in whose place.

use super::group::{End, Group, Thing};
use super::*;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A group of so many, by the numbers 0, 1 and so on.
fn group(wakes: Wakes, n: u64) -> (Group, Vec<Arc<Counter>>) {
    let mut group = Group::new(Thing::Signal { seen: 0 }, wakes);
    let counters: Vec<Arc<Counter>> = (0..n).map(|_| Arc::default()).collect();
    for (number, counter) in counters.iter().enumerate() {
        group.waiting.insert(number as u64, counter.clone().into());
    }
    (group, counters)
}

fn woken(counters: &[Arc<Counter>]) -> Vec<usize> {
    counters.iter().map(|counter| counter.0.load(Ordering::Relaxed)).collect()
}

fn change(group: &mut Group) {
    let mut due = Vec::new();
    group.wake(&mut due);
    due.into_iter().for_each(Waker::wake);
}

fn end(group: &mut Group, number: u64, how: End) {
    group.end(number, how).1.into_iter().for_each(Waker::wake);
}

/// All get what comes, in turn, though everybody who finds something wakes the next in vain.
#[test]
fn of_an_odd_number_none_starves() {
    const CHANGES: u64 = 12;
    let (mut group, counters) = group(Wakes::One, 3);
    let mut found = [0; 3];
    let mut numbers = [0, 1, 2];
    let mut seen = [0; 3];
    for change_number in 0..CHANGES {
        change(&mut group);
        let mut is_there = true;
        // Whoever was woken tries and watches again, until nobody is woken any more.
        while let Some(who) = (0..3).find(|who| woken(&counters)[*who] > seen[*who]) {
            seen[who] += 1;
            let how = if std::mem::take(&mut is_there) { End::Found } else { End::InVain };
            found[who] += u64::from(how == End::Found);
            end(&mut group, numbers[who], how);
            let new = 3 + 2 * change_number + u64::from(how == End::Found);
            numbers[who] = group.enlist(new, counters[who].clone().into());
        }
    }
    assert_eq!(found, [CHANGES / 3; 3]);
}

#[test]
fn who_was_not_woken_has_its_waker_back() {
    let (mut group, counters) = group(Wakes::One, 1);
    let (gone, next) = group.end(0, End::Left);
    assert!(gone.is_some_and(|waker| waker.will_wake(&counters[0].clone().into())));
    assert!(next.is_none());
}

#[test]
fn who_has_found_something_wakes_the_next_and_who_has_not_wakes_nobody() {
    let (mut group, counters) = group(Wakes::One, 4);
    change(&mut group);
    assert_eq!(woken(&counters), [1, 0, 0, 0]);
    end(&mut group, 0, End::Found);
    assert_eq!(woken(&counters), [1, 1, 0, 0]);
    end(&mut group, 1, End::InVain);
    assert_eq!(woken(&counters), [1, 1, 0, 0]);
    change(&mut group);
    assert_eq!(woken(&counters), [1, 1, 1, 0]);
}

#[test]
fn a_wake_that_came_after_a_try_in_vain_goes_to_the_next() {
    let (mut group, counters) = group(Wakes::One, 3);
    // The first looks without having been woken, and finds nothing; two things come, told of once.
    let had_wake = !group.waiting.contains_key(&0);
    change(&mut group);
    assert_eq!(woken(&counters), [1, 0, 0]);
    end(&mut group, 0, End::of_try(false, had_wake));
    assert_eq!(woken(&counters), [1, 1, 0]);
    // The second was woken before it looked: for what it did not find there is nothing to tell of.
    let had_wake = !group.waiting.contains_key(&1);
    end(&mut group, 1, End::of_try(false, had_wake));
    assert_eq!(woken(&counters), [1, 1, 0]);
}

#[test]
fn who_goes_hands_a_wake_on_if_it_had_one() {
    let (mut group, counters) = group(Wakes::One, 4);
    // The first was not woken yet.
    end(&mut group, 0, End::Left);
    assert_eq!(woken(&counters), [0, 0, 0, 0]);
    change(&mut group);
    assert_eq!(woken(&counters), [0, 1, 0, 0]);
    end(&mut group, 2, End::Left);
    end(&mut group, 1, End::Left);
    assert_eq!(woken(&counters), [0, 1, 0, 1]);
    assert!(group.is_answer_due() && !group.is_over());
    end(&mut group, 3, End::Left);
    assert!(group.is_over());
}

#[test]
fn what_is_for_all_wakes_all_once() {
    let (mut group, counters) = group(Wakes::All, 3);
    end(&mut group, 1, End::Left);
    change(&mut group);
    change(&mut group);
    assert_eq!(woken(&counters), [1, 0, 1]);
    assert!(group.is_over());
    end(&mut group, 0, End::Found);
    assert_eq!(woken(&counters), [1, 0, 1]);
}
