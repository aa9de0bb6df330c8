//! A sandboxed process as others see it.

use crate::interrupt::Interrupt;
use crate::ready::Source;
use crate::runtime::{Runtime, Seat, thread_time};
use crate::sync::lock;
use crate::tree::Tree;
use crate::wait_list::WaitList;
use crate::waiting;
use procbox_core::observe::{self, Operation, Sight, Visible};
use procbox_core::raw::{Identity, RawProcess};
use procbox_core::{ExitStatus, Result, Wait, signal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

/// The bytes that a process and its descendants have printed, if they are kept.
pub(crate) type Captured = Arc<Kept>;

/// What is kept of two streams.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) stdout: Mutex<Vec<u8>>,
    pub(crate) stderr: Mutex<Vec<u8>>,
}

/// A process: what its parent, the embedding program and its own task hold in common.
pub(crate) struct HostProcess {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) identity: Identity,
    pub(crate) interrupt: Interrupt,
    /// The tree that it is of.
    pub(crate) tree: Arc<Tree>,
    /// Its seat in the runtime.
    pub(crate) seat: Arc<Seat>,
    /// The CPU time that it has used, if somebody looks: `observe::show`.
    used: Used,
    end: Mutex<End>,
    ended: WaitList,
    pub(crate) output: Captured,
}

/// The end of a process, past or ordered.
#[derive(Default)]
struct End {
    status: Option<ExitStatus>,
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
    ) -> Arc<HostProcess> {
        let seat = Seat::new(identity.pid, tree.share.clone());
        Arc::new(HostProcess {
            runtime,
            identity,
            interrupt: Interrupt::new(),
            tree,
            seat,
            used: Used::default(),
            end: Mutex::default(),
            ended: WaitList::new(),
            output,
        })
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

    /// It has ended, and all that it held was given back.
    pub(crate) fn ended_with(&self, status: ExitStatus) {
        let mut end = lock(&self.end);
        end.status = Some(status);
        end.waker = None;
        drop(end);
        self.ended.wake_ordered(usize::MAX);
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
}

impl RawProcess for HostProcess {
    fn pid(&self) -> u32 {
        self.identity.pid
    }

    fn join(&self, wait: Wait) -> Result<ExitStatus> {
        let on = (Operation::Join, self.identity.pid.into());
        waiting::block(&self.runtime, wait, on, || self.status_now().map(Ok), || self.joined())
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

    fn interrupt(&self) -> Result<()> {
        if !self.interrupt.raise() {
            self.end_with(ExitStatus::signaled(signal::INT));
        }
        Ok(())
    }

    fn output(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.output.stdout))
    }

    fn error_output(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.output.stderr))
    }
}
