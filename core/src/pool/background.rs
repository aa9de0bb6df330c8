//! The thread that drives a pool whose tasks nobody waits for.
//!
//! It is started by the first such task, lets go of the wheel when somebody waits, and ends when there
//! was nothing to do for a while, or with the pool. It holds the engine, and with it the context, only
//! while it drives: a context that is dropped elsewhere is not to end on this thread.

use super::engine::Engine;
use super::result::lock;
use crate::Wait;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a task may lie before the thread takes the wheel.
const GRACE: Duration = Duration::from_millis(2);
/// How long it keeps away after it let go of the wheel.
const PAUSE: Duration = Duration::from_millis(20);
/// How many times it finds nothing to do before it ends.
const IDLE_ROUNDS: u32 = 100;

/// The thread, if there is one.
#[derive(Default)]
pub(super) struct Background(Mutex<State>);

#[derive(Default)]
struct State {
    runs: bool,
    /// The pool is gone.
    ending: bool,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Ends the thread and waits for its end, unless this is it.
    pub(super) fn end(&self) {
        let thread = {
            let mut state = lock(&self.0);
            state.ending = true;
            state.thread.take()
        };
        if let Some(thread) = thread.filter(|it| it.thread().id() != std::thread::current().id()) {
            thread.thread().unpark();
            // It does not panic.
            let _ = thread.join();
        }
    }
}

/// Starts the thread unless it runs.
pub(super) fn start(engine: &Arc<Engine>) {
    let mut state = lock(&engine.helm.background.0);
    if state.runs || state.ending {
        return;
    }
    let weak = Arc::downgrade(engine);
    let named = std::thread::Builder::new().name("procbox-pool".into());
    // Without it tasks move when somebody waits for them.
    if let Ok(thread) = named.spawn(move || run(&weak)) {
        state.runs = true;
        // The one before has said that it ends.
        state.thread = Some(thread);
    }
}

fn run(weak: &Weak<Engine>) {
    let mut idle = 0;
    let mut pause = GRACE;
    loop {
        std::thread::park_timeout(pause);
        pause = GRACE;
        let Some(engine) = weak.upgrade() else { return };
        let is_idle = || lock(&engine.state).pending == 0;
        if lock(&engine.helm.background.0).ending {
            return;
        }
        if !is_idle() {
            idle = 0;
            let driven =
                catch_unwind(AssertUnwindSafe(|| engine.drive(&is_idle, Wait::Forever, true)));
            // Interrupted or out-steered, somebody else sees to it. A callback that panicked has said
            // so, and the other tasks go on.
            if matches!(driven, Ok(Err(_))) {
                pause = PAUSE;
            }
            continue;
        }
        idle += 1;
        if idle > IDLE_ROUNDS {
            // Under this lock: a task that comes now finds the thread up, or the flag down.
            let mut state = lock(&engine.helm.background.0);
            if is_idle() {
                state.runs = false;
                return;
            }
        }
    }
}
