//! A process that is a thread: how it is started, what it does, and what its parent holds.

use super::circles::Server;
use super::connection::Names;
use super::context::LocalContext;
use super::life::{self, Exit, Life};
use super::message::check;
use super::sleep::{block_on_one, number};
use crate::observe::{self, Event, Operation};
use crate::raw::{Entry, Input, Message, Output, ProcessSpec, RawProcess, Watch};
use crate::runner::{Call, Function, TaskEnd, find_worker, serve};
use crate::time::SystemClock;
use crate::{Context, Error, ExitStatus, Result, Wait, signal};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::Waker;
use std::thread;

/// The stack of a worker's thread: as much as that of a process.
const STACK: usize = 8 << 20;
/// The exit code of a worker that failed.
const FAILED: i32 = 1;
/// The exit code of one that panicked.
const PANICKED: i32 = 101;

/// What a thread is to do.
struct Task {
    function: Function,
    serves: bool,
    arguments: Message,
}

/// The worker that a spec asks for, and whether it serves a pool.
///
/// # Errors
/// [`Error::Unsupported`] for whatever a thread does not have.
fn entry(spec: &ProcessSpec) -> Result<(&str, bool)> {
    // A duration that the clock does not have is none.
    let is_limited = spec
        .timeout
        .or(spec.cpu_time)
        .is_some_and(|limit| Wait::AtMost(limit).deadline(&SystemClock).instant().is_some());
    let wrong = match spec.entry {
        _ if is_limited => "limits of time for its threads",
        _ if matches!(spec.stdin, Input::Bytes(_)) => "input of its own for a thread",
        _ if (spec.stdout, spec.stderr) != (Output::Inherit, Output::Inherit) => {
            "output of its own for a thread"
        }
        Entry::Call(ref name) => return Ok((name, false)),
        Entry::Serve(ref name) => return Ok((name, true)),
        _ => "entries but workers: its processes are threads",
    };
    Err(Error::Unsupported(wrong))
}

/// Starts a worker on a thread.
///
/// # Errors
/// [`Error::NoSuchWorker`], [`Error::AmbiguousWorker`], [`Error::ForeignHandle`],
/// [`Error::Unsupported`]; [`Error::Exhausted`] if the system has no thread for it.
pub(super) fn start(parent: &LocalContext, spec: ProcessSpec) -> Result<Arc<dyn RawProcess>> {
    let (name, serves) = entry(&spec)?;
    let home = &parent.home;
    let identities = home.workers.iter().map(|worker| worker.identity);
    let function = home.workers[find_worker(name, identities)?].function;
    check(home, spec.handles())?;
    let mut identity = spec.identity;
    identity.pid = life::next_pid();
    let names = if spec.own_names { Arc::<Names>::default() } else { parent.names.clone() };
    let context = LocalContext { home: home.clone(), names, identity: identity.clone() };
    let life = Life::new(identity, home.clone());
    let task = Task { function, serves, arguments: spec.message };
    let (pid, name) = (life.identity.pid, &life.identity.name);
    let own = life.clone();
    // The name of a thread ends at a 0.
    let thread = thread::Builder::new().stack_size(STACK).name(name.replace('\0', " "));
    let parent = parent.identity.pid;
    observe::emit(|| Event::ProcessStarted { pid, name, parent });
    if let Err(e) = thread.spawn(move || live(&own, context, task)) {
        let status = ExitStatus::exited(FAILED);
        observe::emit(|| Event::ProcessEnded { pid, name, status });
        return Err(Error::Exhausted(format!("threads: {e}")));
    }
    Ok(Arc::new(LocalProcess(life)))
}

/// On the new thread: everything, to the end.
fn live(life: &Arc<Life>, context: LocalContext, task: Task) {
    life.begin(move || Context::from_raw(Arc::new(context.clone())));
    let code = ended(life, || call(life, task));
    life::has_unwound();
    // Joins those that it has started; a panic there is its own.
    let left = ended(life, || {
        life::leave();
        Ok(())
    });
    let code = if code == 0 { left } else { code };
    let status = match code {
        // It was asked to end, and did.
        1.. if life.is_unwanted() => ExitStatus::signaled(signal::KILL),
        code => ExitStatus::exited(code),
    };
    life.end(status);
    let (pid, name) = (life.identity.pid, &life.identity.name);
    observe::emit(|| Event::ProcessEnded { pid, name, status });
}

/// Runs something of the worker's; the exit code that it comes to.
fn ended(life: &Life, work: impl FnOnce() -> std::result::Result<(), String>) -> i32 {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => 0,
        Ok(Err(why)) => {
            if !life.is_unwanted() {
                // Where tests look for it; if stderr is gone there is nobody to tell.
                let _ = catch_unwind(|| eprintln!("error: {why}"));
            }
            FAILED
        }
        // The panic hook has printed the message.
        Err(payload) => payload.downcast_ref().map_or(PANICKED, |Exit(code)| *code),
    }
}

fn call(life: &Life, task: Task) -> std::result::Result<(), String> {
    let Task { function, serves, arguments } = task;
    if !serves {
        let Message { bytes, handles } = arguments;
        return function(Call::new(&bytes, handles), &mut Message::default());
    }
    let workers = &life.home.workers;
    let find = |name: &str| {
        let found = find_worker(name, workers.iter().map(|worker| worker.identity));
        found.map(|index| workers[index].function)
    };
    serve(arguments, function, &find, guarded).map_err(|e| e.to_string())
}

/// Runs a task of a pool's, but no more of one that nobody needs. What is no panic goes on up.
fn guarded(function: Function, arguments: Call<'_>, result: &mut Message) -> TaskEnd {
    if life::is_unwanted() {
        resume_unwind(Box::new(Exit(FAILED)));
    }
    match catch_unwind(AssertUnwindSafe(|| function(arguments, result))) {
        Ok(Ok(())) => TaskEnd::Done,
        Ok(Err(why)) => TaskEnd::Failed(why),
        Err(payload) if payload.is::<Exit>() => resume_unwind(payload),
        Err(payload) => TaskEnd::Panicked(panic_message(&*payload)),
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".into())
}

/// What the parent holds.
pub(super) struct LocalProcess(pub(super) Arc<Life>);

impl RawProcess for LocalProcess {
    fn pid(&self) -> u32 {
        self.0.identity.pid
    }

    fn join(&self, wait: Wait) -> Result<ExitStatus> {
        if self.0.identity.pid == life::pid() {
            return Err(Error::JoinSelf);
        }
        let on = (Operation::Join, number(&*self.0));
        let server = || -> Server {
            let life = self.0.clone();
            Box::new(move || life.thread().filter(|_| life.status().is_none()))
        };
        block_on_one(wait, on, &self.0.ended, server, || self.0.status().map(Ok))
    }

    fn status(&self) -> Option<ExitStatus> {
        self.0.status()
    }

    fn terminate(&self) -> Result<()> {
        self.kill()
    }

    fn kill(&self) -> Result<()> {
        match self.0.status() {
            Some(_) => Ok(()),
            None => Err(Error::Unsupported("way to end a thread from outside")),
        }
    }

    fn kill_tree(&self) -> Result<()> {
        self.kill()
    }

    fn abandon(&self) -> bool {
        self.0.abandon();
        false
    }

    fn interrupt(&self) -> Result<()> {
        if self.0.interrupt() { Ok(()) } else { self.kill() }
    }

    fn output(&self) -> Vec<u8> {
        Vec::new()
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        Ok(Some(self.0.ended.watch(waker)))
    }
}
