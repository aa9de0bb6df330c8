//! The life of a worker process: it finds its worker, calls it or has it serve a pool, reports how that
//! ended, and exits.

use super::reseed;
use crate::arena::Arena;
use crate::arena::held::Held;
use crate::arena::slots::Claim;
use crate::start::request::StartRequest;
use crate::sync::thread;
use crate::syscalls::os;
use crate::workers::{WorkerEntry, find};
use crate::{ambient, interrupt, signals, syscalls};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use procbox_core::raw::Message;
use procbox_core::runner::{Call, Function, TaskEnd, serve};
use procbox_core::{Bytes, Error, Identity, Result};
use std::any::Any;
use std::ffi::CString;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Slot and descriptors that a new process begins with.
pub(super) struct Start {
    pub(super) claim: Claim,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
}

/// Worker that it is to run, and how.
struct Task {
    entry: &'static WorkerEntry,
    serves: bool,
    arguments: Message,
}

/// Does once what each process would do first: symbols are looked up, thread-locals and the
/// standard output are set up. Each page that a process need not touch saves it a fault.
pub(super) fn warm_up() {
    let nobody = Identity::new("", 0);
    let request = StartRequest {
        worker: String::new(),
        serves: false,
        identity: nobody,
        arguments: Bytes::default(),
        handles: Vec::new(),
        answers_ctrl_c: false,
    };
    let decoded = Message::of(&request).and_then(|message| message.value::<StartRequest>());
    let _ = catch_unwind(|| std::hint::black_box(decoded).is_ok());
    let _ = std::io::stdout().flush();
    ambient::leave();
}

/// In a zygote: calls the worker after which its processes begin; the exit code.
///
/// # Errors
/// [`Error::NoSuchWorker`], [`Error::AmbiguousWorker`].
pub(super) fn call_first(name: &str, bytes: Vec<u8>) -> Result<i32> {
    let arguments = Message { bytes, handles: Vec::new() };
    Ok(call(Task { entry: find(name)?, serves: false, arguments }))
}

/// In the new process: everything, to the end.
pub(super) fn live(arena: Arc<Arena>, start: Start) -> ! {
    thread::after_fork();
    reseed::reseed();
    let code = match begin(&arena, start) {
        Ok(task) => call(task),
        Err(e) => {
            complain(&e.to_string());
            1
        }
    };
    // Joins the processes that this one started; a panic of a destructor must not skip the exit.
    let left = catch_unwind(ambient::leave);
    let _ = std::io::stdout().flush();
    syscalls::exit_now(if left.is_err() && code == 0 { 101 } else { code });
}

/// Becomes the process that its slot describes; what it is to do.
fn begin(arena: &Arc<Arena>, start: Start) -> Result<Task> {
    if let Some(fd) = start.stdin {
        nix::unistd::dup2_stdin(fd).map_err(|e| os("dup2", e))?;
    }
    if let Some(fd) = start.stdout {
        nix::unistd::dup2_stdout(fd).map_err(|e| os("dup2", e))?;
    }
    let bytes = match arena.enter_slot(start.claim) {
        Ok(bytes) => bytes,
        // The start was said to have failed: this process never was.
        Err(Error::Closed) => syscalls::exit_now(1),
        Err(e) => return Err(e),
    };
    let request = Message { bytes, handles: Vec::new() };
    let request: StartRequest = request.value()?;
    let mut identity = request.identity;
    let parent = identity.parent.as_ref().map(|(pid, _)| *pid);
    if identity.daemon {
        prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| os("prctl", e))?;
        if parent.is_some_and(|pid| pid != nix::unistd::getppid().as_raw() as u32) {
            syscalls::exit_now(1);
        }
    } else {
        signals::watch_parent(parent);
    }
    // SAFETY: that handler sets atomics and makes system calls.
    unsafe { signals::reset_signals(request.answers_ctrl_c, interrupt::requested) };
    if let Ok(name) = CString::new(identity.name.as_str()) {
        let _ = prctl::set_name(&name);
    }
    let given = arena.given()?;
    let handle = |offset| given.get(offset).cloned().and_then(Held::handle);
    let handles = request.handles.iter().map(handle).collect::<Option<Vec<_>>>();
    let handles = handles.ok_or(Error::ForeignHandle)?;
    identity.pid = std::process::id();
    name_panics(&identity);
    ambient::inherit(arena.clone(), identity);
    let name = request.worker;
    let entry = find(&name)?;
    let arguments = Message { bytes: request.arguments.0, handles };
    Ok(Task { entry, serves: request.serves, arguments })
}

/// Has a panic say whose it is: others print there too.
fn name_panics(me: &Identity) {
    let line = format!("process `{}` ({}) panics:\n", me.name, me.pid);
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let _ = std::io::stderr().write_all(line.as_bytes());
        print(info);
    }));
}

/// Runs the worker; the process's exit code.
fn call(task: Task) -> i32 {
    let Task { entry, serves, arguments } = task;
    let ended = catch_unwind(AssertUnwindSafe(|| {
        if serves {
            let find = |name: &str| find(name).map(|entry| entry.function);
            serve(arguments, entry.function, &find, guarded).map_err(|e| e.to_string())
        } else {
            let Message { bytes, handles } = arguments;
            (entry.function)(Call::new(&bytes, handles), &mut Message::default())
        }
    }));
    match ended {
        Ok(Ok(())) => 0,
        Ok(Err(e)) => {
            complain(&e.to_string());
            1
        }
        // The panic hook has printed the message.
        Err(_) => 101,
    }
}

fn guarded(function: Function, arguments: Call<'_>, result: &mut Message) -> TaskEnd {
    match catch_unwind(AssertUnwindSafe(|| function(arguments, result))) {
        Ok(Ok(())) => TaskEnd::Done,
        Ok(Err(why)) => TaskEnd::Failed(why),
        Err(payload) => TaskEnd::Panicked(panic_message(&*payload)),
    }
}

/// Says why the process fails, in one write: others print there too.
fn complain(why: &str) {
    // If stderr is gone there is nobody to tell.
    let _ = std::io::stderr().write_all(format!("error: {why}\n").as_bytes());
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".into())
}
