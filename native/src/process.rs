//! A child process: joining, signalling and reading what it printed.

use crate::arena::Arena;
use crate::arena::slots::Claim;
use crate::arena::waits::{Awaits, Patient};
use crate::limits::Limits;
use crate::reaper::Reaper;
use crate::stdio::Captured;
use crate::sync::patience::Patience;
use crate::sync::poll;
use crate::sync::wakers::Wakers;
use crate::syscalls::os;
use crate::{descendants, interrupt, limits, recover, signals, syscalls};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use procbox_core::observe::{self, Event, Operation, Waiting};
use procbox_core::raw::{ProcessSpec, RawProcess, Watch};
use procbox_core::time::{Clock, SystemClock};
use procbox_core::{Error, ExitStatus, Result, Usage, Wait, signal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

/// A child of this process, shared by its handle and the reaper.
pub(crate) struct Child {
    pid: i32,
    name: String,
    pidfd: OwnedFd,
    arena: Arc<Arena>,
    /// Slot in the process table, if it is in the arena.
    slot: Option<Claim>,
    status: Mutex<Status>,
    pub(crate) limits: Limits,
    /// Threads that are blocked in `join`: they see the death themselves, and the reaper leaves
    /// the rest to them. One lock and one wake less on the way from death to join.
    joiners: AtomicU32,
    /// Those who wait for its end and are no threads.
    watchers: Wakers,
    reaper: Arc<Reaper>,
    /// Output and error output, if they are captured.
    captured: [Option<Captured>; 2],
    began: Instant,
    /// What it has used, and when it had ended, once it is reaped.
    used: OnceLock<(Usage, Instant)>,
}

/// The pause after which who joins looks whether it is to give up: it has been found to be one of a
/// circle, of which no descriptor tells.
const LOOK: Duration = Duration::from_millis(250);

/// How far a child's end has been seen.
#[derive(Clone, Copy)]
enum Status {
    Running,
    /// It is reaped; what it held may not all have been given back.
    Reaped(ExitStatus),
    /// All is done, and the status can be seen.
    Ended(ExitStatus),
}

/// The end of wait statuses that nobody can read: the child was reaped by someone else's `wait`.
const LOST: ExitStatus = ExitStatus::exited(255);

impl Child {
    pub(crate) fn new(
        pid: i32,
        arena: Arc<Arena>,
        slot: Option<Claim>,
        spec: &ProcessSpec,
        captured: [Option<Captured>; 2],
        reaper: &Arc<Reaper>,
    ) -> Result<Arc<Child>> {
        let pidfd = syscalls::pidfd_open(pid).map_err(|e| os("pidfd_open", e))?;
        interrupt::record_child(pid);
        let child = Arc::new(Child {
            pid,
            name: spec.identity.name.clone(),
            pidfd,
            arena,
            slot,
            status: Mutex::new(Status::Running),
            limits: Limits::new(spec),
            joiners: AtomicU32::new(0),
            watchers: Wakers::default(),
            reaper: reaper.clone(),
            captured,
            began: SystemClock.now(),
            used: OnceLock::new(),
        });
        reaper.watch(&child)?;
        observe::emit(|| Event::ProcessStarted {
            pid: pid.unsigned_abs(),
            name: &spec.identity.name,
            parent: std::process::id(),
        });
        Ok(child)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Arena of its context.
    pub(crate) fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Ends it if it is beyond a limit; when to look again, if it has one.
    pub(crate) fn keep_to_limits(&self, now: Instant) -> Option<Instant> {
        // Not reaped while this is held, so its pid is not another's.
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*status, Status::Running) {
            return None;
        }
        let (signal, look) = self.limits.look(self.pid, now);
        match signal {
            // What is beyond a limit ends with all that it has started.
            Some(Signal::SIGKILL) => {
                descendants::kill_tree(self.pid, self.pidfd(), self.place());
            }
            signal => signal.into_iter().for_each(|signal| self.signal(signal)),
        }
        drop(status);
        look
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Status that it ended with, if it has. The first to ask after its death reaps it and recovers
    /// what it held, so whoever sees the status sees the recovery done.
    ///
    /// # Errors
    /// [`Error::TimedOut`] and [`Error::Interrupted`] if it has ended, and the recovery has to wait for a
    /// process that is stopped.
    fn try_reap(&self, patience: &Patience) -> Result<Option<ExitStatus>> {
        let Some(ended) = self.reap() else { return Ok(None) };
        // Not under the lock: others have less patience. It can be done twice.
        if let (Status::Reaped(_), Some(slot)) = (*self.status(), self.slot) {
            recover::try_recover(&self.arena, slot, patience)?;
        }
        let mut status = self.status();
        let is_news = !matches!(*status, Status::Ended(_));
        *status = Status::Ended(ended);
        drop(status);
        if is_news {
            // On its thread, not here: whoever asks may hold a lock which those who are woken want.
            self.reaper.wake_later(self.watchers.take());
            self.reaper.forget(self);
            self.tell_end(ended);
        }
        Ok(Some(ended))
    }

    /// Reaps it if it has ended, and nobody has yet.
    fn reap(&self) -> Option<ExitStatus> {
        let mut status = self.status();
        if let Status::Reaped(ended) | Status::Ended(ended) = *status {
            return Some(ended);
        }
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
        // Looked at without reaping first: the pid must be off the record before it is free.
        let seen = waitid(Id::PIDFd(self.pidfd()), look | WaitPidFlag::WNOWAIT);
        let ended = match seen {
            Ok(WaitStatus::StillAlive) => return None,
            Ok(WaitStatus::Exited(_, code)) => ExitStatus::exited(code),
            Ok(WaitStatus::Signaled(_, by, _)) => match self.limits.broken(by) {
                Some(limit) => ExitStatus::limited(limit),
                None => ExitStatus::signaled(by as i32),
            },
            Ok(_) => return None,
            // A real-time signal, which nix has no name for.
            Err(Errno::EINVAL) => ExitStatus::signaled(signal::KILL),
            Err(Errno::ECHILD) => LOST,
            Err(_) => return None,
        };
        interrupt::forget_child(self.pid);
        if let Ok(used) = syscalls::reap(self.pidfd()) {
            let _ = self.used.set((used, SystemClock.now()));
        }
        *status = Status::Reaped(ended);
        Some(ended)
    }

    /// The status as far as it is known without waiting.
    pub(crate) fn known(&self) -> Option<ExitStatus> {
        self.try_reap(&Patience::brief()).ok().flatten()
    }

    /// Tells those who watch that it has ended.
    fn tell_end(&self, status: ExitStatus) {
        let (pid, name) = (self.pid.unsigned_abs(), &self.name[..]);
        if let Some(limit) = status.limit() {
            observe::emit(|| Event::LimitHit { pid, name, limit });
        }
        observe::emit(|| Event::ProcessEnded { pid, name, status });
    }

    /// For the reaper: as [`Child::try_reap`], unless a joiner is going to; `false` if it has to come
    /// again for that.
    pub(crate) fn reap_unjoined(&self) -> bool {
        self.joiners.load(Ordering::SeqCst) != 0 || self.try_reap(&Patience::brief()).is_ok()
    }

    fn join(&self, wait: Wait) -> Result<ExitStatus> {
        let object = u64::from(self.pid.unsigned_abs());
        let waiting = Waiting::begin(std::process::id, Operation::Join, object);
        self.joiners.fetch_add(1, Ordering::SeqCst);
        let patience = Patience::new(wait);
        // One that is not in the arena is nobody of whom anything is known.
        let (slot, wait) = match self.slot {
            Some(claim) => (claim.slot, wait),
            None => (0, Wait::AtMost(Duration::MAX)),
        };
        let awaits = Awaits { operation: Operation::Join, object: slot.into(), detail: object };
        let mut patient = Patient::new(&self.arena, wait, awaits);
        let joined = loop {
            match self.try_reap(&patience) {
                Ok(None) => {}
                Ok(Some(status)) => break Ok(status),
                Err(e) => break Err(e),
            }
            let asleep = patient.sleep(patience.until(), LOOK, |_, until| {
                poll::block(vec![PollFd::new(self.pidfd(), PollFlags::POLLIN)], until)?;
                let over = until.is_past(&SystemClock) && !syscalls::is_readable(self.pidfd());
                if over { Err(Error::TimedOut) } else { Ok(()) }
            });
            if let Err(e) = asleep {
                break Err(e);
            }
        };
        self.joiners.fetch_sub(1, Ordering::SeqCst);
        let joined = joined.or_else(|e| match self.try_reap(&Patience::brief()) {
            // If it died meanwhile, the reaper may have left it to this thread.
            Ok(Some(_)) if e == Error::Deadlock => Err(e),
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(e),
            Err(_) => {
                self.reaper.come_again(self);
                Err(e)
            }
        });
        waiting.end(joined.is_ok());
        joined
    }

    /// Kills it and what descends from it.
    fn kill_tree(&self) {
        // Not reaped while this is held, so its pid is not another's.
        let status = self.status();
        if matches!(*status, Status::Running) {
            descendants::kill_tree(self.pid, self.pidfd(), self.place());
        }
        drop(status);
    }

    /// Its place in the process table.
    fn place(&self) -> Option<(&Arena, Claim)> {
        self.slot.map(|claim| (&*self.arena, claim))
    }

    fn signal(&self, signal: Signal) {
        signals::pidfd_signal(self.pidfd(), signal);
    }
}

/// A watch for the end of a child.
struct Watched {
    child: Arc<Child>,
    number: u64,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.child.watchers.remove(self.number);
    }
}

/// A process, by handle.
pub(crate) struct NativeProcess(pub(crate) Arc<Child>);

impl RawProcess for NativeProcess {
    fn pid(&self) -> u32 {
        self.0.pid.unsigned_abs()
    }

    fn join(&self, wait: Wait) -> Result<ExitStatus> {
        if self.pid() == std::process::id() {
            return Err(Error::JoinSelf);
        }
        match wait {
            Wait::Never => self.0.known().ok_or(Error::TimedOut),
            _ => self.0.join(wait),
        }
    }

    fn status(&self) -> Option<ExitStatus> {
        self.0.known()
    }

    /// The reaper, or a thread that joins it, sees the end, and wakes those who wait.
    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        let number = self.0.watchers.add(waker);
        Ok(Some(Watch::new(Watched { child: self.0.clone(), number })))
    }

    fn terminate(&self) -> Result<()> {
        self.0.signal(Signal::SIGTERM);
        Ok(())
    }

    fn kill(&self) -> Result<()> {
        self.0.signal(Signal::SIGKILL);
        Ok(())
    }

    fn kill_tree(&self) -> Result<()> {
        self.0.kill_tree();
        Ok(())
    }

    fn interrupt(&self) -> Result<()> {
        match self.0.slot {
            Some(_) => signals::pidfd_request_interrupt(self.0.pidfd()),
            // A program's `main`, which may know nothing of procbox.
            None => signals::pidfd_interrupt(self.0.pidfd()),
        }
        Ok(())
    }

    fn usage(&self) -> Result<Usage> {
        // Reaped if it can be.
        let running = self.0.known().is_none();
        let (mut usage, until) = match self.0.used.get() {
            Some(used) => *used,
            None => (Usage::default(), SystemClock.now()),
        };
        if running {
            usage.cpu_time = Some(limits::cpu_time(self.0.pid));
        }
        usage.wall_time = until.saturating_duration_since(self.0.began);
        Ok(usage)
    }

    fn cpu_time_now(&self) -> Option<Duration> {
        self.0.known().is_none().then(|| limits::cpu_time(self.0.pid))
    }

    fn output(&self) -> Vec<u8> {
        self.0.captured[0].as_ref().map(Captured::read).unwrap_or_default()
    }

    fn error_output(&self) -> Vec<u8> {
        self.0.captured[1].as_ref().map(Captured::read).unwrap_or_default()
    }
}
