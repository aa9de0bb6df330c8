//! From a module's bytes to a compiled module, at a bounded price.
//!
//! The module is checked first (`check`): what is too large, or imports what nobody grants, costs
//! nothing more. What was compiled before comes out of this user's cache (`cache`). Everything else is
//! compiled by a child of this process (`child`, and `entry` on its side), which has limits of memory
//! and CPU time, and is killed when the caller's time is up or at Ctrl-C. Where there can be no such
//! child, a thread does it (`thread`), which can be left behind but not ended.

mod cache;
#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod entry;
mod functions;
mod settings;
mod thread;
mod work;

pub(crate) use cache::Cache;
pub(crate) use settings::Settings;
pub(crate) use work::Work;

use crate::check::Admission;
use crate::component::is_component;
use crate::ctrl_c;
use crate::grants::Grants;
use crate::imports::Imports;
use crate::warm;
use procbox_core::{Error, Result};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wasmtime::component::Component;
use wasmtime::{Engine, Module, Precompiled};

/// CPU time for any module, however small.
const BASE_TIME: Duration = Duration::from_secs(5);
/// CPU time on top of it for each byte: about ten times what real programs need.
const TIME_PER_BYTE: Duration = Duration::from_micros(4);
/// Memory for any module, however small.
const BASE_MEMORY: usize = 160 << 20;
/// Memory on top of it for each byte, likewise.
const MEMORY_PER_BYTE: usize = 40;
/// The part of the memory that what a module compiles to may have: this process holds it.
const RESULT: usize = 4;
/// Bytes of the memory of a program with an image, from the first to the last that is not zero, up to which
/// it is mapped and not copied, however many of them are zeros.
const IMAGE: usize = 256 << 20;
/// Between two looks for whether the caller was interrupted.
const LOOK: Duration = Duration::from_millis(10);

/// What compiling one module may cost; what is not said depends on the module's size.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Costs {
    /// CPU time.
    pub(crate) time: Option<Duration>,
    /// Bytes of memory.
    pub(crate) memory: Option<usize>,
    /// Wall-clock time.
    pub(crate) timeout: Option<Duration>,
}

impl Costs {
    fn time(&self, module: usize) -> Duration {
        let size = u32::try_from(module).unwrap_or(u32::MAX);
        self.time.unwrap_or_else(|| BASE_TIME + TIME_PER_BYTE * size)
    }

    fn memory(&self, module: usize) -> usize {
        let by_size = || BASE_MEMORY.saturating_add(MEMORY_PER_BYTE.saturating_mul(module));
        self.memory.unwrap_or_else(by_size)
    }
}

/// Why there is no compiled module.
enum Failure {
    /// The module is not valid, or the price is too high.
    Refused(String),
    /// The caller's time is up.
    TimedOut,
    /// Ctrl-C.
    Interrupted,
    /// No child can be had here.
    NoChild,
}

impl Failure {
    fn of(self, program: &str) -> Error {
        let why = match self {
            Failure::TimedOut => return Error::TimedOut,
            Failure::Interrupted => return Error::Interrupted,
            Failure::Refused(why) => why,
            Failure::NoChild => "it cannot be compiled here".into(),
        };
        Error::NotRunnable { program: program.to_string(), why }
    }
}

/// When waiting for a compiler ends.
#[derive(Clone, Copy)]
struct Patience(Option<Instant>);

impl Patience {
    /// How long to wait before the next look.
    ///
    /// # Errors
    /// That there is no time left, or the interrupt.
    fn next(self) -> Result<Duration, Failure> {
        if ctrl_c::answers() && ctrl_c::came() {
            return Err(Failure::Interrupted);
        }
        let Some(end) = self.0 else { return Ok(LOOK) };
        match end.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(Failure::TimedOut),
            left => Ok(left.min(LOOK)),
        }
    }
}

/// What compiling a program ahead of time has come to.
///
/// ```no_run
/// # use procbox_host::{Program, Sandbox};
/// let compiled = Sandbox::builder().build()?.compile(&Program::wasm("workers.wasm")?)?;
/// println!("{} bytes in {}", compiled.size, compiled.file.display());
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compiled {
    /// Bytes of machine code and what belongs to it.
    pub size: usize,
    /// True if it was in the cache already.
    pub was_there: bool,
    /// Where it is kept.
    pub file: PathBuf,
}

/// A program's machine code.
#[derive(Clone)]
pub(crate) enum Code {
    /// Of a core module.
    Module(Module),
    /// Of a component.
    Component(Component),
}

