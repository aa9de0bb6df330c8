//! The library that a procbox program links: workers, and the API to start them, inside a process.
//!
//! The same source runs natively (its processes are OS processes) and in the sandbox (they are
//! wasmtime instances). A program is an ordinary binary whose `main` calls [`init`] first:
//!
//! ```no_run
//! use procbox_guest::prelude::*;
//!
//! #[worker]
//! fn writer(q: Queue<u32>, n: u32) -> Result<()> {
//!     for i in 0..n {
//!         q.put(&i)?;
//!     }
//!     Ok(())
//! }
//!
//! fn main() -> Result<()> {
//!     let ctx = procbox_guest::init()?;
//!     let q = ctx.queue::<u32>(16)?;
//!     let p = ctx.process(writer).args((&q, 3)).name("w").daemon(true).start()?;
//!     for _ in 0..3 {
//!         println!("{}", q.get()?);
//!     }
//!     p.join()?;
//!     Ok(())
//! }
//! ```
//!
//! `cargo run` runs it as native processes. In the sandbox:
//!
//! ```sh
//! cargo build --target wasm32-wasip1
//! procbox run target/wasm32-wasip1/debug/first.wasm
//! ```
//!
//! Where to read on: [`macro@worker`] says what a worker can be, the [`prelude`] has the names that most
//! programs use, [`Context`] makes processes, pools and primitives, and `docs/testing.md` in the
//! repository is about tests.

#[cfg(target_os = "linux")]
#[doc(hidden)]
pub use procbox_native as native;
#[cfg(not(any(target_os = "linux", target_arch = "wasm32")))]
mod nowhere;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod sandbox;

#[cfg(target_os = "linux")]
use native as backend;
#[cfg(not(any(target_os = "linux", target_arch = "wasm32")))]
use nowhere as backend;
#[cfg(target_arch = "wasm32")]
use sandbox as backend;

pub use procbox_core::{
    Bytes, Connection, Context, Error, Event, ExitStatus, Listener, Lock, MainLoop, Pipe, Pool,
    Process, Queue, Result, Semaphore, Wait, observe, primitives, ready, types,
};
// The rest is there too; it is seldom named, and has its pages in `types` and in `procbox_core`.
#[doc(hidden)]
pub use procbox_core::*;

