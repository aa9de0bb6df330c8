//! The events as `tracing` has them. Alone in its executable: whether a place in the code is logged
//! is decided once for all threads, by whoever comes there first.

#![cfg(feature = "tracing")]

use procbox_core::observe::{Event, emit, to_tracing};
use procbox_core::{Error, ExitStatus};
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing::Level;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_happens_is_told_within_spans_of_its_process_and_its_task() {
    let lines = Lines::default();
    let into = lines.clone();
    tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_ansi(false)
        .without_time()
        .with_writer(move || into.clone())
        .init();
    let watching = to_tracing();
    let (pid, name) = (7, "traced");
    let error = Error::Task("no luck".into());
    emit(|| Event::ProcessStarted { pid, name, parent: 1 });
    emit(|| Event::TaskGiven { pool: 5, task: 3, count: 2, worker: name });
    emit(|| Event::TaskFailed { pool: 5, task: 3, error: &error });
    emit(|| Event::TaskDone { pool: 5, task: 4 });
    emit(|| Event::ProcessEnded { pid, name, status: ExitStatus::signaled(9) });
    drop(watching);
    emit(|| Event::ProcessStarted { pid: 8, name, parent: 1 });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for line in [
        "INFO process{pid=7 name=\"traced\" parent=1}: procbox: started",
        "INFO task{pool=5 task=3 worker=\"traced\"}: procbox: failed: no luck",
        "DEBUG task{pool=5 task=4 worker=\"traced\"}: procbox: done",
        "INFO process{pid=7 name=\"traced\" parent=1}: procbox: was killed by signal 9",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    assert!(!text.contains("pid=8"), "{text}");
}
