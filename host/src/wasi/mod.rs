//! WASI for a process: wasmtime's own implementation, with the process's grants and stdio.
//!
//! Nothing of it holds a thread that runs guests: file calls are made on threads of their own (see
//! `files`), and output suspends the guest while there is no room for it (see `crate::print`). Ours is also
//! what the runtime gives (clocks, see `clock`; waiting, see `poll`; random bytes, see `random`) and
//! exiting (see `exit`).

mod clock;
mod exit;
mod files;
mod poll;
mod quota;
mod random;
mod read;
mod readiness;
mod stdio;

pub(crate) use files::Files;

use crate::print::Stream;
use crate::process::HostProcess;
use crate::state::{Environment, State};
use procbox_core::Result;
use procbox_core::raw::{Entry, Input, Output, ProcessSpec};
use std::path::Path;
use std::sync::Arc;
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
    files::link(linker)?;
    quota::link(linker)?;
    random::link(linker)?;
    read::link(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The WASI side of a process, made when it is first asked for.
fn of(state: &mut State) -> &mut WasiP1Ctx {
    let State { wasi, environment, spec, process, work, .. } = state;
    work.wasi();
    wasi.get_or_insert_with(|| {
        let mut builder = context(&**environment, spec, process);
        // Where directories are granted it is made before the process begins.
        let _ = environment.grant(&mut builder);
        builder.build_p1()
    })
}

/// Makes the WASI side of a process that is about to begin.
///
/// # Errors
/// [`procbox_core::Error::Os`] if a directory that it is granted cannot be opened.
pub(crate) fn begin(state: &mut State) -> Result<()> {
    let State { wasi, environment, spec, process, .. } = state;
    let mut builder = context(&**environment, spec, process);
    environment.grant(&mut builder)?;
    *wasi = Some(builder.build_p1());
    Ok(())
}

/// The WASI side of one process, without what its context is granted.
fn context(
    environment: &dyn Environment,
    spec: &mut ProcessSpec,
    process: &Arc<HostProcess>,
) -> WasiCtxBuilder {
    let runtime = &process.runtime;
    let mut builder = WasiCtxBuilder::new();
    // In a simulation there is the one thread.
    builder.allow_blocking_current_thread(runtime.clock().is_virtual());
    builder.monotonic_clock(clock::Monotonic(process.runtime.clone()));
    builder.wall_clock(clock::Wall(process.runtime.clone()));
    // The host's paths are the host's business.
    let program = Path::new(environment.program()).file_name().unwrap_or_default();
    builder.arg(program.to_string_lossy());
    if let Entry::Main(args) = &spec.entry {
        // They are UTF-8, or it would not have been started.
        for arg in args {
            builder.arg(String::from_utf8_lossy(arg));
        }
    }
    match &mut spec.stdin {
        Input::Inherit => builder.inherit_stdin(),
        Input::Bytes(bytes) => builder.stdin(MemoryInputPipe::new(std::mem::take(bytes))),
        // What this backend does not know reads nothing.
        _ => builder.stdin(MemoryInputPipe::new(Vec::new())),
    };
    builder.stdout(sink(process, spec.stdout, Stream::Stdout));
    builder.stderr(sink(process, spec.stderr, Stream::Stderr));
    builder
}

fn sink(process: &Arc<HostProcess>, output: Output, own: Stream) -> Sink {
    match output {
        Output::Inherit => Sink::Host(own, process.clone()),
        Output::Stderr => Sink::Host(Stream::Stderr, process.clone()),
        Output::Capture => Sink::Kept(own, process.clone()),
        // What this backend does not know goes nowhere.
        _ => Sink::Null,
    }
}

/// Where a process prints.
pub(crate) fn stdout(state: &State) -> Sink {
    sink(&state.process, state.spec.stdout, Stream::Stdout)
}
