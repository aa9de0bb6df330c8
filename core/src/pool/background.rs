//! A thread for tasks that nobody waits for.
//!
//! It is started by the first such task, gives way when somebody waits, and ends when there was
//! nothing to do for a while, or with the pool. It calls what it is given, which holds the pool only
//! while it drives: a context that is dropped elsewhere is not to end on this thread.

use crate::sync::lock;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// The time that a task may lie before the thread sees to it.
const GRACE: Duration = Duration::from_millis(2);
/// The time that it keeps away after it gave way.
const PAUSE: Duration = Duration::from_millis(20);
/// The number of rounds without anything to do after which it ends.
const IDLE_ROUNDS: u32 = 100;

/// The thread, if there is one.
#[derive(Clone, Default)]
pub(super) struct Background(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    runs: bool,
    /// The pool is gone.
    ending: bool,
    thread: Option<JoinHandle<()>>,
}

/// The outcome of one round.
pub(super) enum Round {
    /// There was something to do, and it was done.
    Done,
    /// Somebody else sees to it.
    GaveWay,
    /// There was nothing to do.
    Idle,
    /// The pool is gone.
    Over,
}

impl Background {
    /// Starts the thread unless it runs. `is_idle` says whether there is nothing to do.
    pub(super) fn start(
        &self,
        round: impl FnMut() -> Round + Send + 'static,
        is_idle: impl Fn() -> bool + Send + 'static,
    ) {
        let mut state = lock(&self.0);
        if state.runs || state.ending {
            return;
        }
        let mine = self.clone();
        let named = std::thread::Builder::new().name("procbox-pool".into());
        // Without it tasks move when somebody waits for them.
        if let Ok(thread) = named.spawn(move || mine.run(round, is_idle)) {
            state.runs = true;
            // The one before has said that it ends.
            state.thread = Some(thread);
        }
    }

    /// Has the thread begin its next round; `false` if there is none.
    pub(super) fn hurry(&self) -> bool {
        let state = lock(&self.0);
        let thread = state.thread.as_ref().filter(|_| state.runs);
        thread.inspect(|thread| thread.thread().unpark()).is_some()
    }

    fn run(&self, mut round: impl FnMut() -> Round, is_idle: impl Fn() -> bool) {
        let mut idle = 0;
        let mut pause = GRACE;
        loop {
            std::thread::park_timeout(pause);
            pause = GRACE;
            if lock(&self.0).ending {
                return;
            }
            match round() {
                Round::Over => return,
                Round::Done => idle = 0,
                Round::GaveWay => {
                    idle = 0;
                    pause = PAUSE;
                }
                Round::Idle => idle += 1,
            }
            if idle > IDLE_ROUNDS {
                // Under this lock: a task that comes now finds the thread up, or the flag down.
                let mut state = lock(&self.0);
                if is_idle() {
                    state.runs = false;
                    return;
                }
            }
        }
    }

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
