//! `procbox run`: one program, whose exit status becomes ours.

use crate::invoke::{Answer, Signature};
use crate::open::{choose_worker, open};
use crate::options::{ProgramArgs, duration};
use crate::signals;
use crate::stats::StatsArgs;
use crate::status::{FAILURE, say};
use crate::watch::WatchArgs;
use clap::Args;
use procbox::backend::Message;
use procbox::types::Untyped;
use procbox::{Backend, Error, Input, ProcessBuilder, Usage, native};
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a program may take to end after Ctrl-C: twice what an answer to it may take, since the
/// machine may be busy. Who does not want to wait presses it again.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Args)]
#[command(
    override_usage = "procbox run [OPTIONS] PROGRAM [ARG]...",
    after_help = "\
Examples:
  procbox run hello.wasm a b            # arguments after the program are its own
  procbox run --dir . --env LANG=C tool.wasm
  procbox run --timeout 1s loop.wasm    # status 124 when time runs out
  procbox run --worker greet greeter.wasm world
  procbox run --invoke primes_between primes.wasm 10 100"
)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    program: ProgramArgs,
    /// End it after this long, with status 124, e.g. 500ms, 5s, 2m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    stats: StatsArgs,
    #[command(flatten)]
    watch: WatchArgs,
    /// Call this worker and print its result. The words after PROGRAM are its arguments, as its
    /// signature types them (`procbox workers`): texts as they are, all else as JSON. Or call a
    /// function that a .wasm file exports, whose arguments and results are numbers
    #[arg(long, value_name = "WORKER", conflicts_with_all = ["worker", "cpu", "stats", "meta"])]
    invoke: Option<String>,
    /// The program, a .wasm or .wat file or an executable, and its arguments: all that follows it,
    /// options too. A name without a slash that is no file here is looked up in PATH
    #[arg(value_name = "PROGRAM [ARG]", trailing_var_arg = true, required = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(mut args: RunArgs) -> anyhow::Result<u8> {
    args.stats.begin()?;
    let mut used = None;
    let ran = run_to_its_end(&mut args, &mut used);
    if let Err(e) = &ran {
        // The first error is the one to tell.
        let _ = match e.downcast_ref() {
            Some(Error::Interrupted) => args.stats.tell_interrupted(used.as_ref()),
            _ => args.stats.tell_failure(&format!("{e:#}")),
        };
    }
    ran
}

/// `used` is what a program used that was interrupted: the error has no room for it.
fn run_to_its_end(args: &mut RunArgs, used: &mut Option<Usage>) -> anyhow::Result<u8> {
    signals::answer()?;
    args.program.at_once = Some(1);
    args.program.limits.measured = args.stats.any();
    args.program.compile_timeout = args.timeout;
    let began = Instant::now();
    let Some((path, words)) = args.command.split_first() else {
        return Err(Error::Invalid("say which program".into()).into()); // clap asks for one.
    };
    let path = Path::new(path);
    let ctx = open(path, &args.program)?;
    // It counts from the beginning: compiling is a part of it.
    args.timeout = args.timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
    let _watching = args.watch.begin(args.program.quiet)?;
    let export = match &args.invoke {
        Some(name) => match choose_worker(&ctx, Some(name)) {
            // In the sandbox any function can be called that it exports.
            Err(Error::NoSuchWorker { .. }) if ctx.backend() == Backend::Sandbox => Some(name),
            worker => return invoke(&ctx, worker?.as_ref().unwrap_or(name), words, args.timeout),
        },
        None => None,
    };
    let process = match choose_named(&ctx, args.program.worker.as_deref())? {
        None if let Some(export) = export => {
            let call = ctx.export(export, texts(words)?);
            limited(call, args).stdin(Input::Inherit).name(export).start()?
        }
        Some(name) => {
            let arguments = strings(&texts(words)?)?;
            let worker = ctx.process(name.as_str()).raw_args(arguments).stdin(Input::Inherit);
            limited(worker, args).name(name).start()?
        }
        None => {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
            // If procbox is killed, so is its program. In the sandbox it ends with procbox anyway.
            let ends_with_us = ctx.backend() == Backend::Native;
            let main = ctx.main(words.to_vec()).daemon(ends_with_us);
            limited(main, args).stdin(Input::Inherit).name(name).start()?
        }
    };
    let status = match process.join() {
        Err(Error::Interrupted) => {
            // One that answers Ctrl-C gets a moment to end by itself. A native one has it already if
            // it came from a terminal.
            let has_it = ctx.backend() == Backend::Native && native::interrupted_by_terminal();
            procbox::clear_interrupt();
            if !has_it {
                process.interrupt()?;
            }
            // However that goes, it is over; what it leaves behind is killed by who gets the error.
            let _ = process.join_timeout(GRACE);
            process.kill()?;
            process.join()?;
            *used = process.usage().ok();
            return Err(Error::Interrupted.into());
        }
        status => status?,
    };
    args.stats.tell(status, &process.usage()?)?;
    if let Some(limit) = status.limit() {
        // It could not end its own children.
        native::kill_descendants();
        if !args.program.quiet {
            say(&format!("{}: out of {limit}", process.name()));
        }
    }
    Ok(status.cli_status())
}

