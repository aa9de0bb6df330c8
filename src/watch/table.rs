//! What is known of processes, waits and tasks, as events tell it.

use super::proc;
use super::snapshot::{ProcessView, Snapshot, Tasks, ThingView};
use procbox_core::observe::{Awaited, Event, Looking, Operation, Sight, Subscriber};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most processes that are told.
const MOST: usize = 10_000;
/// The pid by which the sandbox calls the process that it is in.
const EMBEDDER: u32 = 1;

/// The table.
pub(super) struct Table {
    began: Instant,
    looking: Looking,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    started: u64,
    alive: BTreeMap<u32, Alive>,
    /// The waits of each process: one thread of it may be in the same as another.
    waits: BTreeMap<u32, Vec<(Awaited, Instant)>>,
    tasks: Tasks,
    /// The worker that each open task was given to.
    given: HashMap<(u64, u64), Arc<str>>,
    /// The open tasks of each worker, by its name, in the order in which it does them.
    todo: HashMap<Arc<str>, BTreeSet<(u64, u64)>>,
    /// The numbers under which locks and queues and the like are told: the kind's own.
    numbers: HashMap<(&'static str, u64), usize>,
    counts: HashMap<&'static str, usize>,
}

struct Alive {
    name: Arc<str>,
    parent: u32,
    began: Instant,
}

impl Table {
    pub(super) fn new() -> Table {
        Table { began: Instant::now(), looking: Looking::begin(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How all is now.
    pub(super) fn snapshot(&self) -> Snapshot {
        // Asked before the table is locked: events come from those who hold what is looked at.
        let sights = self.looking.all();
        let own = proc::seen(std::process::id());
        let now = Instant::now();
        let mut state = self.state();
        let mut snapshot = Snapshot {
            pid: std::process::id(),
            command: proc::command_line(),
            up: now - self.began,
            alive: state.alive.len(),
            started: state.started,
            tasks: state.tasks,
            ..Snapshot::default()
        };
        let cpu: HashMap<u32, Duration> = sights
            .iter()
            .filter_map(|sight| match sight {
                Sight::Process { pid, cpu } => Some((*pid, *cpu)),
                _ => None,
            })
            .collect();
        let mut me = ProcessView {
            pid: snapshot.pid,
            name: "(itself)".into(),
            kind: "own".into(),
            age: snapshot.up,
            state: "runs".into(),
            waits: state.waits_of(&[snapshot.pid, EMBEDDER], now),
            ..ProcessView::default()
        };
        if let Some(own) = own {
            (me.cpu, me.memory) = (Some(own.cpu), Some(own.memory));
            me.state = own.state.into();
        }
        if !me.waits.is_empty() {
            me.state = "waits".into();
        }
        snapshot.processes.push(me);
        let pids: Vec<u32> = state.alive.keys().copied().take(MOST).collect();
        for pid in pids {
            let waits = state.waits_of(&[pid], now);
            let Some(alive) = state.alive.get(&pid) else { continue };
            let todo = state.todo.get(&alive.name);
            snapshot.processes.push(ProcessView {
                pid,
                parent: if alive.parent == EMBEDDER { snapshot.pid } else { alive.parent },
                name: alive.name.to_string(),
                age: now - alive.began,
                cpu: cpu.get(&pid).copied(),
                kind: if cpu.contains_key(&pid) { "sandbox" } else { "native" }.into(),
                state: if waits.is_empty() { "runs" } else { "waits" }.into(),
                waits,
                task: todo.and_then(|todo| Some((todo.first()?.1 + 1, todo.len()))),
                ..ProcessView::default()
            });
        }
        snapshot.things = sights.iter().filter_map(|sight| state.thing(sight)).collect();
        drop(state);
        // The system is asked when nobody has to wait for that.
        for process in snapshot.processes.iter_mut().filter(|process| process.kind == "native") {
            let Some(seen) = proc::seen(process.pid) else { continue };
            (process.cpu, process.memory) = (Some(seen.cpu), Some(seen.memory));
            if process.waits.is_empty() {
                process.state = seen.state.into();
            }
        }
        snapshot
    }
}

impl State {
    fn waits_of(&mut self, pids: &[u32], now: Instant) -> Vec<(String, Duration)> {
        let waits: Vec<_> =
            pids.iter().filter_map(|pid| self.waits.get(pid)).flatten().copied().collect();
        waits.into_iter().map(|(on, since)| (self.words(on), now - since)).collect()
    }

    /// What is waited for, by the number that it has here.
    fn words(&mut self, on: Awaited) -> String {
        match kind(on.operation) {
            Some(kind) => {
                let object = self.number(kind, on.object) as u64;
                Awaited { object, ..on }.to_string()
            }
            None => on.to_string(),
        }
    }

    fn number(&mut self, kind: &'static str, object: u64) -> usize {
        let count = self.counts.entry(kind).or_default();
        *self.numbers.entry((kind, object)).or_insert_with(|| {
            *count += 1;
            *count
        })
    }

    fn waiters(&self, of: &str, object: u64) -> Vec<u32> {
        let is_it = |on: &Awaited| on.object == object && kind(on.operation) == Some(of);
        let waits = self.waits.iter().filter(|(_, waits)| waits.iter().any(|(on, _)| is_it(on)));
        waits.map(|(pid, _)| if *pid == EMBEDDER { std::process::id() } else { *pid }).collect()
    }

    fn thing(&mut self, sight: &Sight) -> Option<ThingView> {
        let (kind, object, state, depth) = match *sight {
            Sight::Lock { object, holder } => ("lock", object, self.holder(object, holder), None),
            Sight::Queue { object, messages, most } => {
                let of = most.map_or(String::new(), |most| format!(" of {most}"));
                ("queue", object, format!("{messages}{of} messages"), Some(messages))
            }
            _ => return None,
        };
        let name = format!("{kind} {}", self.number(kind, object));
        Some(ThingView { name, state, depth, waiters: self.waiters(kind, object) })
    }

    /// A sandboxed process has its pid, a native one its thread's.
    fn holder(&self, object: u64, holder: Option<u32>) -> String {
        match holder {
            None if self.waiters("lock", object).is_empty() => "free".into(),
            None => "held by the program itself".into(),
            Some(pid) if self.alive.contains_key(&pid) => format!("held by process {pid}"),
            Some(thread) => match proc::process_of(thread) {
                Some(pid) => format!("held by process {pid}"),
                None => format!("held by thread {thread}"),
            },
        }
    }

    fn ended(&mut self, pool: u64, task: u64) {
        let Some(worker) = self.given.remove(&(pool, task)) else { return };
        self.tasks.given = self.tasks.given.saturating_sub(1);
        if let Some(todo) = self.todo.get_mut(&worker) {
            todo.remove(&(pool, task));
            if todo.is_empty() {
                self.todo.remove(&worker);
            }
        }
    }
}

/// The kind of thing that is waited for, if it has a number of its own.
fn kind(operation: Operation) -> Option<&'static str> {
    Some(match operation {
        Operation::LockAcquire => "lock",
        Operation::SemaphoreAcquire => "semaphore",
        Operation::EventWait => "event",
        Operation::RegionWait => "region",
        Operation::LedgerWait => "ledger",
        Operation::QueueGet | Operation::QueuePut => "queue",
        Operation::PipeRecv | Operation::PipeSend => "pipe",
        _ => return None,
    })
}

impl Subscriber for Table {
    fn event(&self, event: &Event<'_>) {
        let mut state = self.state();
        match *event {
            Event::ProcessStarted { pid, name, parent } => {
                state.started += 1;
                let alive = Alive { name: name.into(), parent, began: Instant::now() };
                state.alive.insert(pid, alive);
            }
            Event::ProcessEnded { pid, .. } => {
                state.alive.remove(&pid);
                state.waits.remove(&pid);
            }
            Event::TaskGiven { pool, task, count, worker } => {
                let worker: Arc<str> = worker.into();
                for task in task..task + count as u64 {
                    // One that is run again has ended where it was.
                    state.ended(pool, task);
                    state.given.insert((pool, task), worker.clone());
                    state.todo.entry(worker.clone()).or_default().insert((pool, task));
                }
                state.tasks.given += count as u64;
            }
            Event::TaskDone { pool, task } => {
                state.tasks.done += 1;
                state.ended(pool, task);
            }
            Event::TaskFailed { pool, task, .. } => {
                state.tasks.failed += 1;
                state.ended(pool, task);
            }
            Event::TaskRetried { count, .. } => state.tasks.retried += count as u64,
            Event::WaitBegun { pid, on } => {
                state.waits.entry(pid).or_default().push((on, Instant::now()));
            }
            Event::WaitEnded { pid, on, .. } => {
                let Some(waits) = state.waits.get_mut(&pid) else { return };
                if let Some(at) = waits.iter().rposition(|(other, _)| *other == on) {
                    waits.remove(at);
                }
                if waits.is_empty() {
                    state.waits.remove(&pid);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_has_what_the_events_told() {
        let table = Table::new();
        let get = |object| Awaited { operation: Operation::QueueGet, object };
        table.event(&Event::ProcessStarted { pid: 7, name: "w", parent: 1 });
        table.event(&Event::ProcessStarted { pid: 8, name: "gone", parent: 7 });
        table.event(&Event::WaitBegun { pid: 7, on: get(0xdead) });
        table.event(&Event::WaitBegun { pid: 8, on: get(0xbeef) });
        table.event(&Event::WaitBegun { pid: 1, on: get(0xbeef) });
        table.event(&Event::TaskGiven { pool: 1, task: 4, count: 3, worker: "w" });
        table.event(&Event::TaskDone { pool: 1, task: 4 });
        let status = procbox_core::ExitStatus::SUCCESS;
        table.event(&Event::ProcessEnded { pid: 8, name: "gone", status });
        let seen = table.snapshot();
        assert_eq!((seen.alive, seen.started, seen.processes.len()), (1, 2, 2));
        let (own, worker) = (&seen.processes[0], &seen.processes[1]);
        assert_eq!((own.pid, &own.kind[..], own.waits.len()), (std::process::id(), "own", 1));
        assert_eq!((worker.task, &worker.state[..]), (Some((6, 2)), "waits"));
        // Numbers are small ones of its own, in the order of asking.
        assert_eq!(worker.waits[0].0, "a message of queue 2");
        assert_eq!((seen.tasks.given, seen.tasks.done), (2, 1));
        let sight = Sight::Queue { object: 0xbeef, messages: 2, most: Some(16) };
        let thing = table.state().thing(&sight).unwrap();
        assert_eq!((&thing.name[..], &thing.state[..]), ("queue 1", "2 of 16 messages"));
        assert_eq!(thing.waiters, [std::process::id()]);
    }
}
