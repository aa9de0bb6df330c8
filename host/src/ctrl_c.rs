//! Ctrl-C in the embedding program: which of its threads answer it, and whom it has to reach.
//!
//! The signal is the whole program's, so this is too: it hands an interrupt on to the runtime of
//! each sandbox that there is, and to those that are made before it is cleared.

use crate::runtime::Runtime;
use crate::sync::lock;
use std::cell::Cell;
use std::sync::{Arc, Mutex, Weak};

struct Registry {
    /// From an interrupt until it is cleared.
    on: bool,
    runtimes: Vec<Weak<Runtime>>,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { on: false, runtimes: Vec::new() });

thread_local! {
    /// Whether this thread's blocked calls end when there is an interrupt.
    static ANSWERS: Cell<bool> = const { Cell::new(false) };
}

/// Has the calling thread's blocked calls end on an interrupt.
pub(crate) fn answer() {
    ANSWERS.set(true);
}

/// Whether the calling thread's blocked calls end on an interrupt.
pub(crate) fn answers() -> bool {
    ANSWERS.get()
}

/// True from an interrupt until it is cleared.
pub(crate) fn came() -> bool {
    lock(&REGISTRY).on
}

/// Sets or clears the interrupt.
pub(crate) fn interrupt(on: bool) {
    let mut registry = lock(&REGISTRY);
    registry.on = on;
    // Handed on under the lock, so that the last to be said is the last to be heard.
    registry.runtimes.iter().filter_map(Weak::upgrade).for_each(|runtime| runtime.interrupt(on));
}

/// Has a new runtime hear of interrupts for as long as it lives.
pub(crate) fn register(runtime: &Arc<Runtime>) {
    let mut registry = lock(&REGISTRY);
    registry.runtimes.retain(|other| other.strong_count() > 0);
    registry.runtimes.push(Arc::downgrade(runtime));
    runtime.interrupt(registry.on);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waiting::block;
    use procbox_core::observe::Operation;
    use procbox_core::{Error, Result, Wait};
    use std::future::pending;

    /// One test, for there is one Ctrl-C.
    #[test]
    fn threads_that_answer_are_reached_in_sandboxes_of_before_and_of_after() {
        let made = || {
            let runtime = Runtime::threads(1, Box::new(|| {}));
            register(&runtime);
            runtime
        };
        let wait = |runtime: &Arc<Runtime>, answers: bool, wait: Wait| {
            if answers {
                answer();
            }
            block(runtime, wait, (Operation::Ready, 0), || None, pending::<Result<()>>)
        };
        let patient = Wait::AtMost(std::time::Duration::from_millis(20));
        let before = made();
        std::thread::scope(|scope| {
            let answering = scope.spawn(|| wait(&before, true, Wait::Forever));
            interrupt(true);
            assert_eq!(answering.join().unwrap(), Err(Error::Interrupted));
            let after = made();
            let late = scope.spawn(move || wait(&after, true, Wait::Forever));
            assert_eq!(late.join().unwrap(), Err(Error::Interrupted));
            let other = scope.spawn(|| wait(&before, false, patient));
            assert_eq!(other.join().unwrap(), Err(Error::TimedOut));
            interrupt(false);
            let cleared = scope.spawn(|| wait(&before, true, patient));
            assert_eq!(cleared.join().unwrap(), Err(Error::TimedOut));
        });
    }
}
