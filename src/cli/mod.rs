//! What the command line says, and which file does it.

mod bench;
mod demo;
mod inputs;
mod joblog;
mod map;
mod open;
mod progress;
mod results;
mod run;
mod samples;
mod workers;

use clap::{Args, Parser, Subcommand, ValueEnum};
use procbox::{Error, native};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Status when something failed that is not the program's own doing.
const FAILURE: u8 = 1;
/// Status of a command line that makes no sense.
const USAGE: u8 = 2;
/// Status when the program cannot be run.
const NOT_RUNNABLE: u8 = 126;
/// Status when there is no such program.
const NOT_FOUND: u8 = 127;
/// Status after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Run programs and their workers as native processes or in a sandbox.
///
/// A .wasm file (wasm32-wasip1) runs in the sandbox: it gets stdio, a clock, randomness and what the
/// options grant, and nothing else. Any other executable runs as a native process.
#[derive(Parser)]
#[command(name = "procbox", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  procbox run tool.wasm --dir data
  procbox run --timeout 5s --dir out::/out tool.wasm input.txt
  procbox map word-count.wasm *.txt
  seq 1000 | procbox map -j 4 worker.wasm
  procbox workers word-count.wasm

Exit status of `run`: the program's own; 128 + n if signal n (or the trap that stands for it) ended
it; 124 out of time; 152 out of CPU time or fuel; 126 not runnable; 127 not found; 130 after Ctrl-C. Of `map`: 0 if every task
went well, 1 if one failed.";

#[derive(Subcommand)]
enum Command {
    /// Run a program; its exit status becomes procbox's
    Run(RunArgs),
    /// Run a task per file, or per line of stdin, in a pool of workers
    Map(MapArgs),
    /// Show what there is, in small scenarios, each on both backends
    Demo(DemoArgs),
    /// Compare both backends and their peers on this machine
    Bench(BenchArgs),
    /// Say which workers a program offers
    Workers(WorkersArgs),
}

/// Where processes run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BackendArg {
    /// In wasmtime instances that can touch nothing they were not handed
    Sandbox,
    /// As OS processes with all rights of the caller
    Native,
}

