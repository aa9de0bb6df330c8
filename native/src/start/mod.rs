//! The parent's side of starting: what a context's processes run, the thread and the zygote that make
//! them, and the reaper that watches them.

mod first;
pub(crate) mod request;
mod settle;
mod spawner;
mod zygote;

use crate::arena::Arena;
use crate::arena::slots::Claim;
use crate::confine::Confined;
use crate::process::Child;
use crate::program::Program;
use crate::reaper::Reaper;
use crate::stdio::Streams;
use crate::sync::interrupted;
use crate::{recover, signals, syscalls};
use procbox_core::raw::{Entry, Message, ProcessSpec};
use procbox_core::{Bytes, Error, Result};
use request::StartRequest;
use settle::settle;
use spawner::Spawner;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use zygote::Zygote;

/// What the processes of a context run, and as what.
pub(crate) struct Setup {
    pub(crate) program: Program,
    pub(crate) environment: Vec<(String, String)>,
    /// The kernel's restrictions of them.
    pub(crate) confined: Option<Arc<Confined>>,
    /// The worker after which they begin.
    pub(crate) first: Option<Arc<ProcessSpec>>,
}

impl Setup {
    /// The program as this process would run it.
    pub(crate) fn of(program: Program) -> Setup {
        Setup { program, environment: Vec::new(), confined: None, first: None }
    }

    /// The same for processes that begin after this worker.
    fn after(&self, first: ProcessSpec) -> Setup {
        Setup {
            program: self.program.clone(),
            environment: self.environment.clone(),
            confined: self.confined.clone(),
            first: Some(Arc::new(first)),
        }
    }

    /// A command that runs the program.
    fn command(&self) -> Command {
        let mut command = Command::new(self.program.path());
        command.envs(self.environment.iter().cloned());
        command
    }

    /// Has the command be confined, after all else that is done before it is executed.
    fn confine(&self, command: &mut Command) {
        if let Some(confined) = &self.confined {
            confined.put_on(command);
        }
    }
}

/// Starter of the processes of one context.
pub(crate) struct Starter {
    arena: Arc<Arena>,
    /// Made at the first start: most processes start none.
    threads: OnceLock<(Spawner, Arc<Reaper>)>,
    zygote: Mutex<Option<Zygote>>,
    /// Bumped when a child has ended.
    deaths: Arc<AtomicU32>,
    /// Goes after the zygote.
    setup: Setup,
}

impl Starter {
    pub(crate) fn new(arena: Arc<Arena>, setup: Setup) -> Starter {
        Starter {
            arena,
            threads: OnceLock::new(),
            zygote: Mutex::new(None),
            deaths: Arc::new(AtomicU32::new(0)),
            setup,
        }
    }

    /// The starter of processes that begin after this worker, which has returned.
    ///
    /// # Errors
    /// Those of starting a worker; [`Error::WorkerDied`] and [`Error::NotRunnable`] by how it ended.
    pub(crate) fn after(&self, first: ProcessSpec) -> Result<Starter> {
        let (Entry::Call(name) | Entry::Serve(name)) = &first.entry else {
            return Err(Error::Unsupported("processes that begin after a `main`"));
        };
        self.setup.program.check_worker(name)?;
        let starter = Starter {
            arena: self.arena.clone(),
            threads: OnceLock::new(),
            zygote: Mutex::new(None),
            deaths: self.deaths.clone(),
            setup: self.setup.after(first),
        };
        let mut zygote = starter.zygote.lock().unwrap_or_else(PoisonError::into_inner);
        let (spawner, _) = starter.threads()?;
        *zygote = Some(Zygote::start(spawner, &starter.setup, starter.arena.raw_fd())?);
        drop(zygote);
        Ok(starter)
    }

    /// The program that its processes run.
    pub(crate) fn program(&self) -> &Program {
        &self.setup.program
    }

    /// The word that changes when a child has ended.
    pub(crate) fn deaths(&self) -> &AtomicU32 {
        &self.deaths
    }

    /// The threads; the caller holds `zygote`, so they are not made twice.
    fn threads(&self) -> Result<&(Spawner, Arc<Reaper>)> {
        if let Some(threads) = self.threads.get() {
            return Ok(threads);
        }
        let threads = (Spawner::new()?, Reaper::start(self.deaths.clone(), self.arena.clone())?);
        Ok(self.threads.get_or_init(|| threads))
    }

    /// Starts a worker: a slot with the request in it, and a word to the zygote.
    pub(crate) fn worker(
        &self,
        name: &str,
        serves: bool,
        spec: &ProcessSpec,
    ) -> Result<Arc<Child>> {
        self.setup.program.check_worker(name)?;
        let handles = self.arena.offsets(spec.handles())?;
        let request = Message::of(&StartRequest {
            worker: name.to_string(),
            serves,
            identity: spec.identity.clone(),
            arguments: Bytes(spec.message.bytes.clone()),
            handles: handles.clone(),
            answers_ctrl_c: !interrupted::answers(),
        })?;
        let streams = Streams::of(spec)?;
        let mut zygote = self.zygote.lock().unwrap_or_else(PoisonError::into_inner);
        let (spawner, reaper) = self.threads()?;
        let running = match &mut *zygote {
            Some(running) => running,
            empty => empty.insert(Zygote::start(spawner, &self.setup, self.arena.raw_fd())?),
        };
        let slot = self.arena.new_slot(&request.bytes, &handles, spec.timeout.is_some())?;
        let answer = running.fork(slot, streams.stdin_fd(), streams.stdout_fd());
        if answer.is_err() {
            // The next start makes a new one.
            *zygote = None;
        }
        let pid = settle(&self.arena, slot, answer)?;
        drop(zygote);
        Child::new(pid, self.arena.clone(), Some(slot), spec, streams.captured(), reaper)
            .inspect_err(|_| self.undo(pid, Some(slot)))
    }

    /// Starts the program's `main`, as any program is started.
    pub(crate) fn main(&self, args: &[Bytes], spec: &ProcessSpec) -> Result<Arc<Child>> {
        if let Some(at) = args.iter().position(|arg| arg.contains(&0)) {
            return Err(Error::Invalid(format!("argument {} has a zero byte in it", at + 1)));
        }
        let mut command = self.setup.command();
        command.args(args.iter().map(|arg| OsStr::from_bytes(arg)));
        let streams = Streams::of(spec)?;
        streams.give_to(&mut command)?;
        signals::reset_interrupts_of(&mut command);
        if spec.identity.daemon {
            syscalls::die_with_parent(&mut command);
        }
        self.setup.confine(&mut command);
        let starting = self.zygote.lock().unwrap_or_else(PoisonError::into_inner);
        let (spawner, reaper) = self.threads()?;
        drop(starting);
        let child = spawner.spawn(&self.setup.program, command)?;
        let pid = child.id() as i32;
        Child::new(pid, self.arena.clone(), None, spec, streams.captured(), reaper)
            .inspect_err(|_| self.undo(pid, None))
    }

    /// Ends a process that was started but cannot be watched.
    fn undo(&self, pid: i32, slot: Option<Claim>) {
        // SAFETY: it has just been started, and nobody knows of it who would reap it.
        unsafe { signals::kill_child(pid) };
        let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
        if let Some(slot) = slot {
            recover::recover(&self.arena, slot);
        }
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        if let Some((_, reaper)) = self.threads.get() {
            reaper.end();
        }
    }
}
