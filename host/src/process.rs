//! A sandboxed process as others see it.

use crate::account::{Charge, OBJECT};
use crate::blocked::{Server, Waiter};
use crate::interrupt::Interrupt;
use crate::lock::Holder;
use crate::print::Stream;
use crate::ready::Source;
use crate::runtime::{Runtime, Seat, thread_time};
use crate::sync::lock;
use crate::tree::Tree;
use crate::wait_list::WaitList;
use crate::waiting;
use procbox_core::observe::{self, Awaited, Operation, Sight, Visible};
use procbox_core::raw::{Identity, RawProcess, Watch};
use procbox_core::time::Deadline;
use procbox_core::{ExitStatus, Limit, Result, Usage, Wait, signal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

/// The bytes that a process and its descendants have printed, if they are kept.
pub(crate) type Captured = Arc<Kept>;

/// What is kept of two streams.
#[derive(Default)]
pub(crate) struct Kept {
    stdout: Mutex<Vec<u8>>,
    stderr: Mutex<Vec<u8>>,
}

impl Kept {
    fn of(&self, stream: Stream) -> &Mutex<Vec<u8>> {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }
}

/// A process: what its parent, the embedding program and its own task hold in common.
pub(crate) struct HostProcess {
    this: Weak<HostProcess>,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) identity: Identity,
    pub(crate) interrupt: Interrupt,
    /// It, when it waits for as long as it takes.
    pub(crate) waiter: Waiter,
    /// The tree that it is of.
    pub(crate) tree: Arc<Tree>,
    /// The moment at which it and all that it starts end.
    pub(crate) deadline: Deadline,
    /// Fuel is counted in its sandbox.
    counts_fuel: bool,
    began: Instant,
    /// Its seat in the runtime.
    pub(crate) seat: Arc<Seat>,
    /// The CPU time that it has used, if somebody looks: `observe::show`.
    used: Used,
    end: Mutex<End>,
    ended: WaitList,
    pub(crate) output: Captured,
    _charge: Charge,
}

/// The end of a process, past or ordered.
#[derive(Default)]
struct End {
    status: Option<ExitStatus>,
    at: Option<Instant>,
    /// It is to end with this, at the next opportunity.
    ordered: Option<ExitStatus>,
    /// Wakes its task.
    waker: Option<Waker>,
}

impl HostProcess {
    pub(crate) fn new(
        runtime: Arc<Runtime>,
        identity: Identity,
        tree: Arc<Tree>,
        output: Captured,
        deadline: Deadline,
        counts_fuel: bool,
    ) -> Result<Arc<HostProcess>> {
        let parent = identity.parent.as_ref().map_or(0, |(_, name)| name.len());
        let texts = identity.name.len() + parent + identity.authkey.len();
        let charge = tree.account.charge(OBJECT + texts)?;
        let seat = Seat::new(identity.pid, tree.share.clone());
        Ok(Arc::new_cyclic(|this| HostProcess {
            this: this.clone(),
            identity,
            interrupt: Interrupt::new(),
            waiter: Waiter::default(),
            tree,
            deadline,
            counts_fuel,
            began: runtime.clock().now(),
            runtime,
            seat,
            used: Used::default(),
            end: Mutex::default(),
            ended: WaitList::new(),
            output,
            _charge: charge,
        }))
    }

    /// Decides how it ends, unless that is decided. It ends when its task is next polled.
    pub(crate) fn end_with(&self, status: ExitStatus) {
        let waker = {
            let mut end = lock(&self.end);
            if end.status.is_some() || end.ordered.is_some() {
                return;
            }
            end.ordered = Some(status);
            end.waker.take()
        };
        self.runtime.hasten(&self.seat);
        waker.into_iter().for_each(Waker::wake);
        // If it is running right now it has to give up its thread first.
        self.runtime.preempt();
    }

    /// The end that it has been told to make, if it has. If not, `waker` is woken when it is told.
    pub(crate) fn ordered_end(&self, waker: &Waker) -> Option<ExitStatus> {
        let mut end = lock(&self.end);
        if end.ordered.is_none() && end.waker.as_ref().is_none_or(|own| !own.will_wake(waker)) {
            end.waker = Some(waker.clone());
        }
        end.ordered
    }

    /// The end that it was told to make, if that is for a limit.
    pub(crate) fn limit_broken(&self) -> Option<ExitStatus> {
        lock(&self.end).ordered.filter(|status| status.limit().is_some())
    }

