//! How an end inside wasmtime reads as an exit status, and what is said of it.

use crate::imports::Failed;
use procbox_core::{ExitStatus, Limit, signal};
use wasmtime::{Error, GcHeapOutOfMemory, ThrownException, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;
use wiggle::GuestError;

/// A status, and what to say about it on stderr.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) message: Option<String>,
}

/// Whether the guest has returned or exited.
pub(crate) fn is_regular(result: &Result<i32, Error>) -> bool {
    result.as_ref().err().is_none_or(|error| error.is::<I32Exit>())
}

/// Reads what the entry's call came to. A guest without fuel has broken the limit `out_of_fuel`, and
/// one that `lacked_memory` and gave up is out of memory.
pub(crate) fn status(result: Result<i32, Error>, out_of_fuel: Limit, lacked_memory: bool) -> Ended {
    let error = match result {
        Ok(code) => return Ended { status: ExitStatus::exited(code), message: None },
        Err(error) => error,
    };
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return Ended { status: ExitStatus::exited(*code), message: None };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Ended { status: ExitStatus::limited(out_of_fuel), message: None },
        Some(trap) => {
            let lacked = if lacked_memory { ", after it was refused memory" } else { "" };
            Ended {
                status: ExitStatus::signaled(signal_of(*trap)),
                message: Some(format!("{trap}{lacked}{}", calls(&error))),
            }
        }
        None if error.is::<GcHeapOutOfMemory<()>>() => Ended {
            status: ExitStatus::limited(Limit::Memory),
            message: Some(format!("its heap is full{}", calls(&error))),
        },
        // A pointer out of its memory, or a number that is none of its kind, given to WASI.
        None if error.is::<GuestError>() => Ended {
            status: ExitStatus::signaled(signal::SEGV),
            message: Some(format!("{}{}", error.root_cause(), calls(&error))),
        },
        // A function that nobody has, or one of the embedding program's that failed.
        None if error.is::<Failed>() => Ended {
            status: ExitStatus::signaled(signal::ABRT),
            message: Some(format!("{}{}", error.root_cause(), calls(&error))),
        },
        // As C++ has it.
        None if error.is::<ThrownException>() => Ended {
            status: ExitStatus::signaled(signal::ABRT),
            message: Some(format!("an exception that nothing catches{}", calls(&error))),
        },
        None if lacked_memory => {
            Ended { status: ExitStatus::limited(Limit::Memory), message: None }
        }
        // Not of the guest's making: an instance that could not be made, a host call that failed.
        None => Ended {
            status: ExitStatus::signaled(signal::KILL),
            message: Some(format!("{error:#}")),
        },
    }
}

/// The longest that a call is in words: names are the guest's.
const LONGEST_CALL: usize = 200;

/// The calls in which it trapped, the innermost first, a line each.
fn calls(error: &Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let text = backtrace.to_string();
    // The first line says that these are they.
    let calls = text.lines().skip(1).take(backtrace.frames().len());
    let line = |call: &str| -> String {
        "\n".chars().chain(call.trim().chars().take(LONGEST_CALL)).collect()
    };
    calls.map(line).collect()
}

/// The signal that a native program would have got for the same thing.
fn signal_of(trap: Trap) -> i32 {
    match trap {
        Trap::IntegerDivisionByZero | Trap::IntegerOverflow | Trap::BadConversionToInteger => {
            signal::FPE
        }
        Trap::UnreachableCodeReached => signal::ABRT,
        Trap::Interrupt => signal::KILL,
        _ => signal::SEGV,
    }
}
