//! `--waits FILE`: who waits for what, as a graph in DOT, written anew while it changes.
//!
//! The file is replaced as a whole, so that a reader always has one graph. It is left as it last was
//! while processes ran: after a program that hung was ended, it still shows in what.

use crate::status::say;
use anyhow::Context as _;
use procbox::native;
use procbox::observe::{Awaited, Event, Subscriber, WaitGraph};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the graph is written, if it has changed.
const EVERY: Duration = Duration::from_millis(200);

/// The graph, as events change it.
#[derive(Default)]
pub(super) struct Graph(Mutex<State>);

#[derive(Default)]
struct State {
    names: BTreeMap<u32, String>,
    /// Each with how often it is waited for: threads of one process may wait for the same.
    waits: BTreeMap<(u32, u64, String), (Awaited, usize)>,
    changed: bool,
}

impl Graph {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The graph as text, if it is another than when this was last asked.
    fn changed(&self) -> Option<String> {
        let mut state = self.state();
        std::mem::take(&mut state.changed).then(|| state.dot())
    }
}

impl Subscriber for Graph {
    fn event(&self, event: &Event<'_>) {
        let mut state = self.state();
        match event {
            Event::ProcessStarted { pid, name, .. } => {
                state.names.insert(*pid, (*name).to_string());
            }
            Event::ProcessEnded { pid, .. } => {
                state.names.remove(pid);
                state.waits.retain(|(waiter, ..), _| waiter != pid);
            }
            Event::WaitBegun { pid, on } => {
                let key = (*pid, on.object, on.to_string());
                state.waits.entry(key).or_insert((*on, 0)).1 += 1;
            }
            Event::WaitEnded { pid, on, .. } => {
                let key = (*pid, on.object, on.to_string());
                if let Some((_, number)) = state.waits.get_mut(&key) {
                    *number -= 1;
                    if *number == 0 {
                        state.waits.remove(&key);
                    }
                }
            }
            _ => return,
        }
        state.changed = true;
    }
}

impl State {
    fn dot(&self) -> String {
        let mut graph = WaitGraph::default();
        self.names.iter().for_each(|(pid, name)| graph.name(*pid, name));
        self.waits.iter().for_each(|((pid, ..), (on, _))| graph.wait(*pid, *on));
        graph.to_dot()
    }
}

/// What writes the graph, until it is dropped.
pub(super) struct Writer {
    graph: Arc<Graph>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn begin(path: &Path) -> anyhow::Result<Writer> {
        let (graph, ended) = (Arc::new(Graph::default()), Arc::new(AtomicBool::new(false)));
        let named = || format!("--waits {}", path.display());
        write(path, &graph.state().dot()).with_context(named)?;
        let (seen, over, path) = (graph.clone(), ended.clone(), path.to_path_buf());
        let work = move || {
            while !over.load(Ordering::Acquire) {
                std::thread::park_timeout(EVERY);
                // What is interrupted waits no more, and it is asked in what it had hung.
                if over.load(Ordering::Acquire) || native::answered_signal().is_some() {
                    break;
                }
                let written = seen.changed().map_or(Ok(()), |dot| write(&path, &dot));
                if let Err(e) = written {
                    return say(&format!("--waits {}: {e}", path.display()));
                }
            }
        };
        let thread = std::thread::Builder::new().name("procbox-waits".into()).spawn(work)?;
        Ok(Writer { graph, ended, thread: Some(thread) })
    }

    pub(super) fn subscriber(&self) -> Arc<Graph> {
        self.graph.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

/// Replaces the file.
fn write(path: &Path, dot: &str) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    std::fs::write(&beside, dot)?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use procbox::observe::Operation;

    #[test]
    fn the_graph_is_of_what_is_waited_for_now() {
        let graph = Graph::default();
        let on = |operation, object| Awaited { operation, object };
        let (get, join) = (on(Operation::QueueGet, 3), on(Operation::Join, 7));
        graph.event(&Event::ProcessStarted { pid: 7, name: "a\"b", parent: 1 });
        for (pid, on) in [(7, get), (7, get), (1, join)] {
            graph.event(&Event::WaitBegun { pid, on });
        }
        graph.event(&Event::WaitEnded { pid: 7, on: get, success: true });
        let dot = graph.changed().unwrap();
        for line in ["p7 [label=\"a\\\"b (7)\"]", "p7 -> queue3", "p1 -> p7 [label=\"join\"]"] {
            assert!(dot.contains(line), "{line}: {dot}");
        }
        assert_eq!(graph.changed(), None);
        graph.event(&Event::WaitEnded { pid: 7, on: get, success: true });
        assert!(!graph.changed().unwrap().contains("queue3"));
    }
}
