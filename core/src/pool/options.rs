//! The options of a pool, the rules that follow from them, and what a task asks for beside those.

use super::slot::Chunk;
use crate::raw::{Backend, Message, Output};
use std::sync::Arc;
use std::time::Duration;

/// Chunks that a worker has at hand, so that it need not wait for the pool between two.
const DEPTH: usize = 8;
/// The same for chunks of few bytes where tasks are short: a wake across cores takes as long as dozens of
/// these.
const SMALL_DEPTH: usize = 32;
/// The most bytes of such a chunk.
const SMALL: usize = 1024;
/// The largest default chunk.
const MOST_PER_CHUNK: usize = 1024;

/// The options that a pool was built with.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) workers: Option<usize>,
    /// Workers on the sides of a bridge, in place of those.
    pub(super) sides: Vec<(Backend, usize)>,
    pub(super) chunk_size: Option<usize>,
    pub(super) retries: u32,
    pub(super) idempotent: bool,
    pub(super) task_timeout: Option<Duration>,
    /// CPU time of each process.
    pub(super) cpu_time: Option<Duration>,
    /// Chunks after which a worker is replaced.
    pub(super) max_tasks: u64,
    pub(super) fresh: bool,
    pub(super) initializer: Option<(String, Message)>,
    /// Worker after which its processes begin.
    pub(super) warm: Option<(String, Message)>,
    pub(super) stdout: Output,
    /// That of the runs of a `main`.
    pub(super) stderr: Output,
    /// `true` if each task has the arguments of its `main` with it.
    pub(super) commands: bool,
    /// `true` if it is to be known what each task has used.
    pub(super) measured: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            workers: None,
            sides: Vec::new(),
            chunk_size: None,
            retries: 0,
            idempotent: false,
            task_timeout: None,
            cpu_time: None,
            max_tasks: u64::MAX,
            fresh: false,
            initializer: None,
            warm: None,
            stdout: Output::Inherit,
            stderr: Output::Inherit,
            commands: false,
            measured: false,
        }
    }
}

impl Options {
    /// Chunks that a worker may have at hand.
    pub(super) fn depth(&self) -> Depth {
        // One more than what it works on would only have to be taken back, and what a worker uses is one
        // task's only if it has no other at hand.
        let all = if self.fresh || self.measured { 1 } else { self.max_tasks };
        Depth { any: DEPTH, small: SMALL_DEPTH }.at_most(usize::try_from(all).unwrap_or(usize::MAX))
    }

    /// The chunk size for a `map` over at least so many inputs.
    pub(super) fn chunk_for(&self, inputs: usize, workers: usize) -> usize {
        self.chunk_size.unwrap_or((inputs / (workers * 16)).clamp(1, MOST_PER_CHUNK))
    }

    /// The rules of the pool's bookkeeping. `plain`: each task is a run of the program's `main`.
    pub(super) fn rules(&self, plain: bool) -> Rules {
        Rules {
            plain,
            depth: if plain { Depth::ONE } else { self.depth() },
            max_chunks: if plain { u64::MAX } else { self.max_tasks },
            retries: self.retries,
            idempotent: self.idempotent,
            task_timeout: self.task_timeout,
            initializes: self.initializer.is_some(),
        }
    }
}

/// How many chunks a worker may have at hand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Depth {
    /// Whatever their size: they take memory there.
    pub(super) any: usize,
    /// While the next one is small and tasks are short. Not less.
    pub(super) small: usize,
}

impl Depth {
    pub(super) const ONE: Depth = Depth { any: 1, small: 1 };

    /// No more than so many.
    pub(super) fn at_most(self, n: usize) -> Depth {
        Depth { any: self.any.min(n), small: self.small.min(n) }
    }

    /// That for chunks of so many bytes.
    pub(super) fn of(self, bytes: usize) -> usize {
        if bytes <= SMALL { self.small } else { self.any }
    }
}

/// What some tasks ask for where that differs from their pool.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Asked {
    /// Higher goes first.
    pub(super) priority: i32,
    pub(super) timeout: Option<Duration>,
    pub(super) retries: Option<u32>,
    /// `true` if each has a process of its own.
    pub(super) fresh: bool,
    /// The most memory of that process, in bytes.
    pub(super) memory: Option<usize>,
}

impl Asked {
    /// `true` if each of the tasks travels alone.
    pub(super) fn alone(&self) -> bool {
        self.timeout.is_some() || self.owns_process()
    }

    /// `true` if each has a process of its own.
    pub(super) fn owns_process(&self) -> bool {
        self.fresh || self.memory.is_some()
    }
}

/// Whom tasks call, and what they ask for, where that is not as the pool was built.
#[derive(Clone, Default)]
pub(super) struct Call {
    pub(super) worker: Option<Arc<str>>,
    pub(super) asked: Option<Arc<Asked>>,
}

impl Call {
    /// `true` if it is as the pool was built.
    pub(super) fn is_plain(&self) -> bool {
        self.worker.is_none() && self.asked.is_none()
    }

    /// `true` if each task travels alone.
    pub(super) fn alone(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.alone())
    }
}

/// The rules that the bookkeeping of a pool goes by.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// `true` if a process is started with its task, instead of being there before.
    pub(super) plain: bool,
    /// Chunks that a worker may have at hand.
    pub(super) depth: Depth,
    /// Chunks after which a worker is replaced.
    pub(super) max_chunks: u64,
    /// The number of times that a task whose worker died is run again.
    pub(super) retries: u32,
    /// `true` if a chunk whose worker died may be run again, task by task.
    pub(super) idempotent: bool,
    /// The time that a worker may be at one chunk.
    pub(super) task_timeout: Option<Duration>,
    /// `true` if workers do something before their first chunk.
    pub(super) initializes: bool,
}

impl Rules {
    /// `true` if a process is to be started for this chunk alone, which no process of the pool's own is.
    pub(super) fn needs_own<W, S>(&self, chunk: &Chunk<W, S>) -> bool {
        let asked = chunk.asked.as_deref();
        !self.plain
            && asked.is_some_and(|it| it.memory.is_some() || it.fresh && self.max_chunks > 1)
    }
}
