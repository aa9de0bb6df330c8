//! The native context: an arena, a program, its zygote, and the processes started.

use crate::arena::Arena;
use crate::event::NativeEvent;
use crate::lock::NativeLock;
use crate::pipe::NativePipe;
use crate::process::{Child, NativeProcess};
use crate::program::Program;
use crate::queue::NativeQueue;
use crate::reaper::Reaper;
use crate::semaphore::NativeSemaphore;
use crate::spawner::{Spawner, Zygote};
use crate::zygote::Request;
use crate::{connection, interrupt, object, ready, sys};
use nix::sys::memfd::{MFdFlags, memfd_create};
use procbox_core::{
    Address, Backend, Bounds, Bytes, Context, Entry, Error, Identity, Input, Message, Output,
    ProcessSpec, RawConnection, RawContext, RawEvent, RawListener, RawLock, RawPipe, RawProcess,
    RawQueue, RawSemaphore, Result, Wait, Waitable, WeakContext, WorkerInfo,
};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How many random bytes an authkey has.
const AUTHKEY: usize = 32;

/// Makes native contexts with other defaults than [`context`] has.
///
/// Defaults: the program is the current one; its environment is this process's.
///
/// ```no_run
/// use procbox_native::{Native, Program};
/// let ctx = Native::builder().program(Program::open("/bin/cat")?).env("LANG", "C").build()?;
/// let p = ctx.main(["/etc/hostname"]).start()?;
/// p.join()?;
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct Native {
    program: Option<Program>,
    environment: Vec<(String, String)>,
}

impl Native {
    /// A builder with every default.
    ///
    /// ```
    /// let ctx = procbox_native::Native::builder().build()?;
    /// assert!(ctx.parent_process().is_none());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn builder() -> Native {
        Native::default()
    }

    /// What the context's processes run; the default is the current program.
    ///
    /// ```
    /// use procbox_native::{Native, Program};
    /// let ctx = Native::builder().program(Program::open("/bin/sh")?).build()?;
    /// assert!(ctx.workers()?.is_empty()); // a shell never heard of procbox, but has a `main`
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn program(mut self, program: Program) -> Native {
        self.program = Some(program);
        self
    }

    /// Sets a variable in the environment of the context's processes.
    ///
    /// ```no_run
    /// use procbox_native::{Native, Program};
    /// let ctx = Native::builder().program(Program::open("/bin/sh")?).env("WHO", "world").build()?;
    /// let p = ctx.main(["-c", "echo hello, $WHO"]).start()?;
    /// assert!(p.join()?.success());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Native {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// A context with an arena of its own.
    ///
    /// ```
    /// use procbox_core::{Error, Lock};
    /// use procbox_native::Native;
    /// let (a, b) = (Native::builder().build()?, Native::builder().build()?);
    /// let q = a.queue::<Lock>(1)?;
    /// assert_eq!(q.put(&b.lock()?), Err(Error::ForeignHandle)); // its arena is another
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Os`], [`Error::Exhausted`].
    pub fn build(self) -> Result<Context> {
        let program = self.program.map_or_else(Program::current, Ok)?;
        let identity = match (INHERITED.get(), AMBIENT.get()) {
            (Some((_, identity)), _) => identity.clone(),
            (None, Some(ambient)) => ambient.identity.clone(),
            (None, None) => first_identity()?,
        };
        let native = NativeContext::new(Arena::create()?, identity, program, self.environment);
        Ok(Context::from_raw(Arc::new(native)))
    }
}

fn first_identity() -> Result<Identity> {
    let mut key = vec![0; AUTHKEY];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut key))
        .map_err(|e| Error::os("random", e))?;
    Ok(Identity {
        name: "MainProcess".into(),
        pid: std::process::id(),
        daemon: false,
        authkey: Bytes(key),
        parent: None,
    })
}

/// The ambient context's inner part: one per process, since handles belong to one arena.
static AMBIENT: OnceLock<Arc<NativeContext>> = OnceLock::new();
/// In a worker: what the ambient context is made of, if the worker asks for it.
static INHERITED: OnceLock<(Arc<Arena>, Identity)> = OnceLock::new();
/// The context around it, if the process has asked for it.
static CURRENT: Mutex<Current> = Mutex::new(Current::None);

enum Current {
    None,
    /// In the first process: it closes when the program drops its last clone.
    Borrowed(WeakContext),
    /// In a worker: it closes at the worker's end.
    Kept(Context),
}

/// The ambient context. In the first process it is a new one, in a worker process it is that of
/// the process that started it; later calls return the same.
///
/// It is closed (daemons are ended, other processes are joined) at the end of a worker, and in the
/// first process when the last clone is dropped: keep one in `main`.
///
/// ```
/// let ctx = procbox_native::context()?;
/// let lock = ctx.lock()?;
/// let again = procbox_native::context()?; // the same: its processes may have the lock too
/// again.queue(1)?.put(&lock)?;
/// # Ok::<(), procbox_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Os`], [`Error::Exhausted`], [`Error::Invalid`] in a zygote that did not call
/// [`crate::init`].
pub fn context() -> Result<Context> {
    if std::env::var_os(crate::zygote::ENVIRONMENT).is_some() {
        return Err(Error::Invalid("the program must call procbox's init first in main".into()));
    }
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    match &*current {
        Current::Kept(context) => return Ok(context.clone()),
        Current::Borrowed(weak) => {
            if let Some(context) = weak.upgrade() {
                return Ok(context);
            }
        }
        Current::None => {}
    }
    let native = match (AMBIENT.get(), INHERITED.get()) {
        (Some(native), _) => native.clone(),
        (None, inherited) => {
            let (arena, identity) = match inherited {
                Some((arena, identity)) => (arena.clone(), identity.clone()),
                None => (Arena::create()?, first_identity()?),
            };
            let native = NativeContext::new(arena, identity, Program::current()?, Vec::new());
            AMBIENT.get_or_init(|| Arc::new(native)).clone()
        }
    };
    let is_worker = native.identity.parent.is_some();
    let context = Context::from_raw(native);
    *current = if is_worker {
        Current::Kept(context.clone())
    } else {
        Current::Borrowed(context.downgrade())
    };
    Ok(context)
}

