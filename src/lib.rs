//! Multiprocessing whose workers run as native OS processes or as sandboxed wasmtime instances,
//! from one source, with the same API, semantics and exit codes.
//!
//! A program with workers links `procbox-guest`; the same source runs natively and, compiled for
//! `wasm32-wasip1`, in the sandbox. This crate is for those who *embed* such programs: a trusted native
//! program starts workers of an untrusted `.wasm` by name, with a [`Sandbox`]
//!
//! ```no_run
//! # #[cfg(feature = "sandbox")]
//! # mod program {
//! use procbox::sandbox::Program;
//! use procbox::{Queue, Result, Sandbox};
//!
//! fn main() -> Result<()> {
//!     let sandbox = Sandbox::builder().memory(64 << 20).build()?;
//!     let ctx = sandbox.context(Program::wasm("workers.wasm")?)?;
//!     let q: Queue<u32> = ctx.queue(16)?;
//!     let p = ctx.process("writer").args((&q, 3u32)).start()?;
//!     for _ in 0..3 {
//!         println!("{}", q.get()?);
//!     }
//!     assert!(p.join()?.success());
//!     Ok(())
//! }
//! # }
//! ```
//!
//! or those of a native program, with [`Native`]:
//!
//! ```no_run
//! # #[cfg(all(feature = "native", target_os = "linux"))]
//! # mod program {
//! use procbox::{Native, Result, native::Program};
//!
//! fn main() -> Result<()> {
//!     let ctx = Native::builder().program(Program::open("workers")?).build()?;
//!     let pool = ctx.pool::<(u64,), u64>("double").build()?;
//!     assert_eq!(pool.map(1..4u64)?, [2, 4, 6]);
//!     Ok(())
//! }
//! # }
//! ```
//!
//! Where to read on:
//!
//! - [`Context`] makes everything: [`Process`], [`Pool`], [`Queue`], [`Lock`], [`Pipe`] and the other
//!   primitives; [`Error`] is all that can go wrong, [`ExitStatus`] how processes end;
//! - [`sandbox`]: what an untrusted program is granted and how it is bounded; [`native`]: how OS
//!   processes are confined;
//! - [`types`]: what methods of these take and give and is seldom named; [`observe`]: events for those
//!   who watch; [`backend`]: what implementers of a backend need.
//!
//! The features `native` and `sandbox`, both on by default, are the backends. Without `sandbox`
//! wasmtime is not built. Without `native` there is no handler of Ctrl-C: one of your own can call
//! `sandbox::interrupt`. The command `procbox` is the crate `procbox-cli`.

#![cfg_attr(
    not(all(feature = "native", feature = "sandbox")),
    allow(rustdoc::broken_intra_doc_links)
)]

#[cfg(all(feature = "native", not(target_os = "linux")))]
compile_error!(
    "procbox's feature `native`, workers as OS processes, is for Linux. On this system there is the \
     sandbox: depend on it with `default-features = false, features = [\"sandbox\"]`"
);

#[cfg(test)]
mod tests;
#[cfg(all(feature = "watch", target_os = "linux"))]
pub mod watch;

pub use procbox_core::observe;
#[doc(hidden)]
pub use procbox_core::primitives::*;
pub use procbox_core::{
    Backend, Bytes, Connection, Context, Error, Event, ExitStatus, Input, Limit, Listener, Lock,
    MainLoop, Output, Pipe, Pool, Process, Queue, Result, Semaphore, Wait, primitives, ready,
};
// Their pages are in `types`, so that this one is short.
#[doc(hidden)]
pub use procbox_core::{
    Address, Bounds, JoinHandle, LockGuard, Permit, PoolBuilder, Printed, ProcessBuilder, Receiver,
    Sender, TaskOptions, TaskResult, TaskResults, TaskUsage, Usage, Worker,
};
#[cfg(feature = "sandbox")]
pub use procbox_host::Sandbox;
#[cfg(all(feature = "native", target_os = "linux"))]
pub use procbox_native::Native;