    /// It has ended, and all that it held was given back.
    pub(crate) fn ended_with(&self, status: ExitStatus) {
        let mut end = lock(&self.end);
        end.status = Some(status);
        end.at = Some(self.runtime.clock().now());
        end.waker = None;
        drop(end);
        self.ended.wake_ordered(usize::MAX);
        // It may have been the last that could end somebody's wait.
        self.runtime.alarm().stir();
    }

    /// Has it look at what it waits for.
    pub(crate) fn nudge(&self) {
        let waker = lock(&self.end).waker.clone();
        waker.into_iter().for_each(Waker::wake);
    }

    /// Keeps what the process has printed. If there is no room for that in its tree, it ends.
    pub(crate) fn keep_output(&self, of: Stream, bytes: &[u8]) -> std::io::Result<()> {
        if !self.tree.account.take(bytes.len()) {
            self.end_with(ExitStatus::limited(Limit::Memory));
            return Err(std::io::ErrorKind::OutOfMemory.into());
        }
        lock(self.output.of(of)).extend_from_slice(bytes);
        Ok(())
    }

    /// What it has printed and nobody has taken yet.
    fn take_kept(&self, of: Stream) -> Vec<u8> {
        let output = std::mem::take(&mut *lock(self.output.of(of)));
        self.tree.account.give(output.len());
        output
    }

    pub(crate) fn status_now(&self) -> Option<ExitStatus> {
        lock(&self.end).status
    }

    pub(crate) async fn joined(&self) -> Result<ExitStatus> {
        waiting::until(&self.runtime, &self.ended, || self.status_now().map(Ok)).await
    }
}

/// CPU time that somebody looks at.
#[derive(Default)]
struct Used(AtomicU64);

impl HostProcess {
    /// Runs a piece of it, at its expense if somebody looks.
    pub(crate) fn spend<T>(&self, piece: impl FnOnce() -> T) -> T {
        if !observe::is_looked_at() {
            return piece();
        }
        let began = thread_time();
        let done = piece();
        let used = thread_time().saturating_sub(began).as_nanos();
        // 500 years of them go into it.
        self.used.0.fetch_add(used as u64, Ordering::Relaxed);
        done
    }
}

impl Visible for HostProcess {
    fn sight(&self) -> Sight {
        let cpu = Duration::from_nanos(self.used.0.load(Ordering::Relaxed));
        Sight::Process { pid: self.identity.pid, cpu }
    }
}

impl Source for HostProcess {
    fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    fn is_ready(&self) -> bool {
        self.status_now().is_some()
    }

    fn changed(&self) -> &WaitList {
        &self.ended
    }

    fn server(&self) -> Server {
        Server::One(self.identity.pid.into())
    }
}

impl RawProcess for HostProcess {
    fn pid(&self) -> u32 {
        self.identity.pid
    }

    fn join(&self, wait: Wait) -> Result<ExitStatus> {
        let on = Awaited { operation: Operation::Join, object: self.identity.pid.into() };
        let server = || self.identity.pid.into();
        let attempt = || self.status_now().map(Ok);
        let joiner = Holder::thread().key();
        waiting::block_on_one(&self.runtime, wait, on, (joiner, server), attempt, || self.joined())
    }

    fn status(&self) -> Option<ExitStatus> {
        self.status_now()
    }

    fn terminate(&self) -> Result<()> {
        self.end_with(ExitStatus::signaled(signal::TERM));
        Ok(())
    }

    fn kill(&self) -> Result<()> {
        self.end_with(ExitStatus::signaled(signal::KILL));
        Ok(())
    }

    fn kill_tree(&self) -> Result<()> {
        self.tree.end(ExitStatus::signaled(signal::KILL));
        Ok(())
    }

    fn interrupt(&self) -> Result<()> {
        if !self.interrupt.raise() {
            self.end_with(ExitStatus::signaled(signal::INT));
        }
        Ok(())
    }

    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        waiting::watch(&self.runtime, &self.this, |process| &process.ended, waker)
    }

    fn usage(&self) -> Result<Usage> {
        let mut usage = self.tree.usage();
        let until = lock(&self.end).at.unwrap_or_else(|| self.runtime.clock().now());
        usage.wall_time = until.saturating_duration_since(self.began);
        usage.fuel = self.counts_fuel.then(|| self.tree.fuel_used());
        Ok(usage)
    }

    fn output(&self) -> Vec<u8> {
        self.take_kept(Stream::Stdout)
    }

    fn error_output(&self) -> Vec<u8> {
        self.take_kept(Stream::Stderr)
    }
}
