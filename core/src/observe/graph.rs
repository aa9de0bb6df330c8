//! Who waits for what, as a graph in DOT.

use super::{Awaited, Operation};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A graph of processes and what they wait for. Processes are boxes, the things that they wait for
/// ellipses; an arrow leads from who waits, and from a thing to who has it, if that is known.
///
/// ```
/// use procbox_core::observe::{Awaited, Operation, WaitGraph};
/// let mut graph = WaitGraph::default();
/// graph.name(7, "reader");
/// graph.wait(7, Awaited { operation: Operation::QueueGet, object: 3 });
/// assert!(graph.to_dot().contains("p7 -> queue3"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct WaitGraph {
    names: BTreeMap<u32, String>,
    waits: BTreeMap<(u32, u64, String), Awaited>,
    held: BTreeSet<(String, u32)>,
}

impl WaitGraph {
    /// Gives a process a name.
    ///
    /// ```
    /// let mut graph = procbox_core::observe::WaitGraph::default();
    /// graph.name(7, "reader");
    /// assert!(graph.to_dot().contains("reader (7)"));
    /// ```
    pub fn name(&mut self, pid: u32, name: &str) {
        self.names.insert(pid, name.into());
    }

    /// Adds that a process waits.
    ///
    /// ```
    /// use procbox_core::observe::{Awaited, Operation, WaitGraph};
    /// let mut graph = WaitGraph::default();
    /// graph.wait(7, Awaited { operation: Operation::Join, object: 8 });
    /// assert!(graph.to_dot().contains("p7 -> p8 [label=\"join\"]"));
    /// ```
    pub fn wait(&mut self, pid: u32, on: Awaited) {
        self.waits.insert((pid, on.object, on.to_string()), on);
    }

    /// Adds that a thing that is waited for is up to a process.
    ///
    /// ```
    /// use procbox_core::observe::{Awaited, Operation, WaitGraph};
    /// let mut graph = WaitGraph::default();
    /// graph.held_by(Awaited { operation: Operation::LockAcquire, object: 1 }, 7);
    /// assert!(graph.to_dot().contains("lock1 -> p7"));
    /// ```
    pub fn held_by(&mut self, on: Awaited, pid: u32) {
        if on.operation != Operation::Join {
            self.held.insert((format!("{}{}", kind(on.operation), on.object), pid));
        }
    }

    /// The graph as text.
    ///
    /// ```
    /// let graph = procbox_core::observe::WaitGraph::default();
    /// assert!(graph.to_dot().starts_with("digraph waits {"));
    /// ```
    pub fn to_dot(&self) -> String {
        let mut dot = String::from("digraph waits {\n  rankdir=LR;\n  node [shape=box];\n");
        let waiters = self.waits.keys().map(|(pid, ..)| *pid);
        let pids: BTreeSet<u32> = self.names.keys().copied().chain(waiters).collect();
        // Writing to a string does not fail.
        for pid in pids {
            let name = self.names.get(&pid).map_or("procbox", String::as_str);
            let _ = writeln!(dot, "  p{pid} [label=\"{} ({pid})\"];", escaped(name));
        }
        for ((pid, object, text), on) in &self.waits {
            if on.operation == Operation::Join {
                let _ = writeln!(dot, "  p{pid} -> p{object} [label=\"join\"];");
                continue;
            }
            let (kind, node) = (kind(on.operation), escaped(text));
            let _ = writeln!(dot, "  {kind}{object} [shape=ellipse, label=\"{kind} {object}\"];");
            let _ = writeln!(dot, "  p{pid} -> {kind}{object} [label=\"{node}\"];");
        }
        for (thing, pid) in &self.held {
            let _ = writeln!(dot, "  {thing} -> p{pid} [style=dashed];");
        }
        dot + "}\n"
    }
}

/// What is waited for, as the name of a node.
fn kind(operation: Operation) -> &'static str {
    match operation {
        Operation::LockAcquire => "lock",
        Operation::SemaphoreAcquire => "semaphore",
        Operation::EventWait => "event",
        Operation::RegionWait => "region",
        Operation::LedgerWait => "ledger",
        Operation::QueueGet | Operation::QueuePut => "queue",
        Operation::PipeRecv | Operation::PipeSend => "pipe",
        Operation::Join => "process",
        _ => "any",
    }
}

fn escaped(text: &str) -> String {
    let safe = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(safe).collect::<String>().replace('\\', "\\\\").replace('"', "\\\"")
}
