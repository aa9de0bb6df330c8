//! The native backend of procbox: workers are OS processes, forked by a zygote; primitives live in
//! a shared-memory arena and wait on futexes. Linux 5.16 or later, x86-64 and AArch64, glibc.
//!
//! A program is linked with `procbox-guest`, which marks its workers; another starts them by name:
//!
//! ```no_run
//! use procbox_core::Result;
//! use procbox_native::{Native, Program};
//!
//! fn main() -> Result<()> {
//!     let ctx = Native::builder().program(Program::open("workers")?).build()?;
//!     let pool = ctx.pool::<(u64,), u64>("double").build()?;
//!     assert_eq!(pool.map(1..4u64)?, [2, 4, 6]);
//!     Ok(())
//! }
//! ```
//!
//! Where to read on: [`NativeBuilder`] and [`Confinement`] for those who embed.
//!
//! A program calls [`init`] first in `main` (through `procbox-guest`), lists its workers in
//! [`WORKERS`] (through `#[worker]`), and gets its context from [`context`]. docs/native.md
//! explains the protocols: the arena, the locks, the queue, the zygote, and what a SIGKILL at each
//! point leaves behind.

#[cfg(not(target_os = "linux"))]
compile_error!("procbox-native is for Linux; elsewhere there is the sandbox, of procbox-host");

mod signals;
mod sync;
mod syscalls;

mod arena;

mod event;
mod ledger;
mod lent;
mod lock;
mod pipe;
mod queue;
mod region;
mod ring;

mod semaphore;

mod deadlock;
mod recover;

mod kinds;

mod confine;
mod connection;
mod descendants;
mod entry;
mod interrupt;
mod limits;
mod orphans;
mod process;
mod program;
mod reaper;
mod start;
mod stdio;
mod workers;

mod ambient;
mod builder;
mod context;
mod ready;

pub use arena::filled::SharedMemory;
pub use builder::{Native, NativeBuilder};
pub use confine::{Confinement, GroupLimits};
pub use context::{context, shared_memory};
pub use interrupt::{
    answer_ctrl_c, answer_termination, answered_signal, clear_interrupt, interrupted,
    interrupted_by_terminal, on_interrupt,
};
pub use orphans::{adopt_orphans, kill_descendants};
pub use program::Program;
pub use workers::{WORKERS, WorkerEntry, local};

#[doc(hidden)]
pub use linkme;

/// First call of a program in its `main`.
///
/// It sees to it that a stack overflow ends `main` as it ends a worker of either backend: by
/// signal 11, where Rust's own handler would abort. Workers need no call: in a program that is
/// executed as a zygote, procbox takes over before `main`.
///
/// ```no_run
/// fn main() -> procbox_core::Result<()> {
///     procbox_native::init();
///     let ctx = procbox_native::context()?;
///     ctx.process("greet").args(("world",)).start()?.join()?;
///     Ok(())
/// }
/// ```
pub fn init() {
    // Looked at, so that the linker keeps it.
    std::hint::black_box(&workers::SPEAKS);
    entry::keep();
    signals::reset_crash_signals();
}

/// The arguments of this process's `main`, without the program's name. Arguments that are not
/// UTF-8 have their odd bytes replaced.
///
/// ```
/// let files = procbox_native::args();
/// assert_eq!(files.len() + 1, std::env::args_os().len());
/// ```
pub fn args() -> Vec<String> {
    std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect()
}
