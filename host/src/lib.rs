//! The sandbox backend of procbox: a process is a wasmtime instance that can touch nothing it was
//! not handed.
//!
//! One process = one store and instance from a pool + one task. Blocking in the guest suspends its
//! fiber, never a thread.
//!
//! ```no_run
//! use procbox_core::{Queue, Result};
//! use procbox_host::{Program, Sandbox};
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
//! ```
//!
//! Where to read on: [`SandboxBuilder`] has the limits, [`Grants`] what a program may be given;
//! `docs/security.md` in the repository has the threat model, `docs/runtime.md` who runs when.
//!
//! The files stand on floors, and import from floors below or beside them only:
//!
//! 1. `sync`, locks; `runtime`, who runs the tasks, and by which clock; `ctrl_c`, Ctrl-C in the
//!    embedding program; `wait_list` and `waiting`, how one sleeps until something changes; `ready`,
//!    the same for several things; `blocked`, waits without a bound, and what is known of them;
//!    `interrupt`, Ctrl-C as one process sees it;
//!    `print`, stdout and stderr of the embedding program; `discard`, how what
//!    handles stand for is let go, and `cycles`, how that is found which holds only itself; `account`,
//!    what the processes of a tree have in common; `kept`, buffers of large messages that have gone;
//! 2. `channel`, and what is made of it and of wait lists: `lock`, `semaphore`, `event`, `queue`,
//!    `pipe`, `connection`; `message`; `process`, as others see it; `object` and `table`, what handles
//!    stand for;
//! 3. `state`, all that a process has, and `permits`; `listed`, what its program offers; `task`, what runs it;
//!    `limits`, `registry`, `trap`; `tree`, what the processes of one have in common; `deadlock`, who
//!    looks for circles of waits;
//! 4. `ops`, what a guest may ask, in Rust types;
//! 5. `guest`, how it asks: the imports of core modules, the interfaces of components; `wasi`, its stdio,
//!    files and clock;
//! 6. `imports`, what a program may import besides; `grants`; `check`, what a module is before it is compiled, and `compile`, how it is; `section`;
//!    `initialize`, what comes before an export; `exported`, calls of any; `warm`, programs that begin with the image of a process; `module` and `component`, the two kinds of
//!    program; `program`; `engine` and `pools`, where its
//!    instances get their places; `inner`, what a sandbox is inside; `start`, what the processes of a
//!    context share and how one starts; `context`; `sandbox`.
//!
//! `object`, `pipe` and `connection` are one circle: a message may carry an end of a pipe, in which
//! there are messages.
//!
//! Files that the native backend has too have the same names there. To add a primitive: its file on
//! floor 2, a variant of `object::Object`, a file in `ops`, one in `guest/core_module` with its lines
//! in the table there.

mod abroad;
mod account;
mod atomic;
mod blocked;
mod channel;
mod check;
mod compile;
mod component;
mod connection;
mod context;
mod ctrl_c;
mod cycles;
mod deadlock;
mod discard;
mod engine;
mod event;
mod exported;
mod foreign;
mod fuel;
mod grants;
mod guest;
pub mod imports;
mod initialize;
mod inner;
mod interrupt;
mod kept;
mod ledger;
mod limits;
mod lines;
mod listed;
mod lock;
mod message;
mod module;
mod object;
mod ops;
mod permits;
mod pipe;
mod pools;
mod print;
mod process;
mod program;
mod queue;
mod ready;
mod region;
mod registry;
mod runtime;
mod sandbox;
mod section;
mod semaphore;
mod simulated;
mod start;
mod state;
mod sync;
mod table;
mod task;
mod trap;
mod tree;
mod tree_limits;
mod wait_list;
mod waiting;
mod warm;
mod wasi;

pub use compile::Compiled;
pub use grants::Grants;
pub use program::{MAGIC, Program, is_wasm};
pub use sandbox::{Sandbox, SandboxBuilder};
pub use tree_limits::TreeLimits;

/// Has the calling thread's blocked calls into a sandbox end, from now on, with
/// [`procbox_core::Error::Interrupted`] while there is an [`interrupt`](fn@interrupt).
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
