//! Processes: starting, watching, ending.

mod builder;
mod polled;

pub use builder::{Complete, ProcessBuilder, Starts};

use crate::context::ContextInner;
use crate::raw::{Identity, ProcessSpec, RawProcess, Waitable};
use crate::sync::lock;
use crate::{Bytes, Error, ExitStatus, Result, Usage, Wait};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

enum Phase {
    /// Or why it cannot be started.
    Built(Result<Box<ProcessSpec>>),
    Running(Arc<dyn RawProcess>),
    Closed,
}

struct State {
    identity: Identity,
    phase: Phase,
}

pub(crate) struct Shared {
    context: Weak<ContextInner>,
    state: Mutex<State>,
}

/// A process of either backend. Clones are the same process; dropping the last lets it run on.
///
/// ```
/// # let ctx = procbox_core::local::example()?;
/// let p = ctx.process("greet").args(("world",)).name("greeter").start()?;
/// println!("{} is {}, alive: {}", p.pid()?, p.name(), p.is_alive());
/// assert_eq!(p.join()?.exitcode(), 0);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Process(pub(crate) Arc<Shared>);

impl Process {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    /// Starts it.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::local::example()?;
    /// let p = ctx.process("greet").args(("world",)).build();
    /// p.start()?;
    /// assert_eq!(p.start(), Err(Error::AlreadyStarted));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::AlreadyStarted`] the second time, [`Error::NoSuchWorker`], [`Error::NotRunnable`],
    /// [`Error::DaemonStart`] in a daemon, [`Error::NotGranted`], [`Error::Exhausted`] when there is no
    /// room for one more, [`Error::Encode`] and [`Error::ForeignHandle`] for what its arguments are,
    /// [`Error::Closed`] when the context is gone. One that failed says the same again: build another.
    pub fn start(&self) -> Result<()> {
        let mut state = self.state();
        let context = self.0.context.upgrade().ok_or(Error::Closed)?;
        let Phase::Built(spec) = &mut state.phase else { return Err(Error::AlreadyStarted) };
        // A start that panicked in the backend was one.
        let spec = std::mem::replace(spec, Err(Error::AlreadyStarted));
        let started = spec.and_then(|mut spec| {
            spec.identity = state.identity.clone();
            context.start(*spec)
        });
        match started {
            Ok(raw) => {
                state.identity.pid = raw.pid();
                state.phase = Phase::Running(raw);
                drop(state);
                context.remember(self);
                Ok(())
            }
            Err(e) => {
                state.phase = Phase::Built(Err(e.clone()));
                Err(e)
            }
        }
    }

    /// The backend's process.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let p = ctx.process("greet").args(("world",)).start()?;
    /// assert_eq!(p.raw()?.pid(), p.pid()?);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`].
    pub fn raw(&self) -> Result<Arc<dyn RawProcess>> {
        match &self.state().phase {
            Phase::Running(raw) => Ok(raw.clone()),
            Phase::Built(_) => Err(Error::NotStarted),
            Phase::Closed => Err(Error::Closed),
        }
    }

    /// Waits until it has ended, and says how.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let p = ctx.process("greet").args(("world",)).start()?;
    /// let status = p.join()?;
    /// assert!(status.success(), "it {status}"); // "it panicked (exit code 101)", for example
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`], [`Error::JoinSelf`], [`Error::Interrupted`] on Ctrl-C.
    pub fn join(&self) -> Result<ExitStatus> {
        self.raw()?.join(Wait::Forever)
    }

    /// Like [`Process::join`], for at most `timeout`.
    ///
    /// ```no_run
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let q = ctx.queue::<u32>(1)?;
    /// let p = ctx.process("writer").args((&q, 2u32)).start()?; // its second put waits
    /// assert_eq!(p.join_timeout(Duration::from_millis(10)), Err(Error::TimedOut));
    /// assert_eq!((q.get()?, q.get()?), (0, 1));
    /// assert!(p.join()?.success());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Process::join`], and [`Error::TimedOut`].
    pub fn join_timeout(&self, timeout: Duration) -> Result<ExitStatus> {
        self.raw()?.join(Wait::AtMost(timeout))
    }

    /// `true` if it was started and has not ended.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let p = ctx.process("greet").args(("world",)).build();
    /// assert!(!p.is_alive()); // not yet
    /// p.start()?;
    /// p.join()?;
    /// assert!(!p.is_alive()); // not any more
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn is_alive(&self) -> bool {
        self.raw().is_ok_and(|raw| raw.status().is_none())
    }