/// In a worker: what [`context`] is going to return.
pub(crate) fn inherit(arena: Arc<Arena>, identity: Identity) {
    let _ = INHERITED.set((arena, identity));
}

/// At the end of a worker: ends daemons and joins the other processes that it started.
pub(crate) fn leave() {
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = std::mem::replace(&mut *current, Current::None);
    drop(current);
    drop(kept);
}

/// The raw context.
pub(crate) struct NativeContext {
    arena: Arc<Arena>,
    identity: Identity,
    program: Program,
    environment: Vec<(String, String)>,
    /// Made at the first start: most processes start none.
    threads: OnceLock<(Spawner, Arc<Reaper>)>,
    starting: Mutex<Option<Zygote>>,
    /// Bumped when a child has ended, for `ready`.
    deaths: Arc<AtomicU32>,
}

impl NativeContext {
    fn new(
        arena: Arc<Arena>,
        identity: Identity,
        program: Program,
        environment: Vec<(String, String)>,
    ) -> NativeContext {
        NativeContext {
            arena,
            identity,
            program,
            environment,
            threads: OnceLock::new(),
            starting: Mutex::new(None),
            deaths: Arc::new(AtomicU32::new(0)),
        }
    }

    fn threads(&self) -> Result<&(Spawner, Arc<Reaper>)> {
        if let Some(threads) = self.threads.get() {
            return Ok(threads);
        }
        // The caller holds `starting`, so this is not done twice.
        let threads = (Spawner::new()?, Reaper::start(self.deaths.clone(), self.arena.clone())?);
        Ok(self.threads.get_or_init(|| threads))
    }

    /// Starts a worker: a slot with the request in it, and a word to the zygote.
    fn start_worker(&self, name: &str, serves: bool, spec: &ProcessSpec) -> Result<Arc<Child>> {
        self.program.check_worker(name)?;
        let offsets = object::offsets(&self.arena, spec.handles())?;
        let request: Request = (
            name.to_string(),
            serves,
            spec.identity.clone(),
            Bytes(spec.message.bytes.clone()),
            offsets.clone(),
            !interrupt::answers(),
        );
        let request = Message::of(&request)?;
        let (stdin, stdout) = (stdin(&spec.stdin)?, stdout(spec.stdout)?);
        let mut zygote = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let (spawner, reaper) = self.threads()?;
        let running = match &mut *zygote {
            Some(running) => running,
            empty => empty.insert(Zygote::start(
                spawner,
                &self.program,
                &self.environment,
                self.arena.fd.as_raw_fd(),
            )?),
        };
        let slot = self.arena.new_slot(&request.bytes, &offsets)?;
        let fd = |file: &Option<File>| file.as_ref().map(AsRawFd::as_raw_fd);
        let forked = running.fork(slot, fd(&stdin), fd(&stdout));
        let pid = match forked {
            Ok(Ok(pid)) => pid,
            failed => {
                self.arena.recover(slot);
                return Err(match failed {
                    Ok(_) => Error::Exhausted("processes".into()),
                    Err(e) => {
                        // The next start makes a new one.
                        *zygote = None;
                        e
                    }
                });
            }
        };
        drop(zygote);
        let captured = stdout.filter(|_| spec.stdout == Output::Capture);
        Child::new(pid, self.arena.clone(), Some(slot), spec, captured, reaper)
            .inspect_err(|_| self.undo(pid, Some(slot)))
    }