/// What a program is and what it gets.
#[derive(Args)]
struct ProgramArgs {
    /// Where to run it; by default as the file's own first bytes say. If PROGRAM is the other kind
    /// of file, its other build is taken: NAME.wasm beside NAME
    #[arg(long, value_name = "WHERE")]
    backend: Option<BackendArg>,
    /// The worker to run, if the program has several
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    /// Let it use a directory (sandbox; read and write), under its own or another name
    #[arg(long, value_name = "HOST[::GUEST]")]
    dir: Vec<String>,
    /// Let it read a directory (sandbox)
    #[arg(long, value_name = "HOST[::GUEST]")]
    dir_ro: Vec<String>,
    /// Set an environment variable
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// The most memory that each process may have (sandbox), e.g. 64M
    #[arg(long, value_name = "BYTES", value_parser = size)]
    memory: Option<usize>,
    /// How much fuel each process gets (sandbox): about one unit per WebAssembly instruction. Out of
    /// it, the process ends as by signal 24. The same work needs the same fuel on every machine
    #[arg(long, value_name = "N")]
    fuel: Option<u64>,
    /// How many processes the program may have at once (sandbox); room for them is made at the start
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_processes: usize,
    /// Say nothing on stderr but what the program itself says
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  procbox run hello.wasm a b            # arguments after the program are its own
  procbox run --dir . --env LANG=C tool.wasm
  procbox run --timeout 1s loop.wasm    # status 124 when time runs out
  procbox run --worker greet greeter.wasm world")]
struct RunArgs {
    #[command(flatten)]
    program: ProgramArgs,
    /// End it after this long, with status 124, e.g. 500ms, 5s, 2m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// End it once it has used this much CPU time, with status 152, e.g. 500ms, 2s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    cpu: Option<Duration>,
    /// The program: a .wasm file or an executable
    #[arg(value_name = "PROGRAM")]
    path: PathBuf,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
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
struct MapArgs {
    #[command(flatten)]
    program: ProgramArgs,
    /// How many workers at once; by default as many as there are CPUs
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
    /// How many tasks travel together; by default 1 for files and 64 for lines. Always 1 where each
    /// task has its own process
    #[arg(long, value_name = "N")]
    chunk_size: Option<usize>,
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
    max_tasks_per_child: Option<u64>,
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

#[derive(Args)]
#[command(after_help = "\
Runs in a minute or so with --quick. Ratios within one run mean something; times do not travel.

Examples:
  procbox bench --quick --json figures.json
  procbox bench queue")]
struct BenchArgs {
    /// Fewer samples
    #[arg(long)]
    quick: bool,
    /// Write the figures to a file: group, contender, ns_per_op, samples
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only what has this in its group and contender, e.g. `queue` or "spawn sandbox"
    #[arg(value_name = "TEXT")]
    only: Option<String>,
}

#[derive(Args)]
#[command(after_help = "\
Reads the file; nothing of the program runs.

Examples:
  procbox workers word-count.wasm")]
struct WorkersArgs {
    /// The program: a .wasm file or an executable
    #[arg(value_name = "PROGRAM")]
    path: PathBuf,
}

#[derive(Args)]
#[command(after_help = "\
Each scenario runs as native processes and in the sandbox, from one source. What it prints is shown
once; the status is 1 if the two do not print the same.

Examples:
  procbox demo
  procbox demo --list
  procbox demo event
  procbox demo event --source           # how it is written")]
struct DemoArgs {
    /// Say which scenarios there are
    #[arg(long)]
    list: bool,
    /// Print a scenario's source instead of running it
    #[arg(long, requires = "scenario")]
    source: bool,
    /// Only this one
    #[arg(value_name = "SCENARIO", conflicts_with = "list")]
    scenario: Option<String>,
}

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    // Without it a native program that is ended could leave processes behind; all else works.
    let _ = native::adopt_orphans();
    let result = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Map(args) => map::map(args),
        Command::Demo(args) => demo::demo(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Workers(args) => workers::workers(&args),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            let status = status_of(&error);
            if status == INTERRUPTED {
                native::kill_descendants();
            } else {
                say(&format!("{error:#}"));
            }
            ExitCode::from(status)
        }
    }
}

/// Says a line on stderr, in one write: workers print there too.
fn say(line: &str) {
    // If stderr is gone there is nobody to tell.
    let _ = std::io::stderr().write_all(format!("procbox: {line}\n").as_bytes());
}

/// The status that tells a script what went wrong.
fn status_of(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Error>() {
        Some(Error::NotFound(_)) => NOT_FOUND,
        Some(Error::NotRunnable { .. }) => NOT_RUNNABLE,
        Some(Error::NoSuchWorker { .. } | Error::AmbiguousWorker { .. } | Error::Invalid(_)) => {
            USAGE
        }
        Some(Error::Interrupted) => INTERRUPTED,
        _ => FAILURE,
    }
}

/// A time with its unit: `500ms`, `5s`, `2m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{unit}` is no unit of time: use ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|_| "a number and a unit, such as 5s".to_string())?;
    Duration::try_from_secs_f64(number * scale).map_err(|e| e.to_string())
}

/// A size with its unit: `64M`, powers of 1024.
fn size(text: &str) -> Result<usize, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit.trim_end_matches(['i', 'B']) {
        "" => 0,
        "K" | "k" => 10,
        "M" => 20,
        "G" => 30,
        _ => return Err(format!("`{unit}` is no unit of size: use K, M or G")),
    };
    let number: usize =
        number.parse().map_err(|_| "a number and a unit, such as 64M".to_string())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_string())
}
