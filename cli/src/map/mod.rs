//! `procbox map`: a pool over files or lines.

mod inputs;
mod joblog;
mod progress;
mod results;

use crate::open::{choose_worker, open};
use crate::options::{ProgramArgs, duration};
use crate::signals;
use crate::status::{FAILURE, TIMED_OUT};
use crate::watch::WatchArgs;
use anyhow::Context as _;
use clap::Args;
use inputs::Ledger;
use joblog::{Ended, JobLog};
use procbox::{Backend, Bytes, Context, Error, Output, Pool, PoolBuilder, native, observe};
use progress::{Progress, ends_the_pool};
use results::{NoReader, Results};
use std::fs::File;
use std::io::Read;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Lines are small: so many travel together by default.
const LINES_PER_CHUNK: usize = 64;

/// How a map came to its end.
enum Outcome {
    All,
    NoReader,
    OutOfTime,
}

impl From<NoReader> for Outcome {
    fn from(_: NoReader) -> Outcome {
        Outcome::NoReader
    }
}

#[derive(Args)]
#[command(after_help = "\
A task's bytes go to the worker and its result's bytes to stdout, in input order. A program without
workers is run once per task, with the task on stdin and its stdout as the result.

Examples:
  procbox map word-count.wasm *.txt
  procbox map -j 2 --backend native word-count /usr/share/common-licenses/*
  seq 100000 | procbox map --unordered double.wasm | sort -n | tail -1
  procbox map --task-timeout 2s --retries 1 grade.wasm submissions/*
  procbox map --joblog log --resume count.wasm *.txt >> counts
  tail -f log | procbox map --reuse worker.wasm")]
pub(crate) struct MapArgs {
    #[command(flatten)]
    program: ProgramArgs,
    #[command(flatten)]
    watch: WatchArgs,
    /// How many workers at once; by default as many as there are CPUs
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// How many tasks travel together; by default 1 for files and 64 for lines. Always 1 where each
    /// task has its own process
    #[arg(long, value_name = "N")]
    chunk_size: Option<NonZeroUsize>,
    /// Run a task again, up to N times, when its worker died
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    /// End a worker that is at one task for longer than this; the task fails
    #[arg(long, value_name = "TIME", value_parser = duration)]
    task_timeout: Option<Duration>,
    /// End everything after this long, with status 124
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Replace a worker after it has done N chunks of tasks; implies --reuse
    #[arg(long, value_name = "N")]
    max_tasks_per_child: Option<NonZeroU64>,
    /// A new process for every task, so that nothing of one can reach the next: the default in the
    /// sandbox
    #[arg(long)]
    fresh: bool,
    /// Keep a process for many tasks: the default on the native backend. In the sandbox it is ten
    /// times faster or more where tasks are tiny (a fresh process for each: below 100,000 tasks per
    /// second), but an untrusted program can then carry data from one task to the next
    #[arg(long, conflicts_with = "fresh")]
    reuse: bool,
    /// Log every task that has ended, in the columns of GNU parallel's --joblog. Starttime is when
    /// the input was taken and JobRuntime the time from there to the result, waiting included; Send
    /// and Receive are the bytes of input and result; Exitval is 1 for a task's own error. A FILE
    /// that exists begins anew, unless resumed
    #[arg(long, value_name = "FILE")]
    joblog: Option<PathBuf>,
    /// Skip the inputs whose number (Seq) is in the log, whether they went well or failed: to go on
    /// after Ctrl-C, a kill or a crash. No input is missed; give the same inputs in the same order.
    /// A task is logged right after its result was written to stdout: killed in just that moment,
    /// procbox does that last batch (50 ms, 64 KiB) once more
    #[arg(long, requires = "joblog")]
    resume: bool,
    /// Like --resume, but run those that failed again
    #[arg(long, requires = "joblog")]
    resume_failed: bool,
    /// Print results as they are: without a newline after one that has none at its end
    #[arg(long)]
    raw: bool,
    /// Take each line of FILE as a task instead of those of stdin
    #[arg(short, long, value_name = "FILE", conflicts_with = "inputs")]
    arg_file: Option<PathBuf>,
    /// Tasks from stdin or --arg-file end with a zero byte instead of a newline: for `find -print0`
    #[arg(short = '0', long, conflicts_with = "inputs")]
    null: bool,
    /// Print results as they come instead of in input order
    #[arg(long)]
    unordered: bool,
    /// The program: a .wasm file or an executable
    #[arg(value_name = "PROGRAM")]
    path: PathBuf,
    /// The inputs: a task each. Without any, each line of stdin is a task
    #[arg(value_name = "INPUT")]
    inputs: Vec<PathBuf>,
}

pub(crate) fn map(args: MapArgs) -> anyhow::Result<u8> {
    signals::answer()?;
    let ctx = open(&args.path, &args.program)?;
    if args.program.fuel.is_some() && !is_fresh(&args, ctx.backend()) {
        let why = "--fuel is for each process: it goes with a fresh one per task, not with --reuse or --max-tasks-per-child";
        return Err(Error::Invalid(why.into()).into());
    }
    let _watching = args.watch.begin(args.program.quiet)?;
    let pool = pool(&ctx, &args)?;
    let (log, ended) = joblog(&args)?;
    if !args.inputs.is_empty() {
        ended.check_files(&args.inputs)?;
    }
    let resumable = log.is_some();
    let total = (!args.inputs.is_empty())
        .then(|| (1..=args.inputs.len() as u64).filter(|seq| !ended.skips(*seq)).count() as u64);
    let ledger = Ledger::new(ended);
    let progress = Arc::new(Progress::new(total, args.program.quiet, ledger.clone()));
    let _watches = observe::subscribe(progress.clone());
    let inputs: Box<dyn Iterator<Item = Poll<Bytes>>> = if args.inputs.is_empty() {
        let source: Box<dyn Read + Send> = match &args.arg_file {
            Some(path) => Box::new(
                File::open(path).with_context(|| format!("--arg-file {}", path.display()))?,
            ),
            None => Box::new(std::io::stdin()),
        };
        let end = if args.null { b'\0' } else { b'\n' };
        Box::new(inputs::lines(source, end, pool.bell(), ledger.clone())?)
    } else {
        Box::new(inputs::files(args.inputs, ledger.clone()))
    };
    let mut run = Run {
        ledger: &ledger,
        results: Results::new(log, !args.raw)?,
        deadline: args.timeout.and_then(|t| Instant::now().checked_add(t)),
    };
    let outcome = run.all(&pool, inputs, !args.unordered);
    // On Ctrl-C too: what was done so far is printed and logged.
    let committed = run.results.commit()?;
    let stopped = match &outcome {
        Ok(Outcome::OutOfTime) => Some("out of time"),
        Err(_) if native::answered_signal().is_some() => Some("by a signal"),
        _ => None,
    };
    if let Some(why) = stopped {
        let done = run.results.added();
        progress.stopped(why, done, total.map(|total| total.saturating_sub(done)), resumable);
    }
    let outcome = match (outcome, committed) {
        (Ok(Outcome::All), Err(gone)) => gone.into(),
        (outcome, _) => outcome?,
    };
    match outcome {
        Outcome::All => {
            pool.close();
            pool.join()?;
        }
        Outcome::NoReader | Outcome::OutOfTime => pool.terminate(),
    }
    if !matches!(outcome, Outcome::NoReader) {
        progress.summary();
    }
    Ok(match outcome {
        Outcome::OutOfTime => TIMED_OUT,
        Outcome::All if progress.failures() + ledger.unreadable() > 0 => FAILURE,
        Outcome::All | Outcome::NoReader => 0,
    })
}

/// The log, and what it says has ended.
fn joblog(args: &MapArgs) -> anyhow::Result<(Option<JobLog>, Ended)> {
    let Some(path) = &args.joblog else {
        return Ok((None, Ended::default()));
    };
    let (log, ended) = JobLog::open(path, args.resume || args.resume_failed)
        .with_context(|| path.display().to_string())?;
    Ok((Some(log), ended.retry_failed(args.resume_failed)))
}

fn pool(ctx: &Context, args: &MapArgs) -> anyhow::Result<Pool<(Bytes,), Bytes>> {
    let worker = choose_worker(ctx, args.program.worker.as_deref())?;
    let mut builder: PoolBuilder<(Bytes,), Bytes> = match worker {
        Some(name) => ctx.pool(name.as_str()),
        None => ctx.pool_of_main(Vec::<String>::new()),
    };
    let per_chunk = if args.inputs.is_empty() { LINES_PER_CHUNK } else { 1 };
    builder = builder
        .chunk_size(args.chunk_size.map_or(per_chunk, NonZeroUsize::get))
        .retries(args.retries)
        // What a worker prints is not a result.
        .stdout(Output::Stderr)
        .idempotent(true);
    if let Some(jobs) = args.jobs {
        builder = builder.workers(jobs.get());
    }
    if let Some(timeout) = args.task_timeout {
        builder = builder.task_timeout(timeout);
    }
    if let Some(n) = args.max_tasks_per_child {
        builder = builder.max_tasks_per_child(n.get());
    }
    if is_fresh(args, ctx.backend()) {
        builder = builder.fresh_per_task();
    }
    Ok(builder.build()?)
}

/// Whether each task has a process of its own. What is in the sandbox is not trusted: unless told
/// otherwise, it carries nothing from one task to the next.
fn is_fresh(args: &MapArgs, backend: Backend) -> bool {
    let may_reuse = args.reuse || args.max_tasks_per_child.is_some();
    args.fresh || backend == Backend::Sandbox && !may_reuse
}

/// A map that is under way.
struct Run<'a> {
    ledger: &'a Ledger,
    results: Results,
    deadline: Option<Instant>,
}

impl Run<'_> {
    /// Prints result after result. What is not yet written out in the end is left to the caller.
    fn all(
        &mut self,
        pool: &Pool<(Bytes,), Bytes>,
        inputs: Box<dyn Iterator<Item = Poll<Bytes>>>,
        ordered: bool,
    ) -> anyhow::Result<Outcome> {
        let mut arriving = pool.imap_polled(inputs, ordered);
        loop {
            let now = Instant::now();
            let wake = [self.deadline, self.results.due(now)].into_iter().flatten().min();
            let wait = wake.map_or(Duration::MAX, |at| at.saturating_duration_since(now));
            let next = arriving.next_timeout(wait);
            self.log_unread()?;
            let added = match next {
                Ok(Some((index, result))) => self.ended(index, result)?,
                Ok(None) => return Ok(Outcome::All),
                Err(Error::TimedOut) if self.deadline.is_some_and(|at| at <= Instant::now()) => {
                    return Ok(Outcome::OutOfTime);
                }
                Err(Error::TimedOut) => self.results.commit()?,
                Err(e) => return Err(e.into()),
            };
            if let Err(gone) = added {
                return Ok(gone.into());
            }
        }
    }

    /// A task has ended.
    fn ended(
        &mut self,
        index: usize,
        result: procbox::Result<Bytes>,
    ) -> anyhow::Result<Result<(), NoReader>> {
        let Some(input) = self.ledger.take(index) else {
            anyhow::bail!("the pool has a result for no input"); // Each index comes once.
        };
        match result {
            Ok(Bytes(bytes)) => self.results.add(&input, Some(index), &bytes),
            Err(why) if ends_the_pool(&why) => Err(why.into()),
            // It may have gone to the whole group, and have ended workers too.
            Err(_) if native::interrupted() => Err(Error::Interrupted.into()),
            // Those who watch have heard of it.
            Err(_) => self.results.add(&input, Some(index), &[]),
        }
    }

    /// Inputs that never became a task have failed too.
    fn log_unread(&mut self) -> anyhow::Result<()> {
        for input in self.ledger.unread() {
            // Nothing to print: no reader is missed.
            let _ = self.results.add(&input, None, &[])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        args: MapArgs,
    }

    fn args(words: &str) -> MapArgs {
        let words = ["map"].into_iter().chain(words.split_whitespace());
        CommandLine::parse_from(words.chain(["program"])).args
    }

    #[test]
    fn in_the_sandbox_a_task_has_its_own_process_unless_told_otherwise() {
        for (words, sandbox, native) in [
            ("", true, false),
            ("--fresh", true, true),
            ("--reuse", false, false),
            ("--max-tasks-per-child 5", false, false),
        ] {
            let fresh = [Backend::Sandbox, Backend::Native].map(|b| is_fresh(&args(words), b));
            assert_eq!(fresh, [sandbox, native], "{words}");
        }
    }
}
