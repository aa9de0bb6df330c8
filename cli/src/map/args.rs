//! The command line of `procbox map`: its options, and what its words mean.

use super::command::{Command, FILE, INPUTS, is_of_command};
use super::gate::{Halt, Load, jobs};
use crate::options::{ProgramArgs, at_least_one, duration, size};
use crate::watch::WatchArgs;
use clap::Args;
use procbox::Error;
use std::ffi::OsString;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[derive(Args)]
#[command(
    override_usage = "procbox map [OPTIONS] PROGRAM [INPUT]...
       procbox map [OPTIONS] PROGRAM [ARG]... ::: INPUT...
       procbox map [OPTIONS] --pipe PROGRAM [ARG]...",
    after_help = "\
There are two forms. Without `:::` and replacement strings a task is bytes: those of each file, or of
each line of stdin, go to the worker and its result's to stdout, in input order. A program without
workers is run once per task, with the task on stdin and its stdout as the result.

With `:::`, or with a replacement string in an argument, a task is a command, as for GNU parallel: the
program is run once per input, with arguments that it is put into. Options of procbox are before
PROGRAM then; all that follows it up to `:::` is the program's. {} is the input, {.} without its
extension, {/} its last part, {//} its directory, {/.} its last part without the extension, {#} the
number of the task; without any of them it is the last argument. Without `:::` inputs are the lines of
stdin or --arg-file; `:::: FILE` is --arg-file FILE. The sandbox reads files only in what --dir and
--dir-ro grant. The status is the number of commands that failed, 101 for more than 100. Of the first
form it is 1 if a task failed.

Examples:
  procbox map word-count.wasm *.txt
  procbox map -j 2 --backend native word-count /usr/share/common-licenses/*
  seq 100000 | procbox map --unordered double.wasm | sort -n | tail -1
  procbox map --task-timeout 2s --retries 1 grade.wasm submissions/*
  procbox map --joblog log --resume count.wasm *.txt >> counts
  tail -f log | procbox map --reuse worker.wasm
  procbox map --dir-ro . grep.wasm -c foo {} ::: *.txt
  procbox map --tag --halt now,fail=1 gzip -k {} ::: *.log
  procbox map --pipe --block 4M word-count.wasm < huge"
)]
pub(crate) struct MapArgs {
    #[command(flatten)]
    pub(super) program: ProgramArgs,
    #[command(flatten)]
    pub(super) watch: WatchArgs,
    /// How many workers at once; by default as many as there are CPUs. Also +N or -N from that number,
    /// or N% of it
    #[arg(short, long, value_name = "N", value_parser = jobs, allow_hyphen_values = true)]
    pub(super) jobs: Option<usize>,
    /// How many tasks travel together; by default 1 for files and 64 for lines. Always 1 where each
    /// task has its own process
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroUsize>)]
    pub(super) chunk_size: Option<NonZeroUsize>,
    /// Run a task again, up to N times, when its worker died
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) retries: u32,
    /// End a worker that is at one task for longer than this; the task fails
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) task_timeout: Option<Duration>,
    /// End everything after this long, with status 124
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
    /// Replace a worker after it has done N chunks of tasks; implies --reuse
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU64>)]
    pub(super) max_tasks_per_child: Option<NonZeroU64>,
    /// A new process for every task, so that nothing of one can reach the next: the default in the
    /// sandbox
    #[arg(long)]
    pub(super) fresh: bool,
    /// Keep a process for many tasks: the default on the native backend. In the sandbox it is ten
    /// times faster or more where tasks are tiny (a fresh process for each: below 100,000 tasks per
    /// second), but an untrusted program can then carry data from one task to the next
    #[arg(long, conflicts_with = "fresh")]
    pub(super) reuse: bool,
    /// Log every task that has ended, in the columns of GNU parallel's --joblog. Starttime is when
    /// the input was taken and JobRuntime the time from there to the result, waiting included; Send
    /// and Receive are the bytes of input and result; Exitval is 1 for a task's own error. Behind those
    /// are Cputime in seconds, Maxmem in bytes and Attempts, unless several tasks travel together; what
    /// is not known is `-`. A FILE that exists begins anew, unless resumed
    #[arg(long, value_name = "FILE")]
    pub(super) joblog: Option<PathBuf>,
    /// Skip the inputs whose number (Seq) is in the log, whether they went well or failed: to go on
    /// after Ctrl-C, a kill or a crash. No input is missed; give the same inputs in the same order.
    /// A task is logged right after its result was written to stdout: killed in just that moment,
    /// procbox does that last batch (50 ms, 64 KiB) once more
    #[arg(long, requires = "joblog")]
    pub(super) resume: bool,
    /// Like --resume, but run those that failed again
    #[arg(long, requires = "joblog")]
    pub(super) resume_failed: bool,
    /// Print results as they are: without a newline after one that has none at its end
    #[arg(long)]
    pub(super) raw: bool,
    /// Take each line of FILE as a task instead of those of stdin
    #[arg(short, long, value_name = "FILE")]
    pub(super) arg_file: Option<PathBuf>,
    /// Tasks from stdin or --arg-file end with a zero byte instead of a newline: for `find -print0`
    #[arg(short = '0', long)]
    pub(super) null: bool,
    /// Print results as they come instead of in input order
    #[arg(long)]
    pub(super) unordered: bool,
    /// Begin each line of a result, and of what a program says on stderr, with the task's input and a tab
    #[arg(long, conflicts_with_all = ["raw", "json"])]
    pub(super) tag: bool,
    /// Print a JSON object for each task, in a line: seq, input, start, seconds, exit, signal, stdout
    /// (stdout_bytes if it is not UTF-8), and command, stderr and error if there are any
    #[arg(long, conflicts_with = "raw")]
    pub(super) json: bool,
    /// Write a JUnit report, with a test case for each task
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Also write each result to DIR/1/INPUT/stdout, as GNU parallel does; stderr there has what a
    /// program said on it, and why it failed
    #[arg(long, value_name = "DIR")]
    pub(super) results: Option<PathBuf>,
    /// Stop early: `now,fail=1` ends everything at the first failure, `soon,fail=3` begins no more at
    /// the third, `now,success=1`, `soon,done=10%`. The status is then that of the task that failed
    #[arg(long, value_name = "WHEN,WHY=N")]
    pub(super) halt: Option<Halt>,
    /// Say what would be run, and run nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Begin a task at most this often
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) delay: Option<Duration>,
    /// Begin a task only while so much memory is free, e.g. 1G
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(super) memfree: Option<usize>,
    /// Begin a task only while fewer processes run on this machine: a number, or N% of the CPUs
    #[arg(long, value_name = "N")]
    pub(super) load: Option<Load>,
    /// Cut stdin, or --arg-file, into blocks of whole lines: each is a task, on the stdin of a program
    /// without workers. All that follows PROGRAM is the program's
    #[arg(long)]
    pub(super) pipe: bool,
    /// How large blocks are; a longer line is a block of its own
    #[arg(long, value_name = "BYTES", value_parser = size, requires = "pipe", default_value = "1M")]
    pub(super) block: usize,
    /// The program, a .wasm file or an executable, and the inputs: a task each. Without any, each line
    /// of stdin is a task
    #[arg(value_name = "PROGRAM [INPUT]", required = true)]
    pub(super) words: Vec<OsString>,
}

/// Whether these words of a command line are to be read such that all that follows PROGRAM is its own.
pub(crate) fn is_of_commands(words: &[OsString]) -> bool {
    words.iter().any(|word| word == "--pipe" || is_of_command(word))
}

/// What is mapped: by what, over what.
pub(super) struct Plan {
    pub(super) program: PathBuf,
    /// The arguments of each run, if a task is a command.
    pub(super) command: Option<Arc<Command>>,
    pub(super) source: Source,
}

/// Where inputs come from.
pub(super) enum Source {
    /// Files, whose contents they are.
    Files(Vec<PathBuf>),
    /// Words of the command line.
    Words(Vec<OsString>),
    /// A file, or stdin.
    Stream(Option<PathBuf>),
}

impl MapArgs {
    /// What these words mean.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what does not go together.
    pub(super) fn plan(&self) -> procbox::Result<Plan> {
        let invalid = |why: &str| Err(Error::Invalid(why.to_string()));
        let Some((program, words)) = self.words.split_first() else {
            return invalid("say which program"); // clap asks for one.
        };
        let at = words.iter().position(|word| word == INPUTS || word == FILE);
        let (words, after) = words.split_at(at.unwrap_or(words.len()));
        let is_command = at.is_some() || words.iter().any(|word| is_of_command(word));
        if is_command && self.program.worker.is_some() {
            return invalid("--worker: with `:::` or `{}` the program itself is run");
        }
        let source = match after.split_first() {
            None if !is_command && !self.pipe && !words.is_empty() => {
                Source::Files(words.iter().map(PathBuf::from).collect())
            }
            None => Source::Stream(self.arg_file.clone()),
            Some((_, inputs)) if inputs.iter().any(|word| word == INPUTS || word == FILE) => {
                return invalid("`:::` and `::::`: there is one source of inputs");
            }
            Some((mark, inputs)) if mark == FILE => match inputs {
                [file] if self.arg_file.is_none() => Source::Stream(Some(file.into())),
                _ => return invalid("`::::` takes one file, instead of --arg-file"),
            },
            Some((_, inputs)) => Source::Words(inputs.to_vec()),
        };
        if !matches!(source, Source::Stream(_)) {
            for (given, option) in [
                (self.arg_file.is_some(), "--arg-file"),
                (self.null, "--null"),
                (self.pipe, "--pipe"),
            ] {
                if given {
                    return invalid(&format!(
                        "{option} is for a stream, and there are inputs given"
                    ));
                }
            }
        }
        // Blocks are no arguments: they go to stdin.
        let command = (is_command || self.pipe && !words.is_empty())
            .then(|| Arc::new(Command::new(program, words, !self.pipe)));
        Ok(Plan { program: program.into(), command, source })
    }
}