/// Calls a worker with typed arguments, and prints its result.
fn invoke(
    ctx: &procbox::Context,
    name: &str,
    words: &[OsString],
    timeout: Option<Duration>,
) -> anyhow::Result<u8> {
    let workers = ctx.workers()?;
    let signature = workers.into_iter().find(|known| known.name == name);
    let Some(signature) = signature.and_then(|known| known.signature) else {
        let why = format!("--invoke {name}: the program does not say what it takes; use --worker");
        return Err(Error::Invalid(why).into());
    };
    let signature = Signature::parse(&signature)?;
    let arguments = signature.arguments(&texts(words)?)?;
    signature.expect();
    let mut pool = ctx.pool::<Untyped, Answer>(name).workers(1);
    if let Some(timeout) = timeout {
        pool = pool.task_timeout(timeout);
    }
    match pool.build()?.apply(arguments) {
        Ok(answer) => {
            answer.print()?;
            Ok(0)
        }
        Err(Error::WorkerDied { status, .. }) => {
            say(&format!("{name}: {status}"));
            Ok(status.cli_status())
        }
        Err(Error::Task(why)) => {
            say(&format!("{name}: {why}"));
            Ok(FAILURE)
        }
        Err(e) => Err(e.into()),
    }
}

/// The arguments of a worker as text.
fn texts(words: &[OsString]) -> procbox::Result<Vec<String>> {
    let text = |(at, word): (usize, &OsString)| match word.to_str() {
        Some(text) => Ok(text.to_string()),
        None => Err(Error::Invalid(format!("argument {} is not UTF-8: {word:?}", at + 1))),
    };
    words.iter().enumerate().map(text).collect()
}

/// What the options limit.
fn limited<P>(mut builder: ProcessBuilder<P>, args: &RunArgs) -> ProcessBuilder<P> {
    if let Some(timeout) = args.timeout {
        builder = builder.timeout(timeout);
    }
    if let Some(cpu) = args.program.limits.cpu {
        builder = builder.cpu_time(cpu);
    }
    builder
}

/// Without `--worker` a program runs its `main`, whatever workers it has.
fn choose_named(ctx: &procbox::Context, asked: Option<&str>) -> procbox::Result<Option<String>> {
    match asked {
        None => Ok(None),
        asked => choose_worker(ctx, asked),
    }
}

/// A worker's arguments from the command line: each a string. A tuple is its parts in a row.
fn strings(args: &[String]) -> procbox::Result<Message> {
    let mut message = Message::default();
    for arg in args {
        message.bytes.extend(Message::of(arg)?.bytes);
    }
    Ok(message)
}