    /// The status that it ended with; `None` before it did, and once it is closed.
    ///
    /// ```
    /// # use procbox_core::ExitStatus;
    /// # let ctx = procbox_core::local::example()?;
    /// let p = ctx.process("greet").args(("world",)).build();
    /// assert_eq!(p.status(), None);
    /// p.start()?;
    /// p.join()?;
    /// assert_eq!(p.status(), Some(ExitStatus::SUCCESS));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn status(&self) -> Option<ExitStatus> {
        self.raw().ok()?.status()
    }

    /// Python's number for how it ended; `None` before it did, and once it is closed.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let q = ctx.queue::<u32>(1)?;
    /// let p = ctx.process("writer").args((&q, 2u32)).start()?; // its second put waits
    /// p.kill()?;
    /// p.join()?;
    /// assert_eq!(p.exitcode(), Some(-9));
    /// # Ok(()) }
    /// ```
    pub fn exitcode(&self) -> Option<i32> {
        self.status().map(ExitStatus::exitcode)
    }

    /// Ends it: exit code -15.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let q = ctx.queue::<u32>(1)?;
    /// let p = ctx.process("writer").args((&q, 2u32)).start()?; // its second put waits
    /// p.terminate()?;
    /// assert_eq!(p.join()?.exitcode(), -15);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`].
    pub fn terminate(&self) -> Result<()> {
        self.raw()?.terminate()
    }

    /// Ends it, which it cannot prevent: exit code -9.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let q = ctx.queue::<u32>(1)?;
    /// let p = ctx.process("writer").args((&q, 2u32)).start()?; // its second put waits
    /// p.terminate()?;
    /// if p.join_timeout(Duration::from_secs(1)).is_err() {
    ///     p.kill()?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`].
    pub fn kill(&self) -> Result<()> {
        self.raw()?.kill()
    }

    /// Ends it and all that come of it, whatever they do: exit code -9. In the sandbox that is the
    /// whole tree, also what a process that has ended left behind; natively those that descend from
    /// it now. Inside a sandboxed process there is no such call.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let q = ctx.queue::<u32>(1)?;
    /// let p = ctx.process("writer").args((&q, 2u32)).start()?; // its second put waits
    /// p.kill_tree()?; // whatever it has started
    /// assert_eq!(p.join()?.exitcode(), -9);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`], [`Error::Unsupported`] inside a sandboxed process.
    pub fn kill_tree(&self) -> Result<()> {
        self.raw()?.kill_tree()
    }

    /// Does to it what Ctrl-C does: one that answers it has its blocked calls end with
    /// [`Error::Interrupted`], another ends with exit code -2.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let q = ctx.queue::<u32>(1)?;
    /// let p = ctx.process("writer").args((&q, u32::MAX)).start()?;
    /// q.get()?; // it is at work
    /// p.interrupt()?;
    /// assert_eq!(p.join()?.exitcode(), -2); // `writer` does not answer Ctrl-C
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`].
    pub fn interrupt(&self) -> Result<()> {
        self.raw()?.interrupt()
    }

    /// Frees what the process object holds. Most of its methods then say [`Error::Closed`].
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::local::example()?;
    /// # let p = ctx.process("greet").args(("world",)).start()?;
    /// p.join()?;
    /// p.close()?;
    /// assert_eq!(p.join(), Err(Error::Closed));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::StillRunning`].
    pub fn close(&self) -> Result<()> {
        let mut state = self.state();
        if matches!(&state.phase, Phase::Running(raw) if raw.status().is_none()) {
            return Err(Error::StillRunning);
        }
        state.phase = Phase::Closed;
        Ok(())
    }

    /// The process's name.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let (a, b) = (ctx.process("greet").build(), ctx.process("greet").name("b").build());
    /// assert_eq!((a.name(), b.name()), ("Process-1".into(), "b".into()));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn name(&self) -> String {
        self.state().identity.name.clone()
    }

    /// Gives it another name.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let p = ctx.process("greet").args(("world",)).build();
    /// p.set_name("greeter")?;
    /// assert_eq!(p.name(), "greeter");
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::AlreadyStarted`] after start.
    pub fn set_name(&self, name: impl Into<String>) -> Result<()> {
        let mut state = self.state();
        match state.phase {
            Phase::Built(_) => {
                state.identity.name = name.into();
                Ok(())
            }
            _ => Err(Error::AlreadyStarted),
        }
    }

    /// The process's number.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::local::example()?;
    /// let p = ctx.process("greet").args(("world",)).build();
    /// assert_eq!(p.pid(), Err(Error::NotStarted));
    /// p.start()?;
    /// println!("{} is process {}", p.name(), p.pid()?);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotStarted`].
    pub fn pid(&self) -> Result<u32> {
        match self.state().identity.pid {
            0 => Err(Error::NotStarted),
            pid => Ok(pid),
        }
    }

    /// `true` if it ends with its parent.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// assert!(ctx.process("greet").daemon(true).build().daemon());
    /// assert!(!ctx.process("greet").build().daemon()); // its parent is none
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn daemon(&self) -> bool {
        self.state().identity.daemon
    }

    /// Changes the daemon flag.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::local::example()?;
    /// let p = ctx.process("greet").args(("world",)).build();
    /// p.set_daemon(true)?;
    /// p.start()?;
    /// assert_eq!(p.set_daemon(false), Err(Error::AlreadyStarted));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::AlreadyStarted`] after start.
    pub fn set_daemon(&self, daemon: bool) -> Result<()> {
        let mut state = self.state();
        match state.phase {
            Phase::Built(_) => {
                state.identity.daemon = daemon;
                Ok(())
            }
            _ => Err(Error::AlreadyStarted),
        }
    }

    /// The key that it inherited.
    ///
    /// ```
    /// # let ctx = procbox_core::local::example()?;
    /// let p = ctx.process("greet").args(("world",)).build();
    /// assert_eq!(p.authkey(), ctx.current_process().authkey);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn authkey(&self) -> Bytes {
        self.state().identity.authkey.clone()
    }

    /// The output that it printed so far, if its stdout is captured; taken out.
    ///
    /// ```no_run
    /// # use procbox_core::Output;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let p = ctx.process("greet").args(("world",)).stdout(Output::Capture).start()?;
    /// p.join()?;
    /// println!("it said {}", String::from_utf8_lossy(&p.output()?));
    /// assert!(p.output()?.is_empty()); // taken out
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`].
    pub fn output(&self) -> Result<Vec<u8>> {
        self.raw().map(|raw| raw.output())
    }

    /// What it and all that it has started have used so far; in all, once they have ended.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let p = ctx.process("greet").args(("world",)).start()?;
    /// p.join()?;
    /// println!("it took {:?}", p.usage()?.wall_time);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`], [`Error::Unsupported`] inside a sandboxed process.
    pub fn usage(&self) -> Result<Usage> {
        self.raw()?.usage()
    }

    /// Nobody needs it any more; true if its end is certain: see [`RawProcess::abandon`].
    pub(crate) fn abandon(&self) -> bool {
        self.raw().is_ok_and(|raw| raw.abandon())
    }

    /// CPU time of it alone up to this moment, where that is known.
    pub(crate) fn cpu_time_now(&self) -> Option<std::time::Duration> {
        self.raw().ok()?.cpu_time_now()
    }

    /// The same of its standard error, if that is captured.
    ///
    /// ```no_run
    /// # use procbox_core::Output;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let p = ctx.main(["--verbose"]).stderr(Output::Capture).start()?;
    /// p.join()?;
    /// println!("it complained: {}", String::from_utf8_lossy(&p.error_output()?));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`].
    pub fn error_output(&self) -> Result<Vec<u8>> {
        self.raw().map(|raw| raw.error_output())
    }

    /// Something to wait for together with others.
    ///
    /// ```
    /// # use procbox_core::{Wait, ready};
    /// # let ctx = procbox_core::local::example()?;
    /// # let q = ctx.queue::<u32>(16)?;
    /// let p = ctx.process("writer").args((&q, 3u32)).start()?;
    /// let those = [q.waitable(), p.sentinel()?];
    /// if ready(&ctx, &those, Wait::Forever)?.contains(&1) {
    ///     println!("it {}", p.join()?);
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotStarted`], [`Error::Closed`].
    pub fn sentinel(&self) -> Result<Waitable> {
        self.raw().map(Waitable::Process)
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let phase = match &state.phase {
            Phase::Built(_) => "not started".to_string(),
            Phase::Running(raw) => match raw.status() {
                None => "running".to_string(),
                Some(status) => status.to_string(),
            },
            Phase::Closed => "closed".to_string(),
        };
        write!(f, "Process({}, {phase})", state.identity.name)
    }
}
