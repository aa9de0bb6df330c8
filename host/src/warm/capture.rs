//! The image, as it is read out of the process that made it, and what it cannot have.
//!
//! An image is memory and globals. What the host keeps for a process is not in it: a number that stood
//! for a queue would stand for nothing in another process, or for something else. So a process that
//! still has any of that is refused, by the name of what it has.

use super::image::Reading;
use super::{GLOBALS, MEMORIES};
use crate::object::Object;
use crate::program::Export;
use crate::state::{STDIO, State};
use procbox_abi::RESUME;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use wasmtime::{Extern, Instance, Store};
use wasmtime_wasi::I32Exit;

/// How a process ends there that is ready for its image, in the middle of a call.
#[derive(Debug)]
pub(crate) struct Paused;

impl fmt::Display for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is ready")
    }
}

impl std::error::Error for Paused {}

/// How a process ended that is ready for its image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    Returned,
    /// It has called `snapshot`, and was in the middle of something.
    Paused,
}

impl Ready {
    /// `None` if it is not.
    pub(crate) fn of(called: &wasmtime::Result<i32>, export: &Export) -> Option<Ready> {
        let exits = |e: &wasmtime::Error| matches!(e.downcast_ref(), Some(I32Exit(0)));
        match called {
            Ok(0) => Some(Ready::Returned),
            Err(e) if e.is::<Paused>() => Some(Ready::Paused),
            // As a `main` of C returns.
            Err(e) if matches!(export, Export::Main) && exits(e) => Some(Ready::Returned),
            _ => None,
        }
    }
}

/// Where the image of a program's first process goes.
#[derive(Default)]
pub(crate) struct Capture {
    begun: AtomicBool,
    /// The image, or why there is none; `None` before either.
    read: Mutex<Option<Result<Vec<u8>, String>>>,
}

impl Capture {
    /// True for the first process that asks: it is the one.
    pub(crate) fn begin(&self) -> bool {
        !self.begun.swap(true, Ordering::AcqRel)
    }

    /// Reads the image of a process.
    pub(crate) fn read(&self, store: &mut Store<State>, instance: &Instance, ready: Ready) {
        let read = image(store, instance, ready);
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
    }

    /// Takes out the image, or why there is none.
    pub(crate) fn take(&self) -> Option<Result<Vec<u8>, String>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn image(store: &mut Store<State>, instance: &Instance, ready: Ready) -> Result<Vec<u8>, String> {
    if let Some(what) = held(store.data()) {
        return Err(format!("no image of it can be made: it still has {what}"));
    }
    if ready == Ready::Paused && instance.get_func(&mut *store, RESUME).is_none() {
        return Err(format!(
            "no image of it can be made: it calls `snapshot`, and exports no `{RESUME}` to go on with, \
             since its stack is not kept"
        ));
    }
    let exports: Vec<(String, Extern)> =
        instance.exports(&mut *store).map(|e| (e.name().to_string(), e.into_extern())).collect();
    let mut reading = Reading::default();
    for (name, export) in exports {
        match export {
            Extern::Global(global) if name.starts_with(GLOBALS) => {
                let value = global.get(&mut *store);
                if !reading.global(&name, value) {
                    return Err("no image of it can be made: a global is a reference".into());
                }
            }
            Extern::Memory(memory) if name.starts_with(MEMORIES) => {
                reading.memory(&name, memory.data(&*store));
            }
            _ => {}
        }
    }
    reading.to_bytes().map_err(|e| e.to_string())
}

/// Something of a process's that the host keeps for it.
fn held(state: &State) -> Option<&'static str> {
    let object = state.table.iter().next().map(|object| match object {
        Object::Lock(_) => "a lock",
        Object::Semaphore(_) => "a semaphore",
        Object::Event(_) => "an event",
        Object::Queue(_) => "a queue",
        Object::Pipe(_) => "an end of a pipe",
        Object::Region(_) => "shared bytes",
        Object::Ledger(_) => "a ledger, as a condition or a barrier has one",
        Object::Foreign(_) => "a primitive of another backend",
        Object::Listener(_) => "a listener",
        Object::Process(_) => "a process",
    });
    let child = || state.children.iter().any(|child| child.status_now().is_none());
    let granted = state.environment.directories();
    object
        .or_else(|| child().then_some("a process that it has started"))
        .or_else(|| state.has_orphans().then_some("a lock"))
        .or_else(|| state.permits.semaphores().next().map(|_| "a permit of a semaphore"))
        .or_else(|| state.foreign_permits.semaphores().next().map(|_| "a permit of a semaphore"))
        .or_else(|| state.lines.ledgers().next().map(|_| "something that it has of a ledger"))
        .or_else(|| (state.member.open_files() > granted).then_some("a file open"))
        .or_else(|| (state.stdio != STDIO).then_some("other standard streams than it was given"))
        .or_else(|| state.process.interrupt.answers().then_some("an answer to Ctrl-C"))
}
