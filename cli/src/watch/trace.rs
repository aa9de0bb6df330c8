//! `--trace FILE`: what happens as trace events, a line each.
//!
//! The format is the JSON array form of Google's "Trace Event Format": its closing bracket may be
//! missing, so a trace that was cut off by a kill opens too. A process is a track of its own. Tasks
//! and waits are asynchronous events on the track of their process, for several may be open at once.

use crate::status::say;
use anyhow::Context as _;
use procbox::observe::{Awaited, Event, Subscriber};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The track of what concerns no process that is known: the command's own.
const OWN_TRACK: u32 = 1;

/// A trace that is being written.
pub(super) struct Trace {
    began: Instant,
    open: Mutex<Open>,
}

struct Open {
    file: BufWriter<File>,
    /// Nothing more is written: it is finished, or a write failed, which ends the trace and not the work.
    failed: bool,
    /// The track of each process by its name: pools know their workers by that.
    tracks: HashMap<String, u32>,
    /// The open waits of each process, with the number that each has in the trace.
    waits: HashMap<(u32, Awaited), Vec<u64>>,
    /// The track that each open task began on.
    tasks: HashMap<(u64, u64), u32>,
    last_wait: u64,
}

impl Trace {
    /// A new file, or an old one overwritten.
    pub(super) fn create(path: &Path) -> anyhow::Result<Trace> {
        let file = File::create(path).with_context(|| format!("--trace {}", path.display()))?;
        let mut open = Open {
            file: BufWriter::new(file),
            failed: false,
            tracks: HashMap::new(),
            waits: HashMap::new(),
            tasks: HashMap::new(),
            last_wait: 0,
        };
        let name = json!({"name": "procbox"});
        open.file.write_all(b"[\n").with_context(|| format!("--trace {}", path.display()))?;
        open.put(json!({"ph": "M", "name": "process_name", "pid": OWN_TRACK, "args": name}));
        Ok(Trace { began: Instant::now(), open: Mutex::new(open) })
    }

    /// Ends the file. What still happens then, on other threads, is not in it.
    pub(super) fn finish(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // The last record has no comma behind it.
        let last = json!({"ph": "M", "name": "end", "pid": OWN_TRACK});
        let written = !open.failed && writeln!(open.file, "{last}\n]").is_ok();
        open.failed = true;
        if open.file.flush().is_err() || !written {
            say("--trace: the file could not be written to its end");
        }
    }
}

impl Open {
    fn put(&mut self, record: Value) {
        if !self.failed {
            self.failed = writeln!(self.file, "{record},").is_err();
        }
    }

    fn track(&self, worker: &str) -> u32 {
        self.tracks.get(worker).copied().unwrap_or(OWN_TRACK)
    }

    /// Ends a task's event, if it was seen to begin.
    fn task_ended(&mut self, ts: f64, pool: u64, task: u64, args: Value) {
        if let Some(track) = self.tasks.remove(&(pool, task)) {
            self.task(ts, "e", (pool, task), track, args);
        }
    }

    fn task(&mut self, ts: f64, ph: &str, (pool, task): (u64, u64), track: u32, args: Value) {
        self.put(json!({
            "ph": ph, "cat": "task", "name": format!("task {}", task + 1),
            "id": format!("{pool}.{task}"), "ts": ts, "pid": track, "tid": track, "args": args,
        }));
    }

    fn wait(&mut self, ts: f64, ph: &str, (pid, on): (u32, Awaited), id: u64, args: Value) {
        self.put(json!({
            "ph": ph, "cat": "wait", "name": format!("waits for {on}"), "id": id,
            "ts": ts, "pid": pid, "tid": pid, "args": args,
        }));
    }

    fn instant(&mut self, ts: f64, name: &str, track: u32, args: Value) {
        self.put(json!({
            "ph": "i", "s": "p", "name": name, "ts": ts, "pid": track, "tid": track, "args": args,
        }));
    }

    fn event(&mut self, ts: f64, event: &Event<'_>) {
        match *event {
            Event::ProcessStarted { pid, name, parent } => {
                self.tracks.insert(name.into(), pid);
                let named = json!({"name": name});
                self.put(json!({"ph": "M", "name": "process_name", "pid": pid, "args": named}));
                self.put(json!({
                    "ph": "B", "cat": "process", "name": name, "ts": ts, "pid": pid, "tid": pid,
                    "args": {"parent": parent},
                }));
            }
            Event::ProcessEnded { pid, name, status } => {
                if self.tracks.get(name) == Some(&pid) {
                    self.tracks.remove(name);
                }
                let args = json!({"status": status.to_string(), "exitcode": status.exitcode()});
                if status.exitcode() < 0 {
                    self.instant(ts, "killed", pid, args.clone());
                }
                self.put(json!({"ph": "E", "ts": ts, "pid": pid, "tid": pid, "args": args}));
            }
            Event::LimitHit { pid, limit, .. } => {
                self.instant(ts, &format!("out of {limit}"), pid, json!({}));
            }
            Event::TaskGiven { pool, task, count, worker } => {
                let track = self.track(worker);
                for task in task..task + count as u64 {
                    // One that is run again has ended there, without a result.
                    self.task_ended(ts, pool, task, json!({"again": true}));
                    self.tasks.insert((pool, task), track);
                    self.task(ts, "b", (pool, task), track, json!({"worker": worker}));
                }
            }
            Event::TaskDone { pool, task } => self.task_ended(ts, pool, task, json!({})),
            Event::TaskFailed { pool, task, error } => {
                self.task_ended(ts, pool, task, json!({"error": error.to_string()}));
            }
            Event::TaskRetried { pool, task, count, attempts } => {
                let args = json!({
                    "pool": pool, "first": task + 1, "count": count, "attempts": attempts,
                });
                self.instant(ts, "retry", OWN_TRACK, args);
            }
            Event::WorkerReplaced { worker, status, .. } => {
                let args = json!({"worker": worker, "status": status.to_string()});
                self.instant(ts, "worker replaced", OWN_TRACK, args);
            }
            Event::WaitBegun { pid, on } => {
                self.last_wait += 1;
                let id = self.last_wait;
                self.waits.entry((pid, on)).or_default().push(id);
                self.wait(ts, "b", (pid, on), id, json!({}));
            }
            Event::WaitEnded { pid, on, success } => {
                let Some(open) = self.waits.get_mut(&(pid, on)) else { return };
                let id = open.pop();
                if open.is_empty() {
                    self.waits.remove(&(pid, on));
                }
                if let Some(id) = id {
                    self.wait(ts, "e", (pid, on), id, json!({"success": success}));
                }
            }
            _ => {}
        }
    }
}

impl Subscriber for Trace {
    fn event(&self, event: &Event<'_>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken under the lock, so that times only grow. In microseconds, as the format has it.
        let ts = self.began.elapsed().as_nanos() as f64 / 1000.0;
        open.event(ts, event);
    }
}