/// What compiles the programs of a sandbox.
pub(crate) struct Compiler {
    pub(crate) settings: Settings,
    pub(crate) admission: Admission,
    pub(crate) costs: Costs,
    pub(crate) cache: Option<Cache>,
    /// Whether processes of a component share what they begin with, whatever that is.
    pub(crate) shares: bool,
}

/// A piece of work with all that it may cost.
struct Job<'a> {
    work: Work,
    settings: Settings,
    /// The module, and what else it needs.
    parts: [&'a [u8]; 2],
    time: Duration,
    memory: usize,
    /// Bytes of an image that there may be, for which there is memory besides.
    image: usize,
}

impl Compiler {
    /// The compiled module, where these functions are not compiled again.
    ///
    /// # Errors
    /// [`Error::NotRunnable`], [`Error::TimedOut`], [`Error::Interrupted`].
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        name: &str,
        bytes: &[u8],
        imports: &Imports,
        functions: &[u8],
    ) -> Result<Code> {
        let work = (self.work(bytes), functions);
        self.cached(engine, name, bytes, imports, work).map(|(code, _)| code)
    }

    /// How a program is compiled.
    fn work(&self, bytes: &[u8]) -> Work {
        if self.shares && is_component(bytes) { Work::Share } else { Work::Compile }
    }

    /// The compiled module whose state can be read, and its functions.
    ///
    /// # Errors
    /// Those of [`Compiler::compile`].
    pub(crate) fn instrument(
        &self,
        engine: &Engine,
        name: &str,
        bytes: &[u8],
        imports: &Imports,
    ) -> Result<(Code, Vec<u8>)> {
        self.cached(engine, name, bytes, imports, (Work::Instrument, &[]))
    }

    /// The module that begins with this image of a process of it.
    ///
    /// # Errors
    /// Those of [`Compiler::compile`].
    pub(crate) fn rewrite(&self, name: &str, bytes: &[u8], image: &[u8]) -> Result<Vec<u8>> {
        let done = self.produce(Work::Rewrite, [bytes, image]).and_then(|done| {
            let [module, _] = work::split(&done).ok_or_else(torn)?;
            Ok(module.to_vec())
        });
        done.map_err(|failure| failure.of(name))
    }

    /// The module that the work comes to, and what else; out of the cache if that has it.
    fn cached(
        &self,
        engine: &Engine,
        name: &str,
        bytes: &[u8],
        imports: &Imports,
        (work, more): (Work, &[u8]),
    ) -> Result<(Code, Vec<u8>)> {
        let refuse = |why: String| Failure::Refused(why).of(name);
        self.admission.check(bytes, imports).map_err(refuse)?;
        let key = self.cache.as_ref().map(|cache| (cache, cache::Key::new(engine, bytes, work)));
        if let Some((cache, key)) = &key
            && let Some(found) = cache.get(key)
            && let Ok(code) = take_in(engine, &found)
        {
            return Ok((code, found.more));
        }
        let done = self.produce(work, [bytes, more]).map_err(|failure| failure.of(name))?;
        let [compiled, more] = work::split(&done).ok_or_else(|| torn().of(name))?;
        let code = load(engine, compiled).map_err(|e| refuse(first_line(&e)))?;
        if let Some((cache, key)) = &key {
            // Whoever cannot keep it compiles it again the next time.
            let _ = cache.put(key, [compiled, more]);
        }
        Ok((code, more.to_vec()))
    }

    /// Sees to it that the cache has a program.
    ///
    /// # Errors
    /// Those of [`Compiler::compile`]; [`Error::Invalid`] without a cache, [`Error::Os`] if it cannot be
    /// written.
    pub(crate) fn keep(
        &self,
        engine: &Engine,
        name: &str,
        bytes: &[u8],
        imports: &Imports,
        functions: &[u8],
    ) -> Result<Compiled> {
        let none = "there is no cache of compiled programs: neither XDG_CACHE_HOME nor HOME names a \
                    directory of this user's alone, or it was switched off";
        let cache = self.cache.as_ref().ok_or_else(|| Error::Invalid(none.into()))?;
        let checked = self.admission.check(bytes, imports);
        checked.map_err(|why| Failure::Refused(why).of(name))?;
        let key = cache::Key::new(engine, bytes, self.work(bytes));
        let file = cache.file_of(&key);
        if let Some(found) = cache.get(&key)
            && take_in(engine, &found).is_ok()
        {
            return Ok(Compiled { size: found.size, was_there: true, file });
        }
        let done = self.produce(self.work(bytes), [bytes, functions]);
        let done = done.map_err(|failure| failure.of(name))?;
        let [compiled, more] = work::split(&done).ok_or_else(|| torn().of(name))?;
        let failed = |e: std::io::Error| Error::os("keep", format!("{}: {e}", file.display()));
        cache.put(&key, [compiled, more]).map_err(failed)?;
        Ok(Compiled { size: compiled.len(), was_there: false, file })
    }

    /// Makes sure that no directory is granted by which a program could change what is executed, or
    /// see what others execute.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub(crate) fn guard(&self, grants: &Grants) -> Result<()> {
        let own = self.cache.as_ref().map(Cache::path);
        // Other runs of this user have that one, whatever this one has.
        let of_user = Cache::path_of_user();
        for (directory, writable) in grants.directories() {
            let used = own.filter(|path| cache::meets(path, directory));
            let others =
                of_user.as_deref().filter(|path| writable && cache::meets(path, directory));
            if let Some(path) = used.or(others) {
                return Err(Error::Invalid(format!(
                    "{} cannot be granted: compiled programs are kept in {} and executed from there; \
                     grant a directory beside it, or set XDG_CACHE_HOME to another place",
                    directory.display(),
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// What the work comes to.
    fn produce(&self, work: Work, parts: [&[u8]; 2]) -> Result<Vec<u8>, Failure> {
        let patience = Patience(self.costs.timeout.and_then(|t| Instant::now().checked_add(t)));
        let size = parts[0].len() + parts[1].len();
        let (time, memory) = (self.costs.time(size), self.costs.memory(size));
        let image = match work {
            Work::Rewrite => self.admission.memory,
            // What is more gaps than bytes is copied.
            Work::Share => parts[0].len().min(IMAGE),
            _ if warm::is_warm(parts[0]) => self.admission.memory.min(IMAGE),
            _ => 0,
        };
        let job = Job { work, settings: self.settings, parts, time, memory, image };
        #[cfg(target_os = "linux")]
        match child::perform(&job, patience) {
            Err(Failure::NoChild) => {}
            done => return done,
        }
        thread::perform(&job, patience)
    }
}

/// What is compiled, for another engine of the same settings.
pub(crate) fn again(code: &Code, engine: &Engine) -> wasmtime::Result<Code> {
    load(
        engine,
        &match code {
            Code::Module(module) => module.serialize()?,
            Code::Component(component) => component.serialize()?,
        },
    )
}

/// What a compiler has made is not as one makes it.
fn torn() -> Failure {
    Failure::Refused("what it comes to is torn".into())
}

/// Takes in what our own compiler has made.
fn load(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Code> {
    if Engine::detect_precompiled(compiled) == Some(Precompiled::Component) {
        // SAFETY: the bytes are what wasmtime made of a component; below is where from.
        return unsafe { Component::deserialize(engine, compiled) }.map(Code::Component);
    }
    // SAFETY: the bytes are what wasmtime made of a module: in a child of this process, which gave
    // them by memory that nobody else has; or they are kept, which is said in `map`.
    unsafe { Module::deserialize(engine, compiled) }.map(Code::Module)
}

/// Takes in what was kept: page by page as it is needed, or, where files cannot be executed or there is no
/// `/proc`, all of it.
fn take_in(engine: &Engine, found: &cache::Found) -> wasmtime::Result<Code> {
    map(engine, found).or_else(|_| load(engine, &found.read()?))
}

/// Maps what was kept.
fn map(engine: &Engine, found: &cache::Found) -> wasmtime::Result<Code> {
    // The very file that was looked through, whatever has its name by now.
    let path = format!("/proc/self/fd/{}", found.file.as_raw_fd());
    if Engine::detect_precompiled_file(&path)? == Some(Precompiled::Component) {
        // SAFETY: as below.
        return unsafe { Component::deserialize_file(engine, path) }.map(Code::Component);
    }
    // SAFETY: it is what wasmtime made of a module, in a file that nobody but this user can write to, with
    // the hash that was put there with it; and who writes such a file writes another and renames it.
    unsafe { Module::deserialize_file(engine, path) }.map(Code::Module)
}

/// The innermost message of a wasmtime error: the outer ones repeat what the caller knows.
pub(crate) fn first_line(error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    let line = cause.lines().next().unwrap_or("invalid").to_string();
    match line.strip_prefix("unknown import: `") {
        Some(rest) => format!(
            "it imports `{}, which is not granted",
            rest.replace("` has not been defined", "`")
        ),
        None => line,
    }
}
