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

pub(crate) use stdio::complain;

use crate::context::HostContext;
use crate::process::{HostProcess, State, input_bytes};
use procbox_core::{Entry, Output, ProcessSpec};
use std::sync::Arc;
use stdio::Sink;
use wasmtime::Linker;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;

/// Adds WASI preview 1 to what a guest may import.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    p1::add_to_linker_async(linker, State::wasi)?;
    linker.allow_shadowing(true);
    poll::link(linker)?;
    exit::link(linker)?;
    random::link(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Makes the WASI side of one process.
pub(crate) fn context(
    context: &Arc<HostContext>,
    spec: &mut ProcessSpec,
    process: &Arc<HostProcess>,
) -> WasiP1Ctx {
    let mut builder = WasiCtxBuilder::new();
    builder.allow_blocking_current_thread(true);
    builder.monotonic_clock(clock::Monotonic(process.runtime.clone()));
    builder.wall_clock(clock::Wall(process.runtime.clone()));
    builder.arg(context.program.name());
    if let Entry::Main(args) = &spec.entry {
        builder.args(args);
    }
    context.grants.apply(&mut builder);
    match input_bytes(spec) {
        None => builder.inherit_stdin(),
        Some(bytes) => builder.stdin(MemoryInputPipe::new(bytes)),
    };
    builder.stdout(match spec.stdout {
        Output::Inherit => Sink::Stdout,
        Output::Null => Sink::Null,
        Output::Stderr => Sink::Stderr,
        Output::Capture => Sink::Kept(process.output.clone()),
    });
    builder.stderr(Sink::Stderr);
    builder.build_p1()
}
