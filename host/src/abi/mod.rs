//! The guest ABI: the imports `procbox_1` of a sandboxed program.
//!
//! Normative text: `guest/include/procbox.h`; explained in `docs/guest-abi.md`. Every operation that
//! can wait has a synchronous try-form (cheap, on the guest's own stack) and a waiting form (it
//! suspends the guest's fiber). Every handle, pointer, length and number from a guest is checked
//! here; a bad one is an error code. This file has the codes and the access to the guest's memory;
//! the functions are in one file per family.

mod connection;
mod message;
mod primitives;
mod process;

use crate::object::Object;
use crate::process::State;
use procbox_core::{Error, Wait};
use std::time::Duration;
use wasmtime::{Caller, Extern, Linker};

/// The one module name of the imports; another version would be another name.
pub(crate) const MODULE: &str = "procbox_1";

/// A worker `w` is the export `procbox_worker_w`, a function from a mode to an exit code.
pub(crate) const WORKER_PREFIX: &str = "procbox_worker_";

/// What a call comes to; 0 and above is success.
pub(crate) type Code = i32;

pub(crate) const OK: Code = 0;
/// Lock: acquired from a holder that died. Receive: the message is to be read with `message_read`.
pub(crate) const NOTED: Code = 1;
pub(crate) const TIMED_OUT: Code = -1;
pub(crate) const FULL: Code = -2;
pub(crate) const EMPTY: Code = -3;
pub(crate) const CLOSED: Code = -4;
pub(crate) const INTERRUPTED: Code = -5;
pub(crate) const NOT_HOLDER: Code = -6;
pub(crate) const ALREADY_HELD: Code = -7;
pub(crate) const BAD_HANDLE: Code = -8;
pub(crate) const BAD_POINTER: Code = -9;
pub(crate) const NOT_GRANTED: Code = -10;
pub(crate) const NO_SUCH_WORKER: Code = -11;
pub(crate) const EXHAUSTED: Code = -12;
pub(crate) const TOO_LARGE: Code = -13;
pub(crate) const FOREIGN: Code = -14;
pub(crate) const INVALID: Code = -15;
pub(crate) const DAEMON_START: Code = -16;
pub(crate) const NOT_RUNNABLE: Code = -17;
pub(crate) const ADDRESS_IN_USE: Code = -18;
pub(crate) const REFUSED: Code = -19;
pub(crate) const AMBIGUOUS_WORKER: Code = -20;

/// The code of an error.
pub(crate) fn code(error: &Error) -> Code {
    match error {
        Error::TimedOut => TIMED_OUT,
        Error::Full => FULL,
        Error::Empty => EMPTY,
        Error::Closed => CLOSED,
        Error::Interrupted => INTERRUPTED,
        Error::NotHolder => NOT_HOLDER,
        Error::AlreadyHeld => ALREADY_HELD,
        Error::NotGranted(_) => NOT_GRANTED,
        Error::NoSuchWorker { .. } => NO_SUCH_WORKER,
        Error::AmbiguousWorker { .. } => AMBIGUOUS_WORKER,
        Error::Exhausted(_) => EXHAUSTED,
        Error::TooLarge { .. } => TOO_LARGE,
        Error::ForeignHandle => FOREIGN,
        Error::DaemonStart => DAEMON_START,
        Error::NotRunnable { .. } => NOT_RUNNABLE,
        Error::AddressInUse(_) => ADDRESS_IN_USE,
        Error::ConnectionRefused(_) => REFUSED,
        _ => INVALID,
    }
}

/// A guest's linear memory during one host call.
pub(crate) struct Memory<'a>(&'a mut [u8]);

impl<'a> Memory<'a> {
    /// The caller's memory and state. A guest without a memory has an empty one.
    pub(crate) fn of(caller: &'a mut Caller<'_, State>) -> (Memory<'a>, &'a mut State) {
        let memory = match caller.data().memory {
            Some(memory) => Some(memory),
            // A start function runs before the exports are known.
            None => caller.get_export("memory").and_then(Extern::into_memory),
        };
        match memory {
            Some(memory) => {
                let (bytes, state) = memory.data_and_store_mut(caller);
                (Memory(bytes), state)
            }
            None => (Memory(&mut []), caller.data_mut()),
        }
    }

    pub(crate) fn get(&self, at: usize, len: usize) -> Option<&[u8]> {
        self.0.get(at..at.checked_add(len)?)
    }

    pub(crate) fn get_mut(&mut self, at: usize, len: usize) -> Option<&mut [u8]> {
        self.0.get_mut(at..at.checked_add(len)?)
    }

    /// Writes bytes; whether they were inside.
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) -> bool {
        match self.get_mut(at, bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }

    fn put_u32s(&mut self, at: u32, numbers: &[u32]) -> Code {
        for (i, number) in numbers.iter().enumerate() {
            if !self.put(at as usize + 4 * i, &number.to_le_bytes()) {
                return BAD_POINTER;
            }
        }
        OK
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.get(at, 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
    }

    /// A limit of time in nanoseconds; 0 and below are none.
    fn time(&self, at: usize) -> Result<Option<Duration>, Code> {
        let bytes = self.get(at, 8).and_then(|b| b.try_into().ok()).ok_or(BAD_POINTER)?;
        match Wait::from_nanos(i64::from_le_bytes(bytes)) {
            Wait::AtMost(limit) => Ok(Some(limit)),
            Wait::Forever | Wait::Never => Ok(None),
        }
    }

    fn text(&self, at: u32, len: u32) -> Result<String, Code> {
        let bytes = self.get(at as usize, len as usize).ok_or(BAD_POINTER)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| INVALID)
    }

    /// The objects of `n` handles that are listed in the guest's memory.
    fn objects(&self, state: &State, at: u32, n: u32) -> Result<Vec<Object>, Code> {
        if n == 0 {
            return Ok(Vec::new());
        }
        let listed = self.get(at as usize, (n as usize).checked_mul(4).ok_or(BAD_POINTER)?);
        let (numbers, _) = listed.ok_or(BAD_POINTER)?.as_chunks::<4>();
        numbers
            .iter()
            .map(|number| match state.table.get(i32::from_le_bytes(*number)) {
                // A process is the business of who started it, and a listener of who made it.
                None | Some(Object::Process(_) | Object::Listener(_)) => Err(BAD_HANDLE),
                Some(object) => Ok(object.clone()),
            })
            .collect()
    }
}

/// The handle of a new object, or the code of what is in the way.
fn insert(state: &mut State, object: Object) -> Code {
    state.table.insert(object).unwrap_or_else(|e| code(&e))
}

/// Either side of a `Result` is a code.
fn flat(result: Result<Code, Code>) -> Code {
    match result {
        Ok(code) | Err(code) => code,
    }
}

/// Adds all functions of the ABI to what a guest may import.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    primitives::link(linker)?;
    message::link(linker)?;
    connection::link(linker)?;
    process::link(linker)
}
