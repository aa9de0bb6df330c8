//! Programs that are components: workers in the sandbox by another door than core modules, held to the
//! same contract; commands of WASI 0.2; and what is refused.

mod commands;
mod hostile;
mod refused;
mod workers;

use procbox::sandbox::{Grants, Program, SandboxBuilder};
use procbox::{Context, Result, Sandbox};
use procbox_tests::{Backend, program};

/// Memory of each process.
const MEMORY: usize = 32 << 20;

fn builder() -> SandboxBuilder {
    Sandbox::builder().max_processes(64).memory(MEMORY)
}

/// A context for one of the components of these tests.
fn context_of(name: &str, builder: SandboxBuilder, grants: Grants) -> Result<Context> {
    builder.build()?.context_with(Program::wasm(program(name, Backend::Sandbox))?, grants)
}

/// A context for the workers.
fn workers(builder: SandboxBuilder) -> Result<Context> {
    context_of("component", builder, Grants::default().quiet(true))
}
