//! The events as spans and events of the `tracing` crate.

use super::{Awaited, Event, Subscriber, Subscription, subscribe};
use crate::sync::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tracing::{Level, Span, debug_span, enabled, info, info_span, trace_span, warn};

/// Has the events of this OS process go to [`tracing`], whatever subscriber that has, until the
/// subscription is dropped.
///
/// The target is `procbox`. A process is a span at level INFO (`process`, with `pid`, `name` and
/// `parent`), a task one at DEBUG (`task`, with `pool`, `task` and `worker`), a wait one at TRACE
/// (`wait`, with `pid` and `on`). Ends, with status or error, are events within these; limits,
/// retries and replaced workers are events at WARN.
///
/// ```
/// let watching = procbox_core::observe::to_tracing();
/// // ... start processes, run pools.
/// drop(watching);
/// ```
pub fn to_tracing() -> Subscription {
    subscribe(Arc::new(ToTracing::default()))
}

/// The spans that are open.
#[derive(Default)]
struct ToTracing {
    processes: Mutex<HashMap<u32, Span>>,
    /// By pool and task.
    tasks: Mutex<HashMap<(u64, u64), Span>>,
    waits: Mutex<HashMap<(u32, Awaited), Vec<Span>>>,
}

impl ToTracing {
    /// Runs `tell` within the span of a process, if that is open.
    fn within(&self, pid: u32, tell: impl FnOnce()) {
        let span = lock(&self.processes).get(&pid).cloned();
        span.unwrap_or_else(Span::none).in_scope(tell);
    }

    /// Closes a task's span; `tell` is run within it.
    fn task_ended(&self, pool: u64, task: u64, tell: impl FnOnce()) {
        let span = lock(&self.tasks).remove(&(pool, task));
        span.unwrap_or_else(Span::none).in_scope(tell);
    }
}

impl Subscriber for ToTracing {
    fn event(&self, event: &Event<'_>) {
        match *event {
            Event::ProcessStarted { pid, name, parent } => {
                let span =
                    info_span!(target: "procbox", parent: None, "process", pid, name, parent);
                span.in_scope(|| info!(target: "procbox", "started"));
                lock(&self.processes).insert(pid, span);
            }
            Event::ProcessEnded { pid, status, .. } => {
                let span = lock(&self.processes).remove(&pid).unwrap_or_else(Span::none);
                let exitcode = status.exitcode();
                span.in_scope(|| info!(target: "procbox", exitcode, "{status}"));
            }
            Event::LimitHit { pid, limit, .. } => {
                self.within(pid, || warn!(target: "procbox", "out of {limit}"));
            }
            Event::TaskGiven { pool, task, count, worker } => {
                if enabled!(target: "procbox", Level::DEBUG) {
                    // Made unlocked: whoever makes them may have events of its own.
                    let span = |task| {
                        let span = debug_span!(target: "procbox", parent: None, "task", pool, task, worker);
                        ((pool, task), span)
                    };
                    let spans: Vec<_> = (task..task + count as u64).map(span).collect();
                    lock(&self.tasks).extend(spans);
                }
            }
            Event::TaskMeasured { pool, task, usage } => {
                let (cpu, memory) = (usage.cpu_time, usage.peak_memory);
                tracing::debug!(target: "procbox", pool, task, ?cpu, ?memory, "used");
            }
            Event::TaskDone { pool, task } => {
                self.task_ended(pool, task, || tracing::debug!(target: "procbox", "done"));
            }
            Event::TaskFailed { pool, task, error } => self.task_ended(pool, task, || {
                info!(target: "procbox", pool, task, "failed: {error}");
            }),
            Event::CommandComplained { pool, task, stderr } => {
                let bytes = stderr.len();
                tracing::debug!(target: "procbox", pool, task, bytes, "complained");
            }
            Event::CommandFailed { pool, task, stdout } => {
                let bytes = stdout.len();
                tracing::debug!(target: "procbox", pool, task, bytes, "printed before it failed");
            }
            Event::TaskRetried { pool, task, count, attempts } => {
                warn!(target: "procbox", pool, task, count, attempts, "run again");
            }
            Event::Deadlock { deadlock } => warn!(target: "procbox", "{deadlock}"),
            Event::WorkerReplaced { pool, worker, status } => {
                warn!(target: "procbox", pool, worker, "replaced: it {status}");
            }
            Event::WaitBegun { pid, on } => {
                if enabled!(target: "procbox", Level::TRACE) {
                    let span = trace_span!(target: "procbox", parent: None, "wait", pid, on = %on);
                    span.in_scope(|| tracing::trace!(target: "procbox", "waits for {on}"));
                    lock(&self.waits).entry((pid, on)).or_default().push(span);
                }
            }
            Event::WaitEnded { pid, on, success } => {
                let mut waits = lock(&self.waits);
                let Some(open) = waits.get_mut(&(pid, on)) else { return };
                let span = open.pop().unwrap_or_else(Span::none);
                if open.is_empty() {
                    waits.remove(&(pid, on));
                }
                drop(waits);
                span.in_scope(|| tracing::trace!(target: "procbox", success, "waited for {on}"));
            }
        }
    }
}
