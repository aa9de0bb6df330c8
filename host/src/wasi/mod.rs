//! WASI for a process: wasmtime's own implementation, with the process's grants and stdio. Preview 1 is
//! here, for core modules; 0.2, for components, in `p2`.
//!
//! Nothing of it holds a thread that runs guests: file calls are made on threads of their own (see
//! `files`), and output suspends the guest while there is no room for it (see `crate::print`). Ours is also
//! what the runtime gives (clocks, see `clock`; waiting, see `poll`; random bytes, see `random`) and
//! exiting (see `exit`).

mod clock;
mod exit;
mod files;
pub(crate) mod p2;
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
use crate::tree;
use procbox_core::Result;
use procbox_core::raw::{Entry, Input, Output, ProcessSpec};
use std::path::Path;
use std::sync::Arc;
use stdio::Sink;
use wasmtime::Linker;
use wasmtime_wasi::cli::StdoutStream;
use wasmtime_wasi::p1::{self, WasiP1Ctx};
use wasmtime_wasi::p2::StreamResult;
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{WasiCtxBuilder, WasiView};

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
    parts(state).wasi
}

/// The WASI side of a process, and what is counted of it.
struct Parts<'a> {
    wasi: &'a mut WasiP1Ctx,
    process: &'a HostProcess,
    member: &'a mut tree::Place,
    listings: &'a mut usize,
}

fn parts(state: &mut State) -> Parts<'_> {
    let State { wasi, environment, spec, process, work, member, listings, .. } = state;
    work.wasi();
    let wasi = wasi.get_or_insert_with(|| {
        let mut builder = context(&**environment, spec, process);
        // Where directories are granted it is made before the process begins.
        let _ = environment.grant(&mut builder);
        build(builder)
    });
    Parts { wasi, process, member, listings }
}

/// The most resources that a component may have of WASI: streams, descriptors, what it polls.
pub(crate) const RESOURCES: usize = 10_000;

fn build(mut builder: WasiCtxBuilder) -> WasiP1Ctx {
    let mut wasi = builder.build_p1();
    wasi.ctx().table.set_max_capacity(RESOURCES);
    wasi
}

/// Prints something as the process.
///
/// # Errors
/// If nobody reads it any more, or there is no room for it.
pub(crate) fn print(
    state: &State,
    to: Stream,
    text: String,
) -> impl Future<Output = StreamResult<()>> + Send + use<> {
    let output = match to {
        Stream::Stdout => state.spec.stdout,
        Stream::Stderr => state.spec.stderr,
    };
    let mut stream = sink(&state.process, output, to).p2_stream();
    async move { stream.blocking_write_and_flush(text.into()).await }
}

/// Makes the WASI side of a process that is about to begin.
///
/// # Errors
/// [`procbox_core::Error::Os`] if a directory that it is granted cannot be opened.
pub(crate) fn begin(state: &mut State) -> Result<()> {
    let State { wasi, environment, spec, process, .. } = state;
    let mut builder = context(&**environment, spec, process);
    environment.grant(&mut builder)?;
    *wasi = Some(build(builder));
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
    // Nobody has a network: a component that asks for a socket is told so.
    builder.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
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

/// Where what it prints goes.
fn sink(process: &Arc<HostProcess>, output: Output, own: Stream) -> Sink {
    match output {
        Output::Inherit => Sink::Host(own, process.clone()),
        Output::Stderr => Sink::Host(Stream::Stderr, process.clone()),
        Output::Capture => Sink::Kept(own, process.clone()),
        // What this backend does not know writes nowhere.
        _ => Sink::Null,
    }
}
