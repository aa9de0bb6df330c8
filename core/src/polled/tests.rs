//! Polls of a thing that is there or not, and of watches that say what became of them.

use super::*;
use crate::raw::Place;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::Wake;

#[derive(Default)]
struct Counts {
    woken: AtomicUsize,
    watches: AtomicUsize,
    found: AtomicUsize,
    in_vain: AtomicUsize,
    there: AtomicBool,
    /// Tries that were announced to a watch.
    announced: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Relaxed);
    }
}

struct Counted(Arc<Counts>);

impl Place for Counted {
    fn tried(self: Box<Self>, found: bool) {
        if found { &self.0.found } else { &self.0.in_vain }.fetch_add(1, Relaxed);
    }

    fn about_to_try(&mut self) {
        self.0.announced.fetch_add(1, Relaxed);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.watches.fetch_sub(1, Relaxed);
    }
}

fn wait(counts: &Arc<Counts>) -> impl Future<Output = Result<u8>> + use<> {
    let (trying, watching) = (counts.clone(), counts.clone());
    until(
        move |_| if trying.there.swap(false, Relaxed) { Ok(7) } else { Err(Error::Empty) },
        move |waker| {
            watching.watches.fetch_add(1, Relaxed);
            *watching.waker.lock().unwrap() = Some(waker.clone());
            Ok(Some(Watch::of(Counted(watching.clone()))))
        },
    )
}

#[test]
fn a_wait_has_one_watch_and_says_what_became_of_it() {
    let counts = Arc::new(Counts::default());
    let waker = Waker::from(counts.clone());
    let mut cx = Context::from_waker(&waker);
    let mut waiting = pin!(wait(&counts));
    for polls in 0..3 {
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        assert_eq!(counts.watches.load(Relaxed), 1);
        assert_eq!(counts.in_vain.load(Relaxed), polls);
    }
    counts.there.store(true, Relaxed);
    counts.waker.lock().unwrap().take().unwrap().wake();
    assert_eq!(counts.woken.load(Relaxed), 1);
    assert_eq!(waiting.as_mut().poll(&mut cx), Poll::Ready(Ok(7)));
    assert_eq!((counts.watches.load(Relaxed), counts.found.load(Relaxed)), (0, 1));
}

#[test]
fn a_wait_that_is_dropped_leaves_no_watch_and_what_came_is_there() {
    let counts = Arc::new(Counts::default());
    let waker = Waker::from(counts.clone());
    let mut cx = Context::from_waker(&waker);
    {
        let mut waiting = pin!(wait(&counts));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        counts.there.store(true, Relaxed);
    }
    assert_eq!(counts.watches.load(Relaxed), 0);
    assert_eq!((counts.found.load(Relaxed), counts.in_vain.load(Relaxed)), (0, 0));
    assert!(counts.there.load(Relaxed));
}

#[test]
fn each_try_under_a_watch_is_announced_to_it() {
    let counts = Arc::new(Counts::default());
    let waker = Waker::from(counts.clone());
    let mut cx = Context::from_waker(&waker);
    let mut waiting = pin!(wait(&counts));
    // A poll tries under the watch of the one before, and under its own.
    for announced in [1, 3] {
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        assert_eq!(counts.announced.load(Relaxed), announced);
    }
    counts.there.store(true, Relaxed);
    assert!(waiting.as_mut().poll(&mut cx).is_ready());
    assert_eq!((counts.announced.load(Relaxed), counts.found.load(Relaxed)), (4, 1));
}

#[test]
fn what_comes_between_the_try_and_the_watch_is_found_at_once() {
    let counts = Arc::new(Counts::default());
    let (trying, watching) = (counts.clone(), counts.clone());
    let waiting = until(
        move |_| if trying.there.load(Relaxed) { Ok(()) } else { Err(Error::TimedOut) },
        move |_| {
            watching.there.store(true, Relaxed);
            Ok(Some(Watch::new(())))
        },
    );
    let waker = Waker::from(counts.clone());
    assert!(pin!(waiting).poll(&mut Context::from_waker(&waker)).is_ready());
}

#[test]
fn where_nothing_is_watched_a_poll_waits() {
    let attempt = |wait| if wait == Wait::Forever { Ok(()) } else { Err(Error::Empty) };
    let waiting = until(attempt, |_| Ok(None));
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(pin!(waiting).poll(&mut cx), Poll::Ready(Ok(())));
}
