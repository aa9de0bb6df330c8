//! The native backend of procbox: workers are OS processes, forked by a zygote; primitives live in
//! a shared-memory arena and wait on futexes. Linux 5.16 or later, x86-64 and AArch64, glibc.
//!
//! A program calls [`init`] first in `main` (through `procbox-guest`), lists its workers in
//! [`WORKERS`] (through `#[worker]`), and gets its context from [`context`]. docs/native.md
//! explains the protocols: the arena, the locks, the queue, the zygote, and what a SIGKILL at each
//! point leaves behind.

mod arena;
mod connection;
mod context;
mod event;
mod interrupt;

mod limits;
mod lock;
mod object;
mod orphans;
mod pipe;
mod process;
mod program;
mod queue;
mod ready;
mod reaper;
mod ring;
mod segment;
mod semaphore;
mod spawner;
mod sync;
mod sys;
mod zygote;

pub use context::{Native, context};
pub use interrupt::{
    answer_ctrl_c, clear_interrupt, interrupted, interrupted_by_terminal, on_interrupt,
};
pub use orphans::{adopt_orphans, kill_descendants};
pub use program::Program;

#[doc(hidden)]
pub use linkme;

use procbox_core::Function;

/// One worker of this program. `#[worker]` writes these.
///
/// ```
/// use procbox_native::{WORKERS, WorkerEntry};
/// fn worker(name: &str) -> Option<&'static WorkerEntry> {
///     WORKERS.iter().find(|entry| entry.name == name)
/// }
/// assert!(worker("no_such").is_none());
/// ```
#[derive(Debug)]
pub struct WorkerEntry {
    /// Its identity, or a name of its own.
    pub name: &'static str,
    /// A line of the ELF section in which a program says what it offers: there it can be read
    /// without running the program.
    pub about: &'static [u8],
    /// The worker: from its encoded arguments to its outcome.
    pub function: Function,
}

/// The workers of this program, gathered by the linker.
///
/// ```
/// for entry in procbox_native::WORKERS {
///     print!("{}", String::from_utf8_lossy(entry.about));
/// }
/// ```
#[linkme::distributed_slice]
pub static WORKERS: [WorkerEntry];

/// An empty line in the section that says what the program offers: a program without workers
/// speaks procbox too.
#[used]
// SAFETY: the section is read from the file only; any bytes may stand in it.
#[unsafe(link_section = procbox_abi::section!())]
static SPEAKS: [u8; 1] = *b"\n";

/// What a program calls first in `main`. If it was executed as a zygote, it becomes one, and does
/// not come back.
///
/// Otherwise it only sees to it that a stack overflow ends `main` as it ends a worker of either
/// backend: by signal 11, where Rust's own handler would abort.
///
/// ```no_run
/// fn main() -> procbox_core::Result<()> {
///     procbox_native::init(); // before anything else: a zygote goes no further
///     let ctx = procbox_native::context()?;
///     ctx.process("greet").args(("world",)).start()?.join()?;
///     Ok(())
/// }
/// ```
pub fn init() {
    // Looked at, so that the linker keeps it.
    std::hint::black_box(&SPEAKS);
    zygote::enter();
    sys::reset_crash_signals();
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
