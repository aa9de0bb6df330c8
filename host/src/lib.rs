//! The sandbox backend of procbox: a process is a wasmtime instance that can touch nothing it was
//! not handed.
//!
//! One process = one store and instance from a pool + one task. Blocking in the guest suspends its
//! fiber, never a thread. The files mirror those of the native backend; what only this one has is
//! `runtime` (who runs the tasks, and by which clock), `abi` (what a guest imports), `wasi` (its stdio, files and
//! clock) and `sandbox` (the engine).

mod abi;
mod connection;
mod context;
mod ctrl_c;
mod event;
mod interrupt;
mod lock;
mod object;
mod pipe;
mod process;
mod program;
mod queue;
mod ready;
mod runtime;
mod sandbox;
mod semaphore;
mod trap;
mod wait_list;
mod waiting;
mod wasi;

mod atomic {
    //! What `wait_list` is made of; its models have loom's instead.
    pub(crate) use std::sync::atomic::{AtomicUsize, Ordering, fence};
}

pub use context::{FsPerms, Grants};
pub use program::{MAGIC, Program, is_wasm};
pub use sandbox::{Sandbox, SandboxBuilder};

/// From now on the calling thread's blocked calls into a sandbox end with
/// [`procbox_core::Error::Interrupted`] while there is an [`interrupt`].
///
/// ```
/// procbox_host::answer_interrupts();
/// ```
pub fn answer_interrupts() {
    ctrl_c::answer();
}

/// Sets or clears the interrupt. For whoever answers Ctrl-C; from any thread.
///
/// ```
/// procbox_host::interrupt(true);
/// procbox_host::interrupt(false);
/// ```
pub fn interrupt(on: bool) {
    ctrl_c::interrupt(on);
}
