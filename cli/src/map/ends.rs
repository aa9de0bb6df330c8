//! How the tasks of `procbox map` ended, from the events of the pool until it is written somewhere.

use procbox::observe::{Event, Subscriber};
use procbox::{Error, ExitStatus, TaskUsage};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The end of a task.
#[derive(Clone)]
pub(super) struct End {
    pub(super) at: SystemTime,
    pub(super) exitval: i32,
    pub(super) signal: i32,
    /// Why it failed.
    pub(super) error: Option<String>,
    /// What it has used, if that was measured.
    pub(super) used: Option<TaskUsage>,
}

impl End {
    /// Now: with a result, or with an error (how its worker ended, or 1 if that is alive).
    pub(super) fn now(error: Option<&Error>) -> End {
        let (exitval, signal) = match error {
            None => (0, 0),
            Some(Error::WorkerDied { status, .. }) => codes(*status),
            Some(_) => (1, 0),
        };
        let error = error.map(Error::to_string);
        End { at: SystemTime::now(), exitval, signal, error, used: None }
    }

    /// Now, before it began.
    pub(super) fn unread() -> End {
        let error = Some("it could not be read".to_string());
        End { at: SystemTime::now(), exitval: 1, signal: 0, error, used: None }
    }
}

/// Never both 0: a worker that exits with 0 in the middle of a task has failed it.
fn codes(status: ExitStatus) -> (i32, i32) {
    match status.signal() {
        Some(signal) => (0, signal),
        None => (status.exitcode().max(1), 0),
    }
}

#[derive(Default)]
struct State {
    ends: HashMap<u64, End>,
    /// Of tasks that end in this moment.
    used: HashMap<u64, TaskUsage>,
    printed: HashMap<u64, Vec<u8>>,
    complained: HashMap<u64, Vec<u8>>,
}

/// The ends of tasks whose results are not printed yet, by the pool's number of the task; what those
/// printed that failed, and what any printed on its standard error.
#[derive(Default)]
pub(super) struct Ends(Mutex<State>);

impl State {
    fn ended(&mut self, task: u64, error: Option<&Error>) {
        let used = self.used.remove(&task);
        self.ends.insert(task, End { used, ..End::now(error) });
    }
}

impl Ends {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a task ended.
    pub(super) fn take(&self, task: u64) -> Option<End> {
        self.lock().ends.remove(&task)
    }

    /// What a command that failed had printed.
    pub(super) fn take_printed(&self, task: u64) -> Vec<u8> {
        self.lock().printed.remove(&task).unwrap_or_default()
    }

    /// What a program had printed on its standard error, each time that it was run.
    pub(super) fn take_complained(&self, task: u64) -> Vec<u8> {
        self.lock().complained.remove(&task).unwrap_or_default()
    }
}

impl Subscriber for Ends {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::TaskDone { task, .. } => {
                let mut state = self.lock();
                // One that was run again had failed before.
                state.printed.remove(task);
                state.ended(*task, None);
            }
            Event::TaskFailed { task, error, .. } => {
                self.lock().ended(*task, Some(error));
            }
            Event::TaskMeasured { task, usage, .. } => {
                self.lock().used.insert(*task, **usage);
            }
            Event::CommandFailed { task, stdout, .. } => {
                self.lock().printed.insert(*task, stdout.to_vec());
            }
            Event::CommandComplained { task, stderr, .. } => {
                self.lock().complained.entry(*task).or_default().extend_from_slice(stderr);
            }
            _ => {}
        }
    }
}
