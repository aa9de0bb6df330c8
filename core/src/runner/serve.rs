//! The worker's side of a pool: take a chunk, run its tasks, send their ends, until told to stop.

use super::name::last;
use super::wire::{INITIALIZER, Reader, TaskEnd, Writer};
use crate::raw::{Handle, Message, RawQueue};
use crate::runner::{Call, Function};
use crate::{Error, Queue, Result, Wait};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// The terms on which a process serves, as its start message says them.
///
/// The number of chunks to do, the queue that they come from and the queue that their ends go to.
/// Both queues belong to this process alone, so that an untrusted worker can neither see nor forge
/// another's.
pub(crate) type Terms = (u64, Queue<()>, Queue<()>);

/// The ends of the chunk that is being run.
struct Current {
    id: u64,
    results: Arc<dyn RawQueue>,
    ends: Writer,
    /// The number of those ends.
    count: usize,
    /// `true` if there is such a chunk.
    begun: bool,
}

thread_local! {
    /// The same chunk, for a panic hook that has to report before the process ends. Not borrowed
    /// while a task runs.
    static CURRENT: RefCell<Option<Rc<RefCell<Current>>>> = const { RefCell::new(None) };
}

/// A buffer that is larger than this is given back rather than kept for the next chunk.
const KEPT_ROOM: usize = 1 << 20;

/// Empties a message, and keeps its room unless that is large.
fn clear(message: &mut Message) {
    message.handles.clear();
    message.bytes.clear();
    message.bytes.shrink_to(KEPT_ROOM);
}

/// Serves the pool whose terms are in `call` with one worker's function. Returns when the pool
/// closes, or after as many chunks as the terms allow.
///
/// `find` looks up other workers of the program by name, for the initializer. `guarded` calls a
/// function and says how that ended; a backend catches panics there if it can.
///
/// ```no_run
/// use procbox_core::raw::Message;
/// use procbox_core::runner::{Call, Function, TaskEnd, serve};
/// # fn arguments_of_this_process() -> Message { Message::default() }
/// # fn find(_: &str) -> procbox_core::Result<Function> { Err(procbox_core::Error::Closed) }
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
    find: &dyn Fn(&str) -> Result<Function>,
    guarded: impl Fn(Function, Call<'_>, &mut Message) -> TaskEnd,
) -> Result<()> {
    let (most, tasks, results): Terms = call.into_value()?;
    let (mut task, mut result) = (Message::default(), Message::default());
    let current = Rc::new(RefCell::new(Current::new(results.raw())));
    CURRENT.replace(Some(current.clone()));
    let mut others = Others { find, last: None };
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
        current.borrow_mut().begin(id);
        let mut called = match parts.worker()? {
            None => Ok(function),
            Some(name) => others.function(name),
        };
        while !parts.is_done() {
            let (bytes, own) = match parts.plain_part() {
                Some(bytes) => (bytes, Vec::new()),
                None => {
                    let (bytes, own) = parts.part_and_count()?;
                    (bytes, handles.by_ref().take(own).collect())
                }
            };
            let end = match &mut called {
                Ok(function) => guarded(*function, Call::new(bytes, own), &mut result),
                Err(why) => TaskEnd::NotFound(told(why)),
            };
            current.borrow_mut().note(&end, &result);
            // What was handed over is the message's alone; an idle worker holds nothing.
            if !result.handles.is_empty() {
                result.handles.clear();
            }
        }
        if !current.borrow_mut().send()? {
            break;
        }
        clear(&mut result);
        clear(&mut task);
    }
    Ok(())
}

/// The workers that serve a pool of another: the one that was asked for last is at hand.
struct Others<'a> {
    find: &'a dyn Fn(&str) -> Result<Function>,
    last: Option<(String, Function)>,
}

impl Others<'_> {
    #[cold]
    fn function(&mut self, name: &str) -> Result<Function> {
        if let Some((last, function)) = &self.last
            && last == name
        {
            return Ok(*function);
        }
        let function = (self.find)(name)?;
        self.last = Some((name.to_string(), function));
        Ok(function)
    }
}

/// The error for the next task of a chunk whose worker is not there: which there are is said once.
#[cold]
fn told(why: &mut Error) -> Box<Error> {
    let told = Box::new(why.clone());
    match why {
        Error::NoSuchWorker { available: names, .. }
        | Error::AmbiguousWorker { candidates: names, .. } => names.clear(),
        _ => {}
    }
    told
}

fn initialize(
    parts: &mut Reader<'_>,
    handles: Vec<Handle>,
    find: &dyn Fn(&str) -> Result<Function>,
    guarded: &impl Fn(Function, Call<'_>, &mut Message) -> TaskEnd,
) -> Result<()> {
    let (name, _) = parts.part_and_count()?;
    let name = String::from_utf8_lossy(name);
    let function = find(&name)?;
    let (bytes, _) = parts.part_and_count()?;
    let why = match guarded(function, Call::new(bytes, handles), &mut Message::default()) {
        TaskEnd::Done => return Ok(()),
        TaskEnd::Failed(why) | TaskEnd::Panicked(why) => why,
        TaskEnd::NotFound(why) => why.to_string(),
    };
    let name = last(&name);
    Err(Error::Task(format!("the initializer `{name}` failed: {why}")))
}

impl Current {
    fn new(results: &Arc<dyn RawQueue>) -> Current {
        let (results, ends) = (results.clone(), Writer::new(0));
        Current { id: 0, results, ends, count: 0, begun: false }
    }

    fn begin(&mut self, id: u64) {
        self.id = id;
        self.ends.begin(id);
        self.count = 0;
        self.begun = true;
    }

    #[inline]
    fn note(&mut self, end: &TaskEnd, result: &Message) {
        self.ends.end(end, result);
        self.count += 1;
    }

    /// Sends the ends; `false` if the pool is gone.
    fn send(&mut self) -> Result<bool> {
        self.begun = false;
        let message = self.ends.message_mut();
        let sent = self.results.put(&message.bytes, &message.handles, Wait::Forever);
        clear(message);
        let sent = match sent {
            // A result that no queue can carry is its chunk's failure, not the worker's.
            Err(e @ (Error::TooLarge { .. } | Error::ForeignHandle)) => {
                self.ends.begin(self.id);
                let failed = TaskEnd::Failed(format!("the result cannot be sent: {e}"));
                for _ in 0..self.count {
                    self.ends.end(&failed, &Message::default());
                }
                self.results.put(&self.ends.message_mut().bytes, &[], Wait::Forever)
            }
            sent => sent,
        };
        match sent {
            Ok(()) => Ok(true),
            Err(Error::Closed) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// For a backend that cannot catch panics: reports that the running task panicked, before the
/// process ends. Nothing happens outside a task.
///
/// ```no_run
/// std::panic::set_hook(Box::new(|info| {
///     procbox_core::runner::panicked(info.payload_as_str().unwrap_or("of an unprintable kind"));
///     std::process::exit(101);
/// }));
/// ```
pub fn panicked(message: &str) {
    let Some(current) = CURRENT.with_borrow(Clone::clone) else { return };
    let mut current = current.borrow_mut();
    if current.begun {
        current.note(&TaskEnd::Panicked(message.to_string()), &Message::default());
        // The process ends either way; a pool that is gone needs no report.
        let _ = current.send();
    }
}
