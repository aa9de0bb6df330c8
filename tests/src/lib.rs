//! Support for the tests of the whole: where the built programs are, contexts for them, and a
//! watchdog.

pub mod abi;
pub mod mixed;

use procbox::sandbox::Program;
use procbox::{Context, Native, Result, Sandbox, native};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, SystemTime};

/// A test that takes longer than this hangs, and fails by its name.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The two backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// OS processes.
    Native,
    /// Wasmtime instances.
    Sandbox,
}

/// `target/release`: this test's executable is in its `deps`.
fn built() -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    exe.parent().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default()
}

/// The newest of these files.
///
/// # Panics
/// If there is none: with what to do about it.
fn newest(candidates: &[PathBuf]) -> PathBuf {
    let age = |path: &PathBuf| path.metadata().and_then(|m| m.modified()).ok();
    let found = candidates.iter().filter_map(|path| Some((age(path)?, path)));
    match found.max_by_key(|(modified, _): &(SystemTime, _)| *modified) {
        Some((_, path)) => path.clone(),
        None => panic!("there is no {}: run `make programs` first", candidates[0].display()),
    }
}

/// A program of this workspace, as it was built for a backend.
///
/// # Panics
/// If it was not built.
pub fn program(name: &str, backend: Backend) -> PathBuf {
    let release = built();
    let target = release.parent().unwrap_or(&release);
    match backend {
        Backend::Native => newest(&[target.join("programs").join(name), release.join(name)]),
        Backend::Sandbox => {
            let name = format!("{name}.wasm");
            let wasm = target.join("wasm32-wasip1/release").join(&name);
            newest(&[target.join("programs").join(&name), wasm])
        }
    }
}

/// The `procbox` command.
///
/// # Panics
/// If it was not built.
pub fn procbox() -> PathBuf {
    let path = built().join("procbox");
    assert!(path.exists(), "there is no {}: run `cargo build --release` first", path.display());
    path
}

/// The sandbox that all tests of one executable share.
///
/// # Panics
/// If there can be none on this machine.
pub fn sandbox() -> &'static Sandbox {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    SANDBOX.get_or_init(|| match Sandbox::builder().build() {
        Ok(sandbox) => sandbox,
        Err(e) => panic!("no sandbox: {e}"),
    })
}

/// A new context for the program `conformance`.
///
/// # Errors
/// What making one says.
pub fn context(backend: Backend) -> Result<Context> {
    let path = program("conformance", backend);
    match backend {
        Backend::Native => Native::builder().program(native::Program::open(path)?).build(),
        Backend::Sandbox => sandbox().context(Program::wasm(path)?),
    }
}

/// Runs a test on a thread of its own, with a new context, and fails if it takes too long. What it
/// leaves behind when it fails is killed.
///
/// # Panics
/// If the test fails: with what it said.
pub fn watched(
    backend: Backend,
    body: impl FnOnce(&Context) -> anyhow::Result<()> + Send + 'static,
) {
    watched_in(context(backend), body);
}

/// Runs a test as [`watched`] does, with this context.
///
/// # Panics
/// If there is no context, or the test fails: with what it said.
pub fn watched_in(
    ctx: Result<Context>,
    body: impl FnOnce(&Context) -> anyhow::Result<()> + Send + 'static,
) {
    let ctx = match ctx {
        Ok(ctx) => ctx,
        Err(e) => panic!("no context: {e}"),
    };
    let weak = ctx.downgrade();
    let (done, wait) = channel();
    let thread = std::thread::spawn(move || {
        let _done = done;
        let result = body(&ctx);
        if result.is_err() {
            kill_all(&ctx);
        }
        // The end of the context is part of the test.
        drop(ctx);
        result
    });
    if wait.recv_timeout(PATIENCE) == Err::<(), _>(RecvTimeoutError::Timeout) {
        weak.upgrade().iter().for_each(kill_all);
        panic!("it hangs");
    }
    match thread.join() {
        Ok(Ok(())) => {}
        Ok(Err(e)) => panic!("{e:#}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn kill_all(ctx: &Context) {
    for child in ctx.active_children() {
        // Those that have ended meanwhile need it no more.
        let _ = child.kill();
    }
}

/// The belongings of a process that starts others: what has to be the same again afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belongings {
    /// The children, those that have ended and were not reaped among them.
    pub children: usize,
    /// The files it has open.
    pub files: usize,
    /// The threads of procbox's, without those that run a sandbox's processes. Others are not counted:
    /// a test's executable has threads that come and go with its tests.
    pub threads: usize,
    /// The threads that run a sandbox's processes: each is started when there is first enough to do.
    pub runners: usize,
    /// The mappings of shared memory.
    pub shared_memory: usize,
}

impl Belongings {
    /// True if nothing of `before` has become more, but for runners, of which there may be as many as
    /// CPUs.
    pub fn are_no_more_than(self, before: Belongings) -> bool {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        self.runners <= before.runners.max(cpus)
            && self.children <= before.children
            && self.files <= before.files
            && self.threads <= before.threads
            && self.shared_memory <= before.shared_memory
    }
}

/// The belongings of this process now.
pub fn belongings() -> Belongings {
    let count = |path: &str| std::fs::read_dir(path).map_or(0, Iterator::count);
    let me = std::process::id().to_string();
    let is_ours = |stat: &String| {
        // `pid (name) state ppid`, and the name may have anything in it.
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().nth(1) == Some(&me)
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = entries.filter_map(|e| std::fs::read_to_string(e.path().join("stat")).ok());
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names = tasks.filter_map(|e| std::fs::read_to_string(e.path().join("comm")).ok());
    let names = names.filter(|name| name.starts_with("procbox-"));
    let (runners, threads): (Vec<_>, Vec<_>) = names.partition(|n| n.starts_with("procbox-run"));
    Belongings {
        children: stats.filter(is_ours).count(),
        files: count("/proc/self/fd"),
        threads: threads.len(),
        runners: runners.len(),
        shared_memory: maps.lines().filter(|line| line.contains("memfd:procbox")).count(),
    }
}
