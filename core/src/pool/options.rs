//! The options of a pool, and the rules that follow from them.

use crate::raw::{Backend, Message, Output};
use std::time::Duration;

/// Chunks that a worker has at hand, so that it need not wait for the pool between two.
const DEPTH: usize = 8;
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
    pub(super) fn depth(&self) -> usize {
        // One more than what it works on would only have to be taken back, and what a worker uses is one
        // task's only if it has no other at hand.
        if self.fresh || self.measured {
            1
        } else {
            DEPTH.min(usize::try_from(self.max_tasks).unwrap_or(DEPTH))
        }
    }

    /// The chunk size for a `map` over at least so many inputs.
    pub(super) fn chunk_for(&self, inputs: usize, workers: usize) -> usize {
        self.chunk_size.unwrap_or((inputs / (workers * 16)).clamp(1, MOST_PER_CHUNK))
    }

    /// The rules of the pool's bookkeeping. `plain`: each task is a run of the program's `main`.
    pub(super) fn rules(&self, plain: bool) -> Rules {
        Rules {
            plain,
            depth: if plain { 1 } else { self.depth() },
            max_chunks: if plain { u64::MAX } else { self.max_tasks },
            retries: self.retries,
            idempotent: self.idempotent,
            task_timeout: self.task_timeout,
            initializes: self.initializer.is_some(),
        }
    }
}

/// The rules that the bookkeeping of a pool goes by.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// `true` if a process is started with its task, instead of being there before.
    pub(super) plain: bool,
    /// Chunks that a worker may have at hand.
    pub(super) depth: usize,
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
