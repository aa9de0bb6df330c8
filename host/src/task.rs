//! The task of a process: the future that runs it until it ends, is ended, or is out of time.

use crate::print;
use crate::process::HostProcess;
use crate::registry::Registry;
use crate::runtime::{Budget, Sleep};
use procbox_core::observe::{self, Event};
use procbox_core::time::Deadline;
use procbox_core::{ExitStatus, Identity, Limit, signal};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// The whole life of a process: it owns the store, and comes to how the process has ended.
pub(crate) type Life = Pin<Box<dyn Future<Output = ExitStatus> + Send>>;

/// The end of a process in which there was a fault of our own.
pub(crate) const FAULT: ExitStatus = ExitStatus::signaled(signal::ABRT);

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
        // Measured for its tree, it has no limit of its own.
        let measured = process.tree.limits_cpu_time().then_some(Duration::MAX);
        let cpu_time = cpu_time.or(measured).and_then(|limit| process.runtime.budget(limit));
        Task { life: Some(life), process, registry, timeout, cpu_time }
    }

    /// Runs the guest until it yields, waits or ends; how the process has ended, if it has.
    fn run(&mut self, cx: &mut Context<'_>) -> Option<ExitStatus> {
        let life = self.life.as_mut()?;
        let (process, cpu_time) = (&self.process, &mut self.cpu_time);
        let polled = process.spend(|| match cpu_time {
            None => life.as_mut().poll(cx),
            Some(budget) => {
                let (polled, used) = budget.spend(|| life.as_mut().poll(cx));
                process.tree.spend(used);
                polled
            }
        });
        match polled {
            // It may have been told to end for a limit, and gone by itself before it did.
            Poll::Ready(status) => Some(self.process.limit_broken().unwrap_or(status)),
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

    /// Does a step; `None` if that panics. A panic is a fault of this crate or of wasmtime's. It ends
    /// the process that it came up in, and not the thread, which others need.
    fn guarded<T>(&mut self, step: impl FnOnce(&mut Task) -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(|| step(self))) {
            Ok(done) => Some(done),
            Err(_) => {
                print::complain_now(
                    &self.process.identity.name,
                    "a fault of procbox's own ended it",
                );
                None
            }
        }
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
        let step = |own: &mut Task| own.has_to_end(cx).or_else(|| own.run(cx));
        let Some(status) = self.guarded(step).unwrap_or(Some(FAULT)) else {
            return Poll::Pending;
        };
        // First the store goes, and with it what the process held; then those who wait are told.
        let gone = self.guarded(|own| own.life = None);
        self.end(if gone.is_some() { status } else { FAULT });
        Poll::Ready(())
    }
}

impl Drop for Task {
    /// A runtime that goes takes its processes with it.
    fn drop(&mut self) {
        if self.life.is_some() {
            self.guarded(|own| own.life = None);
            self.end(ExitStatus::signaled(signal::KILL));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Runtime;
    use crate::tree::Tree;
    use crate::tree_limits::TreeLimits;
    use procbox_core::Wait;
    use procbox_core::raw::RawProcess;

    /// A value whose end is a panic.
    struct Trap;

    impl Drop for Trap {
        fn drop(&mut self) {
            panic!("a test's");
        }
    }

    #[test]
    fn a_panic_in_a_task_ends_its_process_alone_and_the_thread_goes_on() {
        let runtime = Runtime::threads(1, Box::new(|| {}));
        let registry = Arc::new(Registry::new(1));
        let start = |life: Life| {
            let identity = Identity::new("p", registry.next_pid());
            let share = crate::runtime::Share::new(crate::runtime::WEIGHT);
            let deadline = Wait::Forever.deadline(&**runtime.clock());
            let tree = Tree::new(share, Arc::default(), registry.clone(), TreeLimits::new());
            let process =
                HostProcess::new(runtime.clone(), identity, tree, Arc::default(), deadline, false)
                    .unwrap();
            let task = Task::new(life, process.clone(), registry.clone(), deadline, None);
            runtime.spawn(process.seat.clone(), task);
            process
        };
        let lives: [fn() -> Life; 2] = [
            || Box::pin(async { panic!("a test's") }),
            || {
                let trap = Trap;
                Box::pin(async move {
                    let _trap = trap;
                    ExitStatus::SUCCESS
                })
            },
        ];
        for life in lives {
            assert_eq!(start(life()).join(Wait::Forever), Ok(FAULT));
        }
        let after = start(Box::pin(async { ExitStatus::SUCCESS }));
        assert_eq!(after.join(Wait::Forever), Ok(ExitStatus::SUCCESS));
    }
}