    /// Ends a process that was started but cannot be watched.
    fn undo(&self, pid: i32, slot: Option<u32>) {
        sys::kill_child(pid);
        let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
        if let Some(slot) = slot {
            self.arena.recover(slot);
        }
    }

    /// Starts the program's `main`, as any program is started.
    fn start_main(&self, args: &[String], spec: &ProcessSpec) -> Result<Arc<Child>> {
        let mut command = Command::new(self.program.path());
        command.args(args).envs(self.environment.iter().cloned());
        if let Some(file) = stdin(&spec.stdin)? {
            command.stdin(Stdio::from(file));
        }
        let stdout = stdout(spec.stdout)?;
        if let Some(file) = &stdout {
            let file = file.try_clone().map_err(|e| Error::os("dup", e))?;
            command.stdout(Stdio::from(file));
        }
        sys::reset_interrupts_of(&mut command);
        if spec.identity.daemon {
            sys::die_with_parent(&mut command);
        }
        let starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let (spawner, reaper) = self.threads()?;
        drop(starting);
        let child = spawner.spawn(&self.program, command)?;
        let captured = stdout.filter(|_| spec.stdout == Output::Capture);
        let pid = child.id() as i32;
        Child::new(pid, self.arena.clone(), None, spec, captured, reaper)
            .inspect_err(|_| self.undo(pid, None))
    }
}

/// A nameless file in memory.
fn memory_file() -> Result<File> {
    memfd_create(c"procbox-stdio", MFdFlags::MFD_CLOEXEC)
        .map(|fd: OwnedFd| File::from(fd))
        .map_err(|e| Error::os("memfd_create", e))
}

fn null() -> Result<File> {
    File::options().read(true).write(true).open("/dev/null").map_err(|e| Error::os("open", e))
}

fn stdin(input: &Input) -> Result<Option<File>> {
    match input {
        Input::Inherit => Ok(None),
        Input::Null => null().map(Some),
        Input::Bytes(bytes) => {
            let mut file = memory_file()?;
            file.write_all(bytes)
                .and_then(|()| file.rewind())
                .map_err(|e| Error::os("write", e))?;
            Ok(Some(file))
        }
    }
}

fn stdout(output: Output) -> Result<Option<File>> {
    match output {
        Output::Inherit => Ok(None),
        Output::Null => null().map(Some),
        Output::Stderr => {
            let own = std::io::stderr().as_fd().try_clone_to_owned();
            own.map(|fd| Some(fd.into())).map_err(|e| Error::os("dup", e))
        }
        Output::Capture => memory_file().map(Some),
    }
}

impl RawContext for NativeContext {
    fn backend(&self) -> Backend {
        Backend::Native
    }

    fn lock(&self) -> Result<Arc<dyn RawLock>> {
        Ok(Arc::new(NativeLock::create(&self.arena)?))
    }

    fn semaphore(&self, permits: usize) -> Result<Arc<dyn RawSemaphore>> {
        Ok(Arc::new(NativeSemaphore::create(&self.arena, permits)?))
    }

    fn event(&self) -> Result<Arc<dyn RawEvent>> {
        Ok(Arc::new(NativeEvent::create(&self.arena)?))
    }

    fn queue(&self, bounds: Bounds) -> Result<Arc<dyn RawQueue>> {
        Ok(Arc::new(NativeQueue::create(&self.arena, bounds)?))
    }

    fn pipe(&self, duplex: bool) -> Result<(Arc<dyn RawPipe>, Arc<dyn RawPipe>)> {
        let (first, second) = NativePipe::create(&self.arena, duplex)?;
        Ok((Arc::new(first), Arc::new(second)))
    }

    fn listen(&self, address: &Address) -> Result<Arc<dyn RawListener>> {
        connection::listen(address)
    }

    fn connect(&self, address: &Address, wait: Wait) -> Result<Arc<dyn RawConnection>> {
        connection::connect(address, wait)
    }

    fn start(&self, spec: ProcessSpec) -> Result<Arc<dyn RawProcess>> {
        let child = match &spec.entry {
            Entry::Main(args) => self.start_main(args, &spec)?,
            Entry::Call(name) => self.start_worker(name, false, &spec)?,
            Entry::Serve(name) => self.start_worker(name, true, &spec)?,
        };
        Ok(Arc::new(NativeProcess(child)))
    }

    fn ready(&self, those: &[Waitable], wait: Wait) -> Result<Vec<usize>> {
        ready::ready(&self.arena, &self.deaths, those, wait)
    }

    fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.program.workers()
    }

    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn cpu_count(&self) -> usize {
        std::thread::available_parallelism().map_or(1, |n| n.get())
    }
}

impl Drop for NativeContext {
    fn drop(&mut self) {
        if let Some((_, reaper)) = self.threads.get() {
            reaper.end();
        }
    }
}
