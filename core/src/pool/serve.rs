//! The worker's side of a pool: take a chunk, run its tasks, send their ends, until told to stop.

use super::wire::{INITIALIZER, Reader, TaskEnd, Writer};
use crate::{Call, Error, Function, Handle, Message, Queue, RawQueue, Result, Wait};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// What the start message of a serving process says.
///
/// How many chunks to do, where they come from and where their ends go. Both queues belong to this
/// process alone, so that an untrusted worker can neither see nor forge another's.
pub(super) type Terms = (u64, Queue<()>, Queue<()>);

/// The ends of the chunk that is being run.
struct Current {
    id: u64,
    results: Arc<dyn RawQueue>,
    ends: Writer,
    /// How many ends that is.
    count: usize,
}

thread_local! {
    /// Here too, for a panic hook that has to report before the process ends. Not borrowed while a
    /// task runs.
    static CURRENT: RefCell<Option<Rc<RefCell<Current>>>> = const { RefCell::new(None) };
    /// What the last chunk's ends were written in.
    static ROOM: RefCell<Message> =
        const { RefCell::new(Message { bytes: Vec::new(), handles: Vec::new() }) };
}

/// A buffer that is larger than this is given back rather than kept for the next chunk.
const KEPT_ROOM: usize = 1 << 20;

/// Serves the pool whose terms are in `call` with one worker's function. Returns when the pool
/// closes, or after as many chunks as the terms allow.
///
/// `find` looks up other workers of the program by name, for the initializer. `guarded` calls a
/// function and says how that ended; a backend catches panics there if it can.
///
/// ```no_run
/// use procbox_core::{Call, Function, Message, TaskEnd, serve};
/// # fn arguments_of_this_process() -> Message { Message::default() }
/// # fn find(_: &str) -> Option<Function> { None }
/// # fn example(function: Function) -> procbox_core::Result<()> {
/// let guarded = |function: Function, call: Call<'_>, result: &mut Message| {
///     function(call, result).map_or_else(TaskEnd::Failed, |()| TaskEnd::Done)
/// };
/// serve(arguments_of_this_process(), function, &find, guarded)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// The message of a failed initializer, or what the pool's queues say.
pub fn serve(
    call: Message,
    function: Function,
    find: &dyn Fn(&str) -> Option<Function>,
    guarded: impl Fn(Function, Call<'_>, &mut Message) -> TaskEnd,
) -> Result<()> {
    let (most, tasks, results): Terms = call.into_value()?;
    let (mut task, mut result) = (Message::default(), Message::default());
    let mut done = 0;
    while done < most {
        match tasks.raw().get(&mut task, Wait::Forever) {
            Ok(()) => {}
            Err(Error::Closed) => break,
            Err(e) => return Err(e),
        }
        let mut handles = std::mem::take(&mut task.handles).into_iter();
        let mut parts = Reader::new(&task);
        let id = parts.u64()?;
        if id == INITIALIZER {
            initialize(&mut parts, handles.collect(), find, &guarded)?;
            continue;
        }
        done += 1;
        let current = begin(id, results.raw());
        while !parts.is_done() {
            let (bytes, own) = parts.part_and_count()?;
            let own = if own == 0 { Vec::new() } else { handles.by_ref().take(own).collect() };
            let end = guarded(function, Call::new(bytes, own), &mut result);
            current.borrow_mut().note(&end, &result);
            // What was handed over is the message's alone; an idle worker holds nothing.
            result.handles.clear();
        }
        result.bytes.shrink_to(KEPT_ROOM);
        if !send()? {
            break;
        }
    }
    Ok(())
}

fn initialize(
    parts: &mut Reader<'_>,
    handles: Vec<Handle>,
    find: &dyn Fn(&str) -> Option<Function>,
    guarded: &impl Fn(Function, Call<'_>, &mut Message) -> TaskEnd,
) -> Result<()> {
    let (name, _) = parts.part_and_count()?;
    let name = String::from_utf8_lossy(name);
    let function = find(&name)
        .ok_or_else(|| Error::NoSuchWorker { name: name.to_string(), available: Vec::new() })?;
    let (bytes, _) = parts.part_and_count()?;
    match guarded(function, Call::new(bytes, handles), &mut Message::default()) {
        TaskEnd::Done => Ok(()),
        TaskEnd::Failed(why) | TaskEnd::Panicked(why) => {
            Err(Error::Task(format!("the initializer `{name}` failed: {why}")))
        }
    }
}

fn begin(id: u64, results: &Arc<dyn RawQueue>) -> Rc<RefCell<Current>> {
    let ends = Writer::again(id, ROOM.take());
    let current = Current { id, results: results.clone(), ends, count: 0 };
    let current = Rc::new(RefCell::new(current));
    CURRENT.replace(Some(current.clone()));
    current
}

impl Current {
    #[inline]
    fn note(&mut self, end: &TaskEnd, result: &Message) {
        self.ends.end(end, result);
        self.count += 1;
    }
}

/// Sends the ends of the current chunk; `false` if the pool is gone.
fn send() -> Result<bool> {
    let Some(current) = CURRENT.take() else {
        return Ok(true);
    };
    let mut current = current.borrow_mut();
    let Current { id, results, ends, count } = &mut *current;
    let mut message = std::mem::replace(ends, Writer::new(*id)).finish();
    let sent = match results.put(&message.bytes, &message.handles, Wait::Forever) {
        // A result that no queue can carry is its chunk's failure, not the worker's.
        Err(e @ (Error::TooLarge { .. } | Error::ForeignHandle)) => {
            let mut ends = Writer::new(*id);
            for _ in 0..*count {
                ends.end(&TaskEnd::Failed(format!("the result cannot be sent: {e}")), &message);
            }
            results.put(&ends.finish().bytes, &[], Wait::Forever)
        }
        sent => sent,
    };
    if message.bytes.capacity() <= KEPT_ROOM {
        message.handles.clear();
        ROOM.replace(message);
    }
    match sent {
        Ok(()) => Ok(true),
        Err(Error::Closed) => Ok(false),
        Err(e) => Err(e),
    }
}

/// For a backend that cannot catch panics: reports that the running task panicked, before the
/// process ends. Nothing happens outside a task.
///
/// ```no_run
/// std::panic::set_hook(Box::new(|info| {
///     procbox_core::panicked(info.payload_as_str().unwrap_or("of an unprintable kind"));
///     std::process::exit(101);
/// }));
/// ```
pub fn panicked(message: &str) {
    if let Some(current) = CURRENT.with_borrow(Clone::clone) {
        let end = TaskEnd::Panicked(message.to_string());
        current.borrow_mut().note(&end, &Message::default());
    }
    // The process ends either way; a pool that is gone needs no report.
    let _ = send();
}
