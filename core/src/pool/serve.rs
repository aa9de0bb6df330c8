//! The worker's side of a pool: take a chunk, run its tasks, send their ends, until told to stop.

use super::wire::{INITIALIZER, Reader, TaskEnd, Writer};
use crate::{Error, Message, Outcome, Queue, RawQueue, Result, Wait};
use std::cell::RefCell;
use std::sync::Arc;

/// A worker's function: from its encoded arguments to its outcome.
///
/// It gets the message whole, so that a handle among the arguments is gone once the function drops it.
pub type Function = fn(Message) -> Outcome;

/// What the start message of a serving process says.
///
/// How many chunks to do, where they come from and where their ends go. Both queues belong to this
/// process alone, so that an untrusted worker can neither see nor forge another's.
pub(super) type Terms = (u64, Queue<()>, Queue<()>);

struct Current {
    id: u64,
    results: Arc<dyn RawQueue>,
    ends: Writer,
    /// How many ends that is.
    count: usize,
}

thread_local! {
    /// The chunk that is being run, for a panic hook that has to report before the end.
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// Serves the pool whose terms are in `call` with one worker's function. Returns when the pool
/// closes, or after as many chunks as the terms allow.
///
/// `find` looks up other workers of the program by name, for the initializer. `guarded` calls a
/// function and says how that ended; a backend catches panics there if it can.
///
/// # Errors
/// The message of a failed initializer, or what the pool's queues say.
pub fn serve(
    call: Message,
    function: Function,
    find: &dyn Fn(&str) -> Option<Function>,
    guarded: &dyn Fn(Function, Message) -> TaskEnd,
) -> Result<()> {
    let (most, tasks, results): Terms = call.into_value()?;
    let mut task = Message::default();
    let mut done = 0;
    while done < most {
        match tasks.raw().get(&mut task, Wait::Forever) {
            Ok(()) => {}
            Err(Error::Closed) => break,
            Err(e) => return Err(e),
        }
        let mut parts = Reader::new(&task);
        let id = parts.u64()?;
        if id == INITIALIZER {
            initialize(&mut parts, find, guarded)?;
            continue;
        }
        done += 1;
        begin(id, results.raw());
        while !parts.is_done() {
            let (bytes, handles) = parts.part()?;
            let arguments = Message { bytes: bytes.to_vec(), handles: handles.to_vec() };
            let end = guarded(function, arguments);
            note(&end);
        }
        if !send()? {
            break;
        }
    }
    Ok(())
}

fn initialize(
    parts: &mut Reader<'_>,
    find: &dyn Fn(&str) -> Option<Function>,
    guarded: &dyn Fn(Function, Message) -> TaskEnd,
) -> Result<()> {
    let (name, _) = parts.part()?;
    let name = String::from_utf8_lossy(name);
    let function = find(&name)
        .ok_or_else(|| Error::NoSuchWorker { name: name.to_string(), available: Vec::new() })?;
    let (bytes, handles) = parts.part()?;
    match guarded(function, Message { bytes: bytes.to_vec(), handles: handles.to_vec() }) {
        TaskEnd::Done(_) => Ok(()),
        TaskEnd::Failed(why) | TaskEnd::Panicked(why) => {
            Err(Error::Task(format!("the initializer `{name}` failed: {why}")))
        }
    }
}

fn begin(id: u64, results: &Arc<dyn RawQueue>) {
    let ends = Writer::new(id);
    CURRENT.replace(Some(Current { id, results: results.clone(), ends, count: 0 }));
}

fn note(end: &TaskEnd) {
    CURRENT.with_borrow_mut(|current| {
        if let Some(current) = current {
            current.ends.end(end);
            current.count += 1;
        }
    });
}

/// Sends the ends of the current chunk; `false` if the pool is gone.
fn send() -> Result<bool> {
    let Some(Current { id, results, ends, count }) = CURRENT.take() else {
        return Ok(true);
    };
    let message = ends.finish();
    let sent = match results.put(&message.bytes, &message.handles, Wait::Forever) {
        // A result that no queue can carry is its chunk's failure, not the worker's.
        Err(e @ (Error::TooLarge { .. } | Error::ForeignHandle)) => {
            let mut ends = Writer::new(id);
            for _ in 0..count {
                ends.end(&TaskEnd::Failed(format!("the result cannot be sent: {e}")));
            }
            results.put(&ends.finish().bytes, &[], Wait::Forever)
        }
        sent => sent,
    };
    match sent {
        Ok(()) => Ok(true),
        Err(Error::Closed) => Ok(false),
        Err(e) => Err(e),
    }
}

/// For a backend that cannot catch panics: reports that the running task panicked, before the
/// process ends. Nothing happens outside a task.
pub fn panicked(message: &str) {
    note(&TaskEnd::Panicked(message.to_string()));
    // The process ends either way; a pool that is gone needs no report.
    let _ = send();
}
