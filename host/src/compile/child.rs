//! The compiler, as its parent sees it: a process for one module, with limits, that can be killed.
//!
//! It is this very program, executed anew (`entry`). The module goes to it, and what it makes comes
//! back, as files in memory that the two of them alone have; a pipe says how it went, and by its end
//! that the child has ended.

use super::entry::{DONE, ENVIRONMENT, HELLO, INVALID, Orders};
use super::{Failure, Job, Patience, RESULT, entry};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How often a compiler has an image: as it comes, as it is mapped, and in what it makes.
const COPIES: usize = 3;
/// What is kept of what a child says.
const SAID: usize = 4096;
/// How many times its CPU time a compiler may take by the clock: one that others keep from the CPU
/// takes long, one that is stuck for ever. It ends those only that have a fault: time limits are of
/// CPU time, and what the caller gives is a deadline.
const STUCK: u64 = 120;
/// Where the loader may have found this program's libraries.
const LIBRARIES: &str = "LD_LIBRARY_PATH";

/// Whether this program has the compiler's entry.
static HAS_ENTRY: LazyLock<bool> = LazyLock::new(entry::is_of_the_program);

/// Ends the child, however its parent's waiting ends.
struct Compiler(Child);

impl Drop for Compiler {
    fn drop(&mut self) {
        // One that has ended and was waited for is not signalled.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the job comes to.
pub(super) fn perform(job: &Job<'_>, patience: Patience) -> Result<Vec<u8>, Failure> {
    patience.next()?;
    let orders = orders(job);
    let (mut compiler, mut output) = start(job, orders).ok_or(Failure::NoChild)?;
    let said = match compiler.0.stderr.take() {
        Some(stderr) => {
            listen(stderr, patience, Duration::from_secs(orders.time.saturating_mul(STUCK)))?
        }
        None => return Err(Failure::NoChild),
    };
    let ended = compiler.0.wait().ok();
    let Some(said) = said.strip_prefix(HELLO) else { return Err(Failure::NoChild) };
    if let Some(why) = said.strip_prefix(INVALID)
        && !starved(why)
    {
        return Err(Failure::Refused(String::from_utf8_lossy(why).into_owned()));
    }
    if said != DONE {
        return Err(Failure::Refused(reason(said, ended, orders)));
    }
    let mut compiled = Vec::new();
    let read = output.rewind().and_then(|()| output.read_to_end(&mut compiled));
    read.map_err(|e| Failure::Refused(format!("what it compiles to cannot be read: {e}")))?;
    Ok(compiled)
}

fn orders(job: &Job<'_>) -> Orders {
    let time = job.time;
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let result = (job.memory / RESULT).saturating_add(job.image) as u64;
    let memory = job.memory.saturating_add(job.image.saturating_mul(COPIES)) as u64;
    let (work, settings, image) = (job.work, job.settings, job.image as u64);
    let parent = std::process::id();
    Orders { work, settings, image, time: seconds.max(1), memory, result, parent }
}

/// A compiler that has its job, and the file that it writes to; `None` if there can be none.
fn start(job: &Job<'_>, orders: Orders) -> Option<(Compiler, File)> {
    if !*HAS_ENTRY {
        return None;
    }
    let file = || memfd_create(c"procbox-module", MFdFlags::MFD_CLOEXEC).ok().map(File::from);
    let (mut input, output) = (file()?, file()?);
    let [first, second] = job.parts;
    let length = (first.len() as u64).to_le_bytes();
    for part in [&length, first, second] {
        input.write_all(part).ok()?;
    }
    input.rewind().ok()?;
    let mut command = Command::new("/proc/self/exe");
    command
        .env_clear()
        .env(ENVIRONMENT, orders.to_text())
        // Stacks and arenas of many threads are address space too.
        .env("RAYON_NUM_THREADS", threads().to_string())
        .env("MALLOC_ARENA_MAX", "2")
        .current_dir("/")
        .stdin(input)
        .stdout(output.try_clone().ok()?)
        .stderr(Stdio::piped())
        // Ctrl-C at a terminal is its parent's to answer.
        .process_group(0);
    if let Some(libraries) = std::env::var_os(LIBRARIES) {
        command.env(LIBRARIES, libraries);
    }
    Some((Compiler(command.spawn().ok()?), output))
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(4)
}

/// All that the child says until it ends.
fn listen(mut stderr: ChildStderr, patience: Patience, most: Duration) -> Result<Vec<u8>, Failure> {
    let (mut said, mut part) = (Vec::new(), [0; 512]);
    let began = Instant::now();
    loop {
        if began.elapsed() > most {
            return Err(Failure::Refused(format!("compiling it takes more than {most:?}")));
        }
        let wait = PollTimeout::try_from(patience.next()?).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, wait) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(_) => return Err(Failure::NoChild),
        }
        match stderr.read(&mut part) {
            Ok(0) => return Ok(said),
            Ok(n) => {
                let room = SAID.saturating_sub(said.len());
                said.extend_from_slice(&part[..n.min(room)]);
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Failure::NoChild),
        }
    }
}

/// Why a child has ended without a word.
fn reason(said: &[u8], ended: Option<ExitStatus>, orders: Orders) -> String {
    let signal = ended.and_then(|status| status.signal()).unwrap_or(0);
    if signal == nix::libc::SIGXCPU {
        format!("compiling it takes more than {} s of CPU time", orders.time)
    } else if signal == nix::libc::SIGXFSZ {
        format!("it compiles to more than {} MiB", orders.result >> 20)
    } else if starved(said) {
        format!("compiling it takes more than {} MiB of memory", orders.memory >> 20)
    } else {
        format!("compiling it failed (signal {signal})")
    }
}

/// True if what a compiler says is that it got no memory: the words of the allocator, of wasmtime, and
/// of the system, which has no other for a thread's stack.
fn starved(said: &[u8]) -> bool {
    let said = String::from_utf8_lossy(said);
    ["memory allocation of", "out of memory", "Cannot allocate", "temporarily unavailable"]
        .iter()
        .any(|words| said.contains(words))
}
