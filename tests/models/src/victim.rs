//! A thread of a loom model that is killed before one of its steps: it takes no further one, and what its
//! kernel does for the dead comes next.
//!
//! The atomics and locks of a model call [`point`] before each step, and do nothing for a thread that
//! [`is_dead`], whose stack is being unwound.

use loom::model::Builder;
use loom::thread::{ThreadId, current};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

struct Victim {
    thread: ThreadId,
    steps_left: usize,
    is_dead: bool,
}

/// What the stack of a killed thread is unwound with.
struct Killed;

thread_local! {
    static VICTIM: RefCell<Option<Victim>> = const { RefCell::new(None) };
    static SOME_DIED: Cell<bool> = const { Cell::new(false) };
}

/// A step comes next. It is the victim's last if its time has come.
pub fn point() {
    let dies = VICTIM.with_borrow_mut(|victim| match victim {
        Some(it) if !it.is_dead && it.thread == current().id() => {
            it.is_dead = it.steps_left == 0;
            it.steps_left = it.steps_left.saturating_sub(1);
            it.is_dead
        }
        _ => false,
    });
    if dies {
        SOME_DIED.set(true);
        resume_unwind(Box::new(Killed));
    }
}

/// True if the calling thread was killed.
pub fn is_dead() -> bool {
    VICTIM.with_borrow(|victim| {
        victim.as_ref().is_some_and(|it| it.is_dead && it.thread == current().id())
    })
}

/// Runs this on the calling thread, which is killed after so many steps; whether it was.
pub fn run(steps: usize, body: impl FnOnce()) -> bool {
    VICTIM.set(Some(Victim { thread: current().id(), steps_left: steps, is_dead: false }));
    let ended = catch_unwind(AssertUnwindSafe(body));
    VICTIM.set(None);
    match ended {
        Ok(()) => false,
        Err(killed) if killed.is::<Killed>() => true,
        Err(other) => resume_unwind(other),
    }
}

/// Checks a model with a victim that is killed after no step, after one, and so on, until it lives.
pub fn killed_before_each_step(preemptions: usize, model: fn(usize)) {
    for steps in 0.. {
        SOME_DIED.set(false);
        let mut builder = Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.max_branches = 10_000;
        builder.check(move || {
            VICTIM.set(None);
            model(steps);
        });
        if !SOME_DIED.get() {
            assert!(steps > 5, "the victim has hardly a step");
            println!("a victim of {steps} steps");
            return;
        }
    }
}