/// Types that methods of those above give and take, and that are seldom named.
///
/// ```no_run
/// use procbox::types::Counters;
/// # fn example(pool: procbox::Pool<(u64,), bool>) {
/// let so_far: Counters = pool.counters();
/// println!("{} of {} tasks have ended", so_far.done + so_far.failed, so_far.submitted);
/// # }
/// ```
pub mod types {
    pub use procbox_core::types::*;
    pub use procbox_core::{Address, Bounds, Printed, TaskUsage, Usage};
    pub use procbox_core::{worker::Arg, worker::Args, worker::Untyped};
}

/// The needs of those who write a backend: raw traits and the plain data that they speak of, clocks
/// and random bytes, the codec, and what runs inside a process.
///
/// ```no_run
/// use procbox::Context;
/// use procbox::backend::RawContext;
/// fn context_of(backend: impl RawContext) -> Context {
///     Context::from_raw(std::sync::Arc::new(backend))
/// }
/// ```
pub mod backend {
    pub use procbox_core::raw::*;
    pub use procbox_core::{codec, local, printable, random, runner, time};
}

/// The sandbox backend: programs, grants, limits.
///
/// ```no_run
/// use procbox::Sandbox;
/// use procbox::sandbox::{Grants, Program};
/// let sandbox = Sandbox::builder().build()?;
/// let grants = Grants::default().env("LANG", "C");
/// let ctx = sandbox.context_with(Program::wasm("workers.wasm")?, grants)?;
/// # drop(ctx);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[cfg(feature = "sandbox")]
pub mod sandbox {
    pub use procbox_host::{
        Compiled, Grants, MAGIC, Program, Sandbox, SandboxBuilder, TreeLimits, is_wasm,
    };
    pub use procbox_host::{answer_interrupts, imports, interrupt};
}

/// The native backend: programs, and what they leave behind.
///
/// ```no_run
/// use procbox::Native;
/// use procbox::native::Program;
/// let ctx = Native::builder().program(Program::open("workers")?).build()?;
/// let pool = ctx.pool::<(u64,), u64>("double").build()?;
/// assert_eq!(pool.map(1..4u64)?, [2, 4, 6]);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[cfg(all(feature = "native", target_os = "linux"))]
pub mod native {
    pub use procbox_native::{
        Confinement, GroupLimits, Native, NativeBuilder, Program, SharedMemory, adopt_orphans,
        answer_termination, answered_signal, init, interrupted, interrupted_by_terminal,
        kill_descendants, local, on_interrupt, shared_memory,
    };
}

/// From now on Ctrl-C makes what the calling thread is blocked in return [`Error::Interrupted`], on
/// both backends, and so every later wait until [`clear_interrupt`]. A second Ctrl-C before that
/// kills the children and exits with 130. Call it on the main thread.
///
/// ```no_run
/// # use procbox::{Error, Result};
/// # fn example(ctx: procbox::Context) -> procbox_core::Result<()> {
/// procbox::answer_ctrl_c()?;
/// let q = ctx.queue::<u32>(16)?;
/// match q.get() {
///     Err(Error::Interrupted) => println!("Ctrl-C"),
///     n => println!("{}", n?),
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::Os`] if the signal handler cannot be installed.
#[cfg(all(feature = "native", target_os = "linux"))]
pub fn answer_ctrl_c() -> Result<()> {
    #[cfg(feature = "sandbox")]
    {
        procbox_host::answer_interrupts();
        procbox_native::on_interrupt(procbox_host::interrupt);
    }
    procbox_native::answer_ctrl_c()
}

/// Forgets a Ctrl-C, so that calls block again.
///
/// ```no_run
/// # use procbox::{Error, Result};
/// # fn example(p: procbox::Process) -> procbox_core::Result<()> {
/// if p.join() == Err(Error::Interrupted) {
///     procbox::clear_interrupt(); // or the next join would say the same
///     p.terminate()?;
///     println!("it {}", p.join()?);
/// }
/// # Ok(()) }
/// ```
#[cfg(all(feature = "native", target_os = "linux"))]
pub fn clear_interrupt() {
    procbox_native::clear_interrupt();
}
