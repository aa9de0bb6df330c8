//! The rules of a condition's ledger, in any order of what can happen: no notification is lost, and none
//! wakes one that came after it.

use super::*;
use crate::raw::Page;
use proptest::prelude::*;

/// One that waits: the process that it is of, its place, and what it was told so far.
struct Sleeper {
    process: usize,
    place: Place,
    /// Notifications that were given since it came.
    since: u64,
}

#[derive(Clone, Debug)]
enum Event {
    Come(usize),
    Notify(u64),
    Look(usize),
    GiveUp(usize),
    Die(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0usize..3).prop_map(Event::Come),
        (0u64..4).prop_map(Event::Notify),
        (0usize..8).prop_map(Event::Look),
        (0usize..8).prop_map(Event::GiveUp),
        (0usize..3).prop_map(Event::Die),
    ]
}

/// A page, and the lines of three processes.
#[derive(Default)]
struct World {
    page: Page,
    lines: [[u32; 3]; 3],
    asleep: Vec<Sleeper>,
}

impl World {
    fn step<T>(&mut self, process: usize, work: impl FnOnce(&mut Page) -> T) -> T {
        self.page.mine = self.lines[process];
        let answer = work(&mut self.page);
        self.lines[process] = self.page.mine;
        self.page.ring = [0; 2];
        answer
    }

    /// Those who would go on if they looked now.
    fn called(&mut self) -> usize {
        let before = (self.page, self.lines);
        let places: Vec<_> = self.asleep.iter().map(|it| (it.process, it.place)).collect();
        let called = places
            .into_iter()
            .filter(|(process, place)| self.step(*process, |page| take(page, *place)));
        let called = called.count();
        (self.page, self.lines) = before;
        called
    }
}

proptest! {
    #[test]
    fn no_notification_is_lost_and_none_is_for_who_comes_later(
        events in prop::collection::vec(event(), 0..200),
    ) {
        let mut world = World::default();
        // What one has left goes to another, whenever that came.
        let mut is_passed_on = false;
        for event in events {
            let before = world.called();
            match event {
                Event::Come(process) => {
                    let place = world.step(process, come);
                    world.asleep.push(Sleeper { process, place, since: 0 });
                    prop_assert_eq!(world.called(), before, "it takes no call with it");
                }
                Event::Notify(n) => {
                    let late = world.page.words[LATE];
                    let told = world.step(0, |page| notify(page, n));
                    let asleep = world.asleep.len() as u64;
                    prop_assert!(told <= n.min(asleep));
                    let due = (before as u64 + n).min(asleep);
                    prop_assert!(world.called() as u64 >= due);
                    // None too many, but for those who are late.
                    prop_assert!(world.called() as u64 <= due + late);
                    world.asleep.iter_mut().for_each(|it| it.since += n);
                }
                Event::Look(at) if at < world.asleep.len() => {
                    let Sleeper { process, place, since } = world.asleep[at];
                    if world.step(process, |page| take(page, place)) {
                        prop_assert!(since > 0 || is_passed_on, "it was notified since it came");
                        world.asleep.remove(at);
                        prop_assert_eq!(world.called() + 1, before);
                    }
                }
                Event::GiveUp(at) if at < world.asleep.len() => {
                    let Sleeper { process, place, .. } = world.asleep.remove(at);
                    world.step(process, |page| give_up(page, place));
                    let late = matches!(place, Place::Late(_));
                    prop_assert!(world.called() >= before.min(world.asleep.len()).saturating_sub(late.into()));
                    is_passed_on |= before > 0;
                }
                Event::Die(process) => {
                    let late = world.lines[process][LATE_LANE] as usize;
                    for (lost, lane) in world.page.lost.iter_mut().zip(world.lines[process]) {
                        *lost += u64::from(lane);
                    }
                    world.lines[process] = [0; 3];
                    world.asleep.retain(|it| it.process != process);
                    prop_assert!(world.called() >= before.min(world.asleep.len()).saturating_sub(late));
                    is_passed_on |= before > 0;
                }
                Event::Look(_) | Event::GiveUp(_) => {}
            }
        }
        // What is left of it is nothing.
        world.step(0, |page| notify(page, u64::MAX));
        while let Some(Sleeper { process, place, .. }) = world.asleep.pop() {
            prop_assert!(world.step(process, |page| take(page, place)), "all are notified");
        }
        world.step(0, repair);
        let counts = [WAITING[0], WAITING[1], CALLS[0], CALLS[1], LATE];
        prop_assert_eq!(counts.map(|word| world.page.words[word]), [0; 5]);
        prop_assert_eq!(world.lines, [[0; 3]; 3]);
    }
}
