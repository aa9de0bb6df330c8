//! Watches: who is woken for a change, and in whose place.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A watch, and how often its waker was woken.
fn watch(list: &Arc<WaitList>) -> (Watch, impl Fn() -> usize + use<>) {
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(counter.clone());
    let watch = Watch::of(Watcher::new(list.clone(), |list: &WaitList| list, &waker));
    (watch, move || counter.0.load(Ordering::Relaxed))
}

#[test]
fn a_wake_that_comes_during_a_try_is_handed_on() {
    let list = Arc::new(WaitList::new());
    let ((mut first, first_woken), (mut second, second_woken)) = (watch(&list), watch(&list));
    // The second tries unasked, and finds what the first is woken for.
    second.about_to_try();
    list.wake(1);
    first.about_to_try();
    first.tried(false);
    let (again, again_woken) = watch(&list);
    // The next change is told to the second, which does not see it.
    list.wake(1);
    assert_eq!((first_woken(), second_woken(), again_woken()), (1, 1, 0));
    second.tried(true);
    assert_eq!(again_woken(), 1);
    again.tried(true);
}

#[test]
fn a_wake_that_came_before_a_try_is_used_up_by_it() {
    let list = Arc::new(WaitList::new());
    let ((mut first, first_woken), (mut second, second_woken)) = (watch(&list), watch(&list));
    list.wake(1);
    first.about_to_try();
    second.about_to_try();
    first.tried(false);
    assert_eq!((first_woken(), second_woken()), (1, 0));
    // To have asked costs nobody its wake.
    list.wake(1);
    assert_eq!(second_woken(), 1);
    second.about_to_try();
    second.tried(true);
}
