//! `procbox map`: a pool over files, words, or the lines or blocks of a stream.

mod args;
mod command;
mod ends;
mod gate;
mod hint;
mod inputs;
mod joblog;
mod progress;
mod report;
mod results;
mod run;

pub(crate) use args::{MapArgs, is_of_commands};
pub(crate) use hint::hint;

use crate::open::{choose_worker, open};
use crate::signals;
use crate::status::{FAILURE, TIMED_OUT, say};
use anyhow::Context as _;
use args::{Plan, Source};
use command::quoted;
use ends::Ends;
use gate::{Conditions, Gate};
use inputs::{Cut, Keep, Ledger};
use joblog::{Ended, JobLog};
use procbox::{Backend, Bytes, Context, Error, Output, Pool, PoolBuilder, native, observe};
use progress::Progress;
use report::{Folder, Junit};
use results::{Form, Places, Results};
use run::{Outcome, Run};
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

/// Lines are small: so many travel together by default.
const LINES_PER_CHUNK: usize = 64;
/// The highest status that is a number of commands.
const MANY: u8 = 101;

/// The arguments and the input of one run of a program.
type CommandTask = (Vec<Bytes>, Bytes);

/// What does the tasks.
enum Workers {
    Bytes(Pool<(Bytes,), Bytes>),
    Commands(Pool<(CommandTask,), Bytes>),
}

pub(crate) fn map(mut args: MapArgs) -> anyhow::Result<u8> {
    signals::answer()?;
    let deadline = args.timeout.and_then(|t| Instant::now().checked_add(t));
    args.program.compile_timeout = args.timeout;
    args.program.limits.measured = tells_of_usage(&args);
    args.program.at_once = Some(places_for(args.jobs));
    let plan = args.plan()?;
    if args.dry_run {
        return dry_run(&args, &plan);
    }
    let ctx = open(&plan.program, &args.program)?;
    if args.program.limits.fuel.is_some()
        && plan.command.is_none()
        && !is_fresh(&args, ctx.backend())
    {
        let why = "--fuel is for each process: it goes with a fresh one per task, not with --reuse or --max-tasks-per-child";
        return Err(Error::Invalid(why.into()).into());
    }
    let _watching = args.watch.begin(args.program.quiet)?;
    let (workers, prints) = workers(&ctx, &args, &plan)?;
    if let Source::Files(files) = &plan.source
        && prints
        && !args.program.quiet
        && let Some(hint) = hint::misplaced(&plan.program, files)
    {
        say(&hint);
    }
    let (log, ended) = joblog(&args, &plan, is_measured(&args, &ctx, &plan, prints))?;
    let resumable = log.is_some();
    let total = match &plan.source {
        Source::Files(files) => Some(files.len()),
        Source::Words(words) => Some(words.len()),
        Source::Stream(_) => None,
    };
    let total = total.map(|n| (1..=n as u64).filter(|seq| !ended.skips(*seq)).count() as u64);
    let keep = Keep {
        labels: args.tag || args.json || args.results.is_some(),
        hashes: log.is_some(),
        command: plan.command.clone(),
    };
    let ledger = Ledger::new(ended, keep);
    // What has no newline at its end would be written over.
    let shows = !(args.raw && std::io::stdout().is_terminal());
    let progress = Arc::new(Progress::new(total, shows, args.program.quiet, ledger.clone()));
    let gate = Arc::new(gate(&args, &ctx, total)?);
    let (places, form) = places(&args, prints, log)?;
    let _watch = (
        // How a task ended is known before anybody acts on that it did.
        places.ends.clone().map(|ends| observe::subscribe(ends)),
        gate.is_one().then(|| observe::subscribe(gate.clone())),
        observe::subscribe(progress.clone()),
    );
    let mut run = Run {
        ledger: &ledger,
        gate: &gate,
        results: Results::new(places, form, progress.bar())?,
        deadline,
    };
    let ordered = !args.unordered;
    let outcome = match &workers {
        Workers::Bytes(pool) => {
            let inputs = inputs(&args, plan.source, pool.bell(), &ledger)?;
            run.all(pool, inputs.map(|poll| poll.map(|(_, bytes)| bytes)), ordered)
        }
        Workers::Commands(pool) => {
            let inputs = inputs(&args, plan.source, pool.bell(), &ledger)?;
            let (command, pipe) = (plan.command, args.pipe);
            let task = move |(seq, bytes): (u64, Bytes)| match &command {
                Some(command) if pipe => (command.args(seq, b""), bytes),
                Some(command) => (command.args(seq, &bytes), Bytes::default()),
                None => (Vec::new(), bytes),
            };
            run.all(pool, inputs.map(move |poll| poll.map(&task)), ordered)
        }
    };
    // On Ctrl-C too: what was done so far is printed and logged.
    let committed = run.results.commit()?;
    run.results.finish()?;
    let stopped = match &outcome {
        Ok(Outcome::OutOfTime) => Some("out of time"),
        Ok(Outcome::All | Outcome::Halted) if gate.halted().is_some() => Some("by --halt"),
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
    match (&outcome, &workers) {
        (Outcome::All, Workers::Bytes(pool)) => finish(pool)?,
        (Outcome::All, Workers::Commands(pool)) => finish(pool)?,
        (_, Workers::Bytes(pool)) => pool.terminate(),
        (_, Workers::Commands(pool)) => pool.terminate(),
    }
    if !matches!(outcome, Outcome::NoReader) {
        progress.summary();
    }
    let failures = progress.failures() + ledger.unreadable();
    Ok(match (outcome, gate.halted()) {
        (Outcome::OutOfTime, _) => TIMED_OUT,
        (Outcome::NoReader, _) => 0,
        (Outcome::All | Outcome::Halted, Some(status)) => status,
        (Outcome::All | Outcome::Halted, None) => match &workers {
            Workers::Commands(_) => u8::try_from(failures).map_or(MANY, |n| n.min(MANY)),
            Workers::Bytes(_) => {
                if failures > 0 {
                    FAILURE
                } else {
                    0
                }
            }
        },
    })
}

/// For how many processes there is room, of a program that starts none itself: one that ends and the one
/// that replaces it are there at the same time for a moment.
fn places_for(jobs: Option<usize>) -> usize {
    const LEAST: usize = 64;
    let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
    jobs.unwrap_or_else(cpus).saturating_mul(2).saturating_add(2).max(LEAST)
}

fn finish<P, R: serde::de::DeserializeOwned + Send + 'static>(
    pool: &Pool<P, R>,
) -> procbox::Result<()> {
    pool.close();
    pool.join()
}

