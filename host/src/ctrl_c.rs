//! Ctrl-C in the embedding program: which of its threads answer it, and whom it has to reach.
//!
//! The signal is the whole program's, so this is too: it hands an interrupt on to the runtime of
//! each sandbox that there is, and to those that are made before it is cleared.

use crate::runtime::{Runtime, lock};
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
