//! WASI for a process: wasmtime's own implementation, with the process's grants and stdio.
//!
//! File calls run on the thread that runs the guest. Ours are only what the runtime gives (clocks, see
//! `clock`; waiting, see `poll`: a guest that sleeps must suspend its fiber there; random bytes, see
//! `random`) and exiting (see `exit`).

mod clock;
mod exit;
mod poll;
mod random;
mod stdio;

use crate::process::HostProcess;
use crate::state::{Environment, State};
use procbox_core::raw::{Entry, Input, Output, ProcessSpec};
use stdio::Sink;
use wasmtime::Linker;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;

/// Adds WASI preview 1 to what a guest may import.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    p1::add_to_linker_async(linker, of)?;
    linker.allow_shadowing(true);
    poll::link(linker)?;
    exit::link(linker)?;
    random::link(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The WASI side of a process, made when it is first asked for.
fn of(state: &mut State) -> &mut WasiP1Ctx {
    let State { wasi, environment, spec, process, .. } = state;
    wasi.get_or_insert_with(|| context(&**environment, spec, process))
}

/// Makes the WASI side of one process.
fn context(
    environment: &dyn Environment,
    spec: &mut ProcessSpec,
    process: &HostProcess,
) -> WasiP1Ctx {
    let mut builder = WasiCtxBuilder::new();
    builder.allow_blocking_current_thread(true);
    builder.monotonic_clock(clock::Monotonic(process.runtime.clone()));
    builder.wall_clock(clock::Wall(process.runtime.clone()));
    builder.arg(environment.program());
    if let Entry::Main(args) = &spec.entry {
        // They are UTF-8, or it would not have been started.
        for arg in args {
            builder.arg(String::from_utf8_lossy(arg));
        }
    }
    environment.grant(&mut builder);
    match &mut spec.stdin {
        Input::Inherit => builder.inherit_stdin(),
        Input::Bytes(bytes) => builder.stdin(MemoryInputPipe::new(std::mem::take(bytes))),
        // What this backend does not know reads nothing.
        _ => builder.stdin(MemoryInputPipe::new(Vec::new())),
    };
    builder.stdout(match spec.stdout {
        Output::Inherit => Sink::Stdout,
        Output::Stderr => Sink::Stderr,
        Output::Capture => Sink::Kept(process.output.clone()),
        // Nor does it write anywhere.
        _ => Sink::Null,
    });
    builder.stderr(Sink::Stderr);
    builder.build_p1()
}