/// The inputs, each with its number.
fn inputs(
    args: &MapArgs,
    source: Source,
    bell: procbox::types::Bell,
    ledger: &Ledger,
) -> anyhow::Result<Box<dyn Iterator<Item = Poll<inputs::Taken>>>> {
    Ok(match source {
        Source::Files(paths) => Box::new(inputs::files(paths, ledger.clone())),
        Source::Words(words) => Box::new(inputs::words(words, ledger.clone())),
        Source::Stream(path) => {
            let block = args.pipe.then_some(args.block);
            let cut = Cut { end: end(args), block };
            Box::new(inputs::stream(stream(path.as_deref())?, cut, bell, ledger.clone())?)
        }
    })
}

fn end(args: &MapArgs) -> u8 {
    if args.null { b'\0' } else { b'\n' }
}

/// A file whose lines are inputs, or else stdin.
fn stream(path: Option<&Path>) -> anyhow::Result<Box<dyn Read + Send>> {
    Ok(match path {
        Some(path) => {
            let file = File::open(path);
            Box::new(file.with_context(|| format!("--arg-file {}", path.display()))?)
        }
        None => Box::new(std::io::stdin()),
    })
}

/// Says what would be run.
fn dry_run(args: &MapArgs, plan: &Plan) -> anyhow::Result<u8> {
    let mut out = std::io::stdout().lock();
    let program = quoted(plan.program.as_os_str().as_bytes());
    let mut say = |seq: u64, how: &str, input: &[u8]| match &plan.command {
        Some(command) => writeln!(out, "{}", command.line(seq, input)),
        None => writeln!(out, "{program} {how} {}", quoted(input)),
    };
    match &plan.source {
        Source::Files(files) => {
            for (seq, file) in (1..).zip(files) {
                say(seq, "<", file.as_os_str().as_bytes())?;
            }
        }
        Source::Words(words) => {
            for (seq, word) in (1..).zip(words) {
                say(seq, "", word.as_bytes())?;
            }
        }
        Source::Stream(_) if args.pipe => {
            anyhow::bail!(Error::Invalid(
                "--dry-run: what blocks there will be is not known".into()
            ));
        }
        Source::Stream(path) => {
            let lines = BufReader::new(stream(path.as_deref())?).split(end(args));
            for (seq, line) in (1..).zip(lines) {
                say(seq, "<<<", &line?)?;
            }
        }
    }
    Ok(0)
}

