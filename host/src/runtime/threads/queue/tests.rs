//! Who goes next, told by pids: of tasks that are never run.

use super::super::super::ring::CREDIT;
use super::super::super::share::WEIGHT;
use super::*;
use std::time::Duration;

/// A queue, and the seats of the processes in it.
#[derive(Default)]
struct World {
    queue: Queue,
    seats: Vec<Arc<Seat>>,
}

impl World {
    /// A process of a tree, whose task can go on.
    fn add(&mut self, share: &Arc<Share>) -> u32 {
        let pid = self.seats.len() as u32;
        let seat = Seat::new(pid, share.clone());
        self.seats.push(seat.clone());
        let spawned = async_task::Builder::new().metadata(seat).spawn(|_| async {}, |_| {});
        spawned.1.detach();
        self.queue.push(spawned.0);
        pid
    }

    fn hasten(&self, pid: u32) {
        self.queue.hasten(&self.seats[pid as usize]);
    }

    /// Takes the next one out.
    fn next(&self) -> Option<(Runnable, u32)> {
        let task = self.queue.pop()?;
        let pid = task.metadata().pid;
        Some((task, pid))
    }

    /// Takes all out, in order.
    fn order(&self) -> Vec<u32> {
        std::iter::from_fn(|| self.next()).map(|(_, pid)| pid).collect()
    }
}

/// A tree in a context of its own.
fn tree() -> Arc<Share> {
    Share::new(WEIGHT).child()
}

#[test]
fn the_tasks_of_a_tree_go_in_the_order_in_which_they_came() {
    let (mut world, tree) = (World::default(), tree());
    let came: Vec<_> = (0..5).map(|_| world.add(&tree)).collect();
    assert_eq!(world.queue.len(), 5);
    assert_eq!(world.order(), came);
    assert!(world.queue.is_empty());
}

#[test]
fn trees_that_have_used_the_same_take_turns_however_many_tasks_they_have() {
    let (mut world, many, one) = (World::default(), tree(), tree());
    let many: Vec<_> = (0..3).map(|_| world.add(&many)).collect();
    let one: Vec<_> = (0..2).map(|_| world.add(&one)).collect();
    assert_eq!(world.order(), [many[0], one[0], many[1], one[1], many[2]]);
}

#[test]
fn the_tree_that_has_used_least_goes_first() {
    let (mut world, busy, idle) = (World::default(), tree(), tree());
    let first = world.add(&busy);
    busy.charge(Duration::from_secs(1));
    let second = world.add(&idle);
    assert_eq!(world.order(), [second, first]);
}

#[test]
fn a_tree_of_twice_the_weight_may_use_twice_as_much() {
    let (mut world, usual, heavy) = (World::default(), tree(), Share::new(2 * WEIGHT).child());
    let ran = |world: &mut World| {
        world.add(&usual);
        world.add(&heavy);
        let runs = (0..300).map(|_| {
            let (task, _) = world.next().unwrap();
            task.metadata().share.charge(Duration::from_millis(1));
            let is_heavy = Arc::ptr_eq(&task.metadata().share, &heavy);
            world.queue.push(task);
            usize::from(is_heavy)
        });
        runs.sum::<usize>()
    };
    let heavy_ran = ran(&mut world);
    assert!((195..=205).contains(&heavy_ran), "{heavy_ran} of 300");
}

#[test]
fn a_tree_that_had_nothing_to_do_is_served_at_once_but_has_saved_nothing_up() {
    let (mut world, busy, sleeper) = (World::default(), tree(), tree());
    world.add(&busy);
    for _ in 0..100 {
        let (task, _) = world.next().unwrap();
        busy.charge(Duration::from_secs(1));
        world.queue.push(task);
    }
    world.next().unwrap();
    let (loops, woken) = (world.add(&busy), world.add(&sleeper));
    assert!(world.queue.is_urgent());
    assert_eq!(world.next().unwrap().1, woken);
    sleeper.charge(Duration::from_nanos(CREDIT + 1) + Duration::from_secs(1));
    world.add(&sleeper);
    assert_eq!(world.next().unwrap().1, loops);
}

#[test]
fn who_is_to_end_goes_first_and_leaves_the_others_in_their_order() {
    let (mut world, tree) = (World::default(), tree());
    let pids: Vec<_> = (0..6).map(|_| world.add(&tree)).collect();
    [0, 3, 5].into_iter().for_each(|pid| world.hasten(pid));
    assert!(world.queue.is_urgent());
    assert_eq!(world.queue.len(), 6);
    assert_eq!(world.order(), [pids[0], pids[3], pids[5], pids[1], pids[2], pids[4]]);
}

#[test]
fn who_is_told_to_end_while_it_waits_elsewhere_goes_first_when_it_comes() {
    let (mut world, tree) = (World::default(), tree());
    let doomed = world.add(&tree);
    let (task, _) = world.next().unwrap();
    world.hasten(doomed);
    let other = world.add(&tree);
    world.queue.push(task);
    assert_eq!(world.order(), [doomed, other]);
}

#[test]
fn a_tree_whose_tasks_were_all_hastened_away_takes_no_turn() {
    let (mut world, gone, other) = (World::default(), tree(), tree());
    let doomed = world.add(&gone);
    let second = world.add(&other);
    world.hasten(doomed);
    assert_eq!(world.order(), [doomed, second]);
    assert!(!world.queue.is_urgent());
    let again = world.add(&gone);
    assert_eq!(world.order(), [again]);
}

#[test]
fn contexts_share_before_their_trees_do() {
    let (mut world, context, other) = (World::default(), Share::new(WEIGHT), tree());
    let trees: Vec<_> = (0..50).map(|_| context.child()).collect();
    trees.iter().for_each(|tree| {
        world.add(tree);
    });
    let honest = world.add(&other);
    let mut turns = vec![0; world.seats.len()];
    for _ in 0..200 {
        let (task, pid) = world.next().unwrap();
        turns[pid as usize] += 1;
        task.metadata().share.charge(Duration::from_millis(1));
        world.queue.push(task);
    }
    assert_eq!(turns[honest as usize], 100);
    assert!(turns[..trees.len()].iter().all(|turns| *turns == 2), "{turns:?}");
}

#[test]
fn a_tree_that_was_alone_for_long_does_not_give_all_its_time_to_who_comes() {
    let (mut world, long, late) = (World::default(), tree(), tree());
    // In pieces of a millisecond: what it had used when the last began is what counts.
    for _ in 0..10_000 {
        world.add(&long);
        assert_eq!(world.order().len(), 1);
        long.charge(Duration::from_millis(1));
    }
    world.add(&late);
    let (task, _) = world.next().unwrap();
    drop(task);
    late.charge(Duration::from_nanos(2 * CREDIT));
    let waits = world.add(&long);
    world.add(&late);
    assert_eq!(world.order()[0], waits);
}

#[test]
fn a_task_that_is_alone_is_hastened_too_and_taken_once() {
    let (mut world, tree) = (World::default(), tree());
    let doomed = world.add(&tree);
    world.hasten(doomed);
    assert!(world.queue.is_urgent());
    let other = world.add(&tree);
    assert_eq!(world.order(), [doomed, other]);
    assert!(world.queue.is_empty());
}
