//! The limits that `run` and `map` share: what a process may have, and what all that comes of it may
//! have together.

use crate::options::{at_least_one, duration, size};
use clap::Args;
use procbox::sandbox::{SandboxBuilder, TreeLimits};
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

/// Limits of processes. A tree is what one start began: the program of `run`, or the task or worker of
/// `map`, and all that it starts.
#[derive(Args)]
pub(crate) struct LimitArgs {
    /// The most memory that each process may have (sandbox, or --confine), e.g. 64M
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) memory: Option<usize>,
    /// The most memory of a process and all that it starts (sandbox), with what is kept for them:
    /// stacks, messages, handles, arguments. By default twice that of one
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) tree_memory: Option<usize>,
    /// How much stack each process has (sandbox). By default 512K
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) stack: Option<usize>,
    /// End it once it has used this much CPU time, as by signal 24, e.g. 500ms, 2s. In the sandbox the
    /// time of all that it starts counts too
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) cpu: Option<Duration>,
    /// CPU time is of interest, limited or not.
    #[arg(skip)]
    pub(crate) measured: bool,
    /// How much fuel each process gets (sandbox): about one unit per WebAssembly instruction. Out of
    /// it, the process ends as by signal 24. The same work needs the same fuel on every machine
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU64>)]
    pub(crate) fuel: Option<NonZeroU64>,
    /// How much fuel a process and all that it starts get together (sandbox)
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU64>)]
    pub(crate) tree_fuel: Option<NonZeroU64>,
    /// How many processes there may be at once (sandbox); room for them is made at the start. By
    /// default 1000 for a program that could start some
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroUsize>)]
    pub(crate) max_processes: Option<NonZeroUsize>,
    /// How many processes may be started in all, the first included (sandbox)
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU64>)]
    pub(crate) max_starts: Option<NonZeroU64>,
    /// Do not let it start processes (sandbox)
    #[arg(long)]
    pub(crate) no_processes: bool,
    /// End it once it and all that it starts have printed more than this (sandbox), e.g. 1M
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) max_output: Option<usize>,
    /// How many handles it and all that it starts may have at once (sandbox): of queues, locks and the
    /// like, and of processes
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroUsize>)]
    pub(crate) max_handles: Option<NonZeroUsize>,
    /// The most bytes of messages on their way in what it and all that it starts have made (sandbox)
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) max_queued: Option<usize>,
    /// How many files it and all that it starts may have open (sandbox). By default 256
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroUsize>)]
    pub(crate) max_open_files: Option<NonZeroUsize>,
    /// The most bytes that it and all that it starts may write to files (sandbox). By default 1G
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) max_written: Option<usize>,
    /// How many files, directories and links it and all that it starts may make (sandbox). By default
    /// 10000
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU64>)]
    pub(crate) max_created: Option<NonZeroU64>,
    /// The largest program (sandbox). By default 64M
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) module_size: Option<usize>,
}

impl LimitArgs {
    /// The options that only the sandbox has, and whether they were given. `--memory` is not among
    /// them.
    pub(crate) fn of_sandbox(&self) -> [(bool, &'static str); 14] {
        [
            (self.tree_memory.is_some(), "--tree-memory"),
            (self.stack.is_some(), "--stack"),
            (self.fuel.is_some(), "--fuel"),
            (self.tree_fuel.is_some(), "--tree-fuel"),
            (self.max_processes.is_some(), "--max-processes"),
            (self.max_starts.is_some(), "--max-starts"),
            (self.no_processes, "--no-processes"),
            (self.max_output.is_some(), "--max-output"),
            (self.max_handles.is_some(), "--max-handles"),
            (self.max_queued.is_some(), "--max-queued"),
            (self.max_open_files.is_some(), "--max-open-files"),
            (self.max_written.is_some(), "--max-written"),
            (self.max_created.is_some(), "--max-created"),
            (self.module_size.is_some(), "--module-size"),
        ]
    }

    /// Sets them. `alone`: the sandbox has one tree, to which all its processes belong.
    pub(crate) fn set(&self, mut builder: SandboxBuilder, alone: Option<usize>) -> SandboxBuilder {
        if let Some(bytes) = self.memory {
            builder = builder.memory(bytes);
        }
        if let Some(bytes) = self.stack {
            builder = builder.stack(bytes);
        }
        if let Some(units) = self.fuel {
            builder = builder.fuel(units.get());
        }
        if let Some(bytes) = self.module_size {
            builder = builder.module_size(bytes);
        }
        builder.tree(self.tree(alone))
    }

    fn tree(&self, alone: Option<usize>) -> TreeLimits {
        let mut tree = TreeLimits::new();
        if let Some(processes) = alone {
            tree = tree.processes(processes);
        }
        if let Some(bytes) = self.tree_memory {
            tree = tree.memory(bytes);
        }
        if let Some(time) = self.cpu.or(self.measured.then_some(Duration::MAX)) {
            tree = tree.cpu_time(time);
        }
        if let Some(units) = self.tree_fuel {
            tree = tree.fuel(units.get());
        }
        if let Some(n) = self.max_starts {
            tree = tree.starts(n.get());
        }
        if let Some(bytes) = self.max_output {
            tree = tree.output(bytes as u64);
        }
        if let Some(n) = self.max_handles {
            tree = tree.handles(n.get());
        }
        if let Some(bytes) = self.max_queued {
            tree = tree.queued(bytes);
        }
        if let Some(n) = self.max_open_files {
            tree = tree.open_files(n.get());
        }
        if let Some(bytes) = self.max_written {
            tree = tree.written(bytes as u64);
        }
        if let Some(n) = self.max_created {
            tree = tree.created(n.get());
        }
        tree
    }
}