/// The log, and what it says has ended.
fn joblog(args: &MapArgs, plan: &Plan, measured: bool) -> anyhow::Result<(Option<JobLog>, Ended)> {
    let Some(path) = &args.joblog else {
        return Ok((None, Ended::default()));
    };
    let (log, ended) = JobLog::open(path, args.resume || args.resume_failed, measured)
        .with_context(|| format!("--joblog {}", path.display()))?;
    let names = match (&plan.source, &plan.command) {
        (Source::Files(files), _) => files.iter().map(|path| path.display().to_string()).collect(),
        (Source::Words(words), Some(command)) => {
            (1..).zip(words).map(|(seq, word)| command.line(seq, word.as_bytes())).collect()
        }
        _ => Vec::new(),
    };
    if !matches!(plan.source, Source::Stream(_)) {
        ended.check_all(&names)?;
    }
    let ended = ended.of_commands(plan.command.is_some());
    Ok((Some(log), ended.retry_failed(args.resume_failed)))
}

/// When inputs are taken, and no more.
fn gate(args: &MapArgs, ctx: &Context, total: Option<u64>) -> procbox::Result<Gate> {
    Gate::new(Conditions {
        halt: args.halt,
        delay: args.delay,
        memory_free: args.memfree,
        load: args.load,
        jobs: args.jobs.unwrap_or_else(|| ctx.cpu_count()),
        total,
    })
}

/// Where results go, and how they look. A task that `prints` has a standard error of its own.
fn places(args: &MapArgs, prints: bool, log: Option<JobLog>) -> anyhow::Result<(Places, Form)> {
    let form = match args {
        MapArgs { json: true, .. } => Form::Json,
        MapArgs { tag: true, .. } => Form::Tagged,
        MapArgs { raw: true, .. } => Form::Raw,
        _ => Form::Lines,
    };
    let junit = args.junit.as_deref().map(Junit::create).transpose()?;
    let folder = args.results.as_deref().map(Folder::create).transpose()?;
    let wanted = log.is_some() || junit.is_some() || folder.is_some() || args.json;
    let ends = (wanted || prints).then(|| Arc::new(Ends::default()));
    Ok((Places { log, junit, folder, ends }, form))
}

/// What does the tasks, and whether each is a run of the program, whose standard error is kept apart.
fn workers(ctx: &Context, args: &MapArgs, plan: &Plan) -> anyhow::Result<(Workers, bool)> {
    if plan.command.is_some() {
        let pool = ctx.pool_of_commands().stderr(Output::Capture);
        return Ok((Workers::Commands(with_options(pool, ctx, args, plan, true).build()?), true));
    }
    let (builder, prints) = match choose_worker(ctx, args.program.worker.as_deref())? {
        Some(name) => (ctx.pool(name.as_str()), false),
        None => (ctx.pool_of_main(Vec::<String>::new()).stderr(Output::Capture), true),
    };
    Ok((Workers::Bytes(with_options(builder, ctx, args, plan, prints).build()?), prints))
}

/// Whether there is a place where it is said what a task has used.
fn tells_of_usage(args: &MapArgs) -> bool {
    args.joblog.is_some() || args.json
}

/// Whether what each task uses is measured: not if several travel together.
fn is_measured(args: &MapArgs, ctx: &Context, plan: &Plan, prints: bool) -> bool {
    let alone = prints || is_fresh(args, ctx.backend()) || chunk_size(args, plan) == 1;
    tells_of_usage(args) && alone
}

/// How many tasks travel together.
fn chunk_size(args: &MapArgs, plan: &Plan) -> usize {
    let is_gated = args.halt.is_some()
        || args.delay.is_some()
        || args.memfree.is_some()
        || args.load.is_some();
    let per_chunk = match plan.source {
        Source::Stream(_) if !args.pipe => LINES_PER_CHUNK,
        _ => 1,
    };
    let per_chunk = args.chunk_size.map_or(per_chunk, NonZeroUsize::get);
    // What is let through one by one cannot wait for company.
    if is_gated { 1 } else { per_chunk }
}

/// A pool as the options say. Of one that `prints` each task is a run of the program.
fn with_options<P, R>(
    builder: PoolBuilder<P, R>,
    ctx: &Context,
    args: &MapArgs,
    plan: &Plan,
    prints: bool,
) -> PoolBuilder<P, R> {
    let mut builder = builder
        .chunk_size(chunk_size(args, plan))
        .retries(args.retries)
        // What a worker prints is not a result.
        .stdout(Output::Stderr)
        .idempotent(true);
    if let Some(jobs) = args.jobs {
        builder = builder.workers(jobs);
    }
    if let Some(cpu) = args.program.limits.cpu {
        builder = builder.cpu_time(cpu);
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
    if is_measured(args, ctx, plan, prints) {
        builder = builder.measured();
    }
    builder
}

/// Whether each task has a process of its own. What is in the sandbox is not trusted: unless told
/// otherwise, it carries nothing from one task to the next.
fn is_fresh(args: &MapArgs, backend: Backend) -> bool {
    let may_reuse = args.reuse || args.max_tasks_per_child.is_some();
    args.fresh || backend == Backend::Sandbox && !may_reuse
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
