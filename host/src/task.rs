//! The task of a process: the future that runs it until it ends, is ended, or is out of time.

use crate::process::HostProcess;
use crate::registry::Registry;
use crate::runtime::{Budget, Sleep};
use procbox_core::observe::{self, Event};
use procbox_core::time::Deadline;
use procbox_core::{ExitStatus, Identity, Limit, signal};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// The whole life of a process: it owns the store, and comes to how the process has ended.
pub(crate) type Life = Pin<Box<dyn Future<Output = ExitStatus> + Send>>;

/// The task of a process.
pub(crate) struct Task {
    /// `None` once it has ended.
    life: Option<Life>,
    process: Arc<HostProcess>,
    registry: Arc<Registry>,
    timeout: Option<Timeout>,
    cpu_time: Option<Budget>,
}

impl Task {
    pub(crate) fn new(
        life: Life,
        process: Arc<HostProcess>,
        registry: Arc<Registry>,
        deadline: Deadline,
        cpu_time: Option<Duration>,
    ) -> Task {
        let mut timeout = deadline.instant().map(|_| Timeout::new(&process, deadline));
        // Set now: many others may come before this task first runs.
        if let Some(timeout) = &mut timeout
            && timeout.has_passed()
        {
            timeout.ends.wake_by_ref();
        }
        let cpu_time = cpu_time.and_then(|limit| process.runtime.budget(limit));
        Task { life: Some(life), process, registry, timeout, cpu_time }
    }

    /// Runs the guest until it yields, waits or ends; how the process has ended, if it has.
    fn run(&mut self, cx: &mut Context<'_>) -> Option<ExitStatus> {
        let life = self.life.as_mut()?;
        let polled = match &mut self.cpu_time {
            None => life.as_mut().poll(cx),
            Some(budget) => budget.spend(|| life.as_mut().poll(cx)),
        };
        match polled {
            Poll::Ready(status) => Some(status),
            Poll::Pending if self.cpu_time.as_ref().is_some_and(Budget::is_spent) => {
                Some(ExitStatus::limited(Limit::CpuTime))
            }
            Poll::Pending => None,
        }
    }

    /// The end that it has to make now, if it has to.
    fn has_to_end(&mut self, cx: &mut Context<'_>) -> Option<ExitStatus> {
        if let Some(ordered) = self.process.ordered_end(cx.waker()) {
            return Some(ordered);
        }
        let late = self.timeout.as_mut().is_some_and(Timeout::has_passed);
        late.then(|| ExitStatus::limited(Limit::WallClock))
    }

    fn end(&self, status: ExitStatus) {
        let Identity { pid, ref name, .. } = self.process.identity;
        self.registry.leave(pid);
        if let Some(limit) = status.limit() {
            observe::emit(|| Event::LimitHit { pid, name, limit });
        }
        observe::emit(|| Event::ProcessEnded { pid, name, status });
        self.process.ended_with(status);
    }
}

/// The moment at which a process is ended. Its task may be in the run queue then, behind others, so
/// it is not just woken: it is told to end, which hastens it.
struct Timeout {
    sleep: Sleep,
    ends: Waker,
}

impl Timeout {
    fn new(process: &Arc<HostProcess>, deadline: Deadline) -> Timeout {
        let ends = Waker::from(Arc::new(Ends(Arc::downgrade(process))));
        Timeout { sleep: process.runtime.sleep_until(deadline), ends }
    }

    fn has_passed(&mut self) -> bool {
        Pin::new(&mut self.sleep).poll(&mut Context::from_waker(&self.ends)).is_ready()
    }
}

/// Ends a process that is out of time.
struct Ends(Weak<HostProcess>);

impl Wake for Ends {
    fn wake(self: Arc<Ends>) {
        if let Some(process) = self.0.upgrade() {
            process.end_with(ExitStatus::limited(Limit::WallClock));
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.life.is_none() {
            return Poll::Ready(());
        }
        let Some(status) = self.has_to_end(cx).or_else(|| self.run(cx)) else {
            return Poll::Pending;
        };
        // First the store goes, and with it what the process held; then those who wait are told.
        self.life = None;
        self.end(status);
        Poll::Ready(())
    }
}

impl Drop for Task {
    /// A runtime that goes takes its processes with it.
    fn drop(&mut self) {
        if self.life.take().is_some() {
            self.end(ExitStatus::signaled(signal::KILL));
        }
    }
}