/// Makes a function a worker: something that can be started as a process or given tasks by a pool.
///
/// The function can still be called. Its name then stands for a [`Worker`], which knows the types
/// of its arguments, so that a start with the wrong ones does not compile. Arguments and result are
/// serialised with serde; handles ([`Queue`], [`Lock`], ...) travel inside them. A worker that
/// returns a `Result`, under whatever alias, fails with exit code 1 and its error on stderr. Who
/// starts it is given what is in the `Ok`; of an alias that is not called `Result`, the whole.
///
/// Several workers may have one name: an item is the one that it names. Where a worker is asked for by
/// a text, `"double"` will do as long as it is the only one; else `"shapes::double"`, or the whole of
/// it, `"app::shapes::double"`. `#[worker(name = "...")]` replaces all that.
///
/// procbox-guest may have another name in `Cargo.toml`. A program that has it through another crate
/// says where it is: `#[worker(crate = "framework::procbox")]`.
///
/// On an `impl` block with a `fn run(self)` it makes the struct a worker: see
/// [`Context::process`].
///
/// ```
/// use procbox_guest::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[worker]
/// fn double(n: u64) -> u64 {
///     2 * n
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct Clock {
///     ticks: u32,
/// }
///
/// #[worker]
/// impl Clock {
///     fn run(self) -> Result<()> {
///         (0..self.ticks).for_each(|_| println!("tick"));
///         Ok(())
///     }
/// }
///
/// #[worker(name = "half")]
/// fn halve(n: u64) -> u64 {
///     n / 2
/// }
///
/// assert_eq!(double(4), 8);
/// assert_eq!((double.name(), halve.name()), ("double", "half"));
/// ```
pub use procbox_guest_macros::worker;

/// The names that most programs use.
///
/// ```no_run
/// use procbox_guest::prelude::*;
/// let ctx: Context = procbox_guest::init()?;
/// let q: Queue<String> = ctx.queue(16)?;
/// # drop(q);
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub mod prelude {
    pub use crate::{
        Barrier, BoundedSemaphore, Bytes, Condition, Connection, Context, Error, Event, ExitStatus,
        JoinableQueue, Listener, Lock, MainLoop, Pipe, Pool, Poster, Process, Queue, RLock,
        Receiver, Result, Semaphore, Sender, Wait, worker,
    };
}

/// Enters a procbox program and gives its ambient context: the first call of `main`.
///
/// In the sandbox its processes are sandboxed too; natively they are OS processes. A library or a
/// test, which has no `main`, takes [`context`] instead.
///
/// Dropping the last clone of the context terminates its daemon processes and joins the others.
///
/// ```no_run
/// use procbox_guest::prelude::*;
///
/// fn main() -> Result<()> {
///     let ctx = procbox_guest::init()?;
///     let pool = ctx.pool::<(u64,), u64>("double").build()?;
///     println!("{:?}", pool.map(1..4u64)?);
///     Ok(())
/// }
/// ```
///
/// # Errors
/// [`Error::Os`] if the system refuses what the native backend needs.
pub fn init() -> Result<Context> {
    backend::init();
    backend::context()
}

/// The ambient context, in `main` and in workers alike; in a library or a test it needs no [`init`].
///
/// ```no_run
/// use procbox_guest::prelude::*;
///
/// #[worker]
/// fn doubled(numbers: Vec<u64>) -> Result<Vec<u64>> {
///     let ctx = procbox_guest::context()?; // a worker may start workers
///     ctx.pool::<(u64,), u64>("double").workers(2).build()?.map(numbers)
/// }
/// ```
///
/// # Errors
/// Those of [`init`].
pub fn context() -> Result<Context> {
    backend::context()
}

/// A context of another native program, whose workers are then called by name: for a test of a
/// program from outside, whose path Cargo says as `env!("CARGO_BIN_EXE_name")`.
///
/// It has the defaults of a native context. Whoever wants more takes `Native` and `Sandbox` of the
/// crate `procbox`.
///
/// ```no_run
/// let ctx = procbox_guest::context_of("target/release/app")?;
/// let double = ctx.pool::<(u64,), u64>("double").workers(1).build()?;
/// assert_eq!(double.apply((4u64,))?, 8);
/// # Ok::<(), procbox_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::NotFound`], [`Error::NotRunnable`], and those of [`init`].
#[cfg(target_os = "linux")]
pub fn context_of(program: impl AsRef<std::path::Path>) -> Result<Context> {
    procbox_native::Native::builder().program(procbox_native::Program::open(program)?).build()
}

/// A context whose processes are threads of this process: for a debugger, for coverage, for Miri, and for
/// unit tests of workers. A worker that asks for its [`context`] has this one.
///
/// What threads cannot is [`Error::Unsupported`]: a thread is not ended from outside, has no limits, and
/// no output of its own. Threads share statics. `docs/testing.md` in the repository says what differs.
///
/// ```
/// use procbox_guest::prelude::*;
///
/// #[worker]
/// fn double(n: u64) -> u64 {
///     2 * n
/// }
///
/// let ctx = procbox_guest::local()?;
/// assert_eq!(ctx.spawn(double, (4u64,))?.join()?, 8);
/// assert_eq!(ctx.pool(double).workers(2).build()?.map(1..4u64)?, [2, 4, 6]);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// [`Error::Os`] if the system has no random bytes.
#[cfg(target_os = "linux")]
pub fn local() -> Result<Context> {
    procbox_native::local()
}

/// Ends the calling process with this exit code, and nothing but it: `std::process::exit`, except for a
/// worker that is a thread (see `local`), which alone then ends. In `main` it ends the program.
///
/// A thread unwinds for it, without a message: destructors run, and `catch_unwind` catches it.
///
/// ```
/// use procbox_guest::prelude::*;
///
/// #[worker]
/// fn gives_up() {
///     procbox_guest::exit(3);
/// }
///
/// let p = procbox_guest::local()?.process(gives_up).start()?;
/// assert_eq!(p.join()?.exitcode(), 3);
/// # Ok::<(), Error>(())
/// ```
pub fn exit(code: i32) -> ! {
    procbox_core::local::exit(code);
    std::process::exit(code)
}

/// Makes Ctrl-C a result: what this thread is blocked in returns [`Error::Interrupted`], and so
/// does every later wait until [`clear_interrupt`]. Without it Ctrl-C ends the process. Call it in
/// `main`.
///
/// ```no_run
/// # use procbox_guest::prelude::*;
/// let ctx = procbox_guest::init()?;
/// procbox_guest::answer_ctrl_c()?;
/// let q = ctx.queue::<u32>(16)?;
/// match q.get() {
///     Err(Error::Interrupted) => println!("Ctrl-C"),
///     n => println!("{}", n?),
/// }
/// # Ok::<(), procbox_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Os`] if the signal handler cannot be installed.
pub fn answer_ctrl_c() -> Result<()> {
    backend::answer_ctrl_c()
}

/// Forgets a Ctrl-C, so that calls block again.
///
/// ```no_run
/// # use procbox_guest::prelude::*;
/// # let ctx = procbox_guest::init()?;
/// # let p = ctx.process("greet").args(("world",)).start()?;
/// if p.join() == Err(Error::Interrupted) {
///     procbox_guest::clear_interrupt(); // or the next join would say the same
///     p.terminate()?;
///     println!("it {}", p.join()?);
/// }
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub fn clear_interrupt() {
    backend::clear_interrupt();
}

/// True if Ctrl-C has come and was not cleared.
///
/// ```no_run
/// procbox_guest::answer_ctrl_c()?;
/// while !procbox_guest::interrupted() {
///     println!("one more round");
/// }
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub fn interrupted() -> bool {
    backend::interrupted()
}

/// Says that an image can be made of this process, and goes on: where `procbox snapshot` makes one, in
/// each process of the image and not here; everywhere else, here.
///
/// ```no_run
/// use procbox_guest::prelude::*;
/// use std::sync::OnceLock;
///
/// static WORDS: OnceLock<Vec<String>> = OnceLock::new();
///
/// fn answer() {
///     println!("{} words", WORDS.get().map_or(0, Vec::len));
/// }
///
/// fn main() -> Result<()> {
///     let _ctx = procbox_guest::init()?;
///     let text = std::fs::read_to_string("words.txt").unwrap_or_default();
///     WORDS.get_or_init(|| text.lines().map(str::to_string).collect());
///     procbox_guest::snapshot(answer); // an image has the words, and begins here
///     Ok(())
/// }
/// ```
pub fn snapshot(go_on: fn()) {
    #[cfg(target_arch = "wasm32")]
    sandbox::ready(go_on);
    go_on();
}

/// Has a function called first in each process that begins with this one's memory: one of an image, or
/// one that is forked after the worker of [`Context::warm`]. The keys of `HashMap` are made anew without it.
///
/// Call it in that worker, or in the `main` of which `procbox snapshot` makes an image. It is called in
/// that process once, too, when that has ended.
///
/// ```no_run
/// use procbox_guest::prelude::*;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// static SEED: AtomicU64 = AtomicU64::new(0);
///
/// fn seed() {
///     let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
///     SEED.store(now.as_nanos() as u64, Ordering::Relaxed);
/// }
///
/// #[worker]
/// fn prepare() {
///     procbox_guest::on_reseed(seed);
/// }
/// ```
pub fn on_reseed(hook: fn()) {
    procbox_core::runner::on_reseed(hook);
}

#[cfg(all(doctest, target_os = "linux"))]
#[doc = include_str!("../../docs/testing.md")]
mod testing {}
