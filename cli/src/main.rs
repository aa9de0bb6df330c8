//! The `procbox` command: which subcommand a command line names, and the status that comes of it.
//!
//! A subcommand is a file, or a folder, that owns its arguments and its work: a `clap::Args` and one
//! function from it to an exit status. To add one: the file, its `mod` line, a variant of [`Command`]
//! and its arm in [`main`]. What several share is in `options` (their options), `open` (from a path
//! to a context), `watch` (subscribers to the events), `samples`, `signals` and `status`.

mod bench;
mod color;
mod compile;
mod demo;
mod invoke;
mod limits;
mod manual;
mod map;
mod open;
mod options;
mod run;
mod samples;
mod signals;
mod snapshot;
mod stats;
mod status;
mod top;
mod watch;
mod workers;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use procbox::native;
use std::ffi::OsString;
use std::process::ExitCode;

/// Run programs and their workers as native processes or in a sandbox.
///
/// A .wasm file (wasm32-wasip1) runs in the sandbox: it gets stdio, a clock, randomness and what the
/// options grant, and nothing else. Any other executable runs as a native process.
#[derive(Parser)]
#[command(name = "procbox", version, long_version = LONG_VERSION, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    /// Whether procbox's own lines have colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: color::When,
    #[command(subcommand)]
    command: Command,
}

/// The target that this was built for, and what runs WebAssembly in it.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nwasmtime ",
    env!("PROCBOX_WASMTIME"),
    "\n",
    env!("PROCBOX_TARGET"),
);

const EXAMPLES: &str = "\
Examples:
  procbox run --dir data tool.wasm
  procbox run --timeout 5s --dir out::/out tool.wasm input.txt
  procbox map word-count.wasm *.txt
  seq 1000 | procbox map -j 4 worker.wasm
  procbox workers word-count.wasm

Exit status of `run`: the program's own; 128 + n if signal n (or the trap that stands for it) ended
it; 124 out of time; 152 out of CPU time or fuel; 126 not runnable; 127 not found; 130 after Ctrl-C,
143 and 129 after SIGTERM and SIGHUP.
Of `map`: 0 if every task went well, 1 if one failed.";

#[derive(Subcommand)]
enum Command {
    /// Run a program; its exit status becomes procbox's
    Run(Box<run::RunArgs>),
    /// Run a task per file, or per line of stdin, in a pool of workers
    Map(Box<map::MapArgs>),
    /// Show what there is, in small scenarios, each on both backends
    Demo(demo::DemoArgs),
    /// Compare both backends and their peers on this machine
    Bench(bench::BenchArgs),
    /// Compile programs for the sandbox ahead of time
    Compile(compile::CompileArgs),
    /// Write a program that begins where it had got to
    Snapshot(Box<snapshot::SnapshotArgs>),
    /// Show what runs and what it waits for, as top does
    Top(top::TopArgs),
    /// Say which workers a program offers
    Workers(workers::WorkersArgs),
    /// Print what completes a command line in a shell
    Completions(manual::CompletionsArgs),
    /// Write manual pages
    Man(manual::ManArgs),
}

/// The command line. Of a `map` over commands all that follows the program is the program's.
fn parse() -> Cli {
    let words: Vec<OsString> = std::env::args_os().collect();
    let mut command = Cli::command();
    if words.get(1).is_some_and(|word| word == "map") && map::is_of_commands(&words[2..]) {
        command = command.mut_subcommand("map", |map| {
            map.mut_arg("words", |words| words.trailing_var_arg(true))
        });
    }
    let matches = command.try_get_matches_from(&words).unwrap_or_else(|mut e| {
        if words.get(1).is_some_and(|word| word == "map") {
            map::hint(&mut e, &words[2..]);
        }
        e.exit()
    });
    Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit())
}

fn main() -> ExitCode {
    let cli = parse();
    color::choose(cli.color);
    // Without it a native program that is ended could leave processes behind; all else works.
    let _ = native::adopt_orphans();
    let result = match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Map(args) => map::map(*args),
        Command::Demo(args) => demo::demo(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Compile(args) => compile::compile(&args),
        Command::Snapshot(args) => snapshot::snapshot(*args),
        Command::Top(args) => top::top(&args),
        Command::Workers(args) => workers::workers(&args),
        Command::Completions(args) => manual::completions(&args, Cli::command()),
        Command::Man(args) => manual::man(&args, Cli::command()),
    };
    // However far it has come: whoever sends a signal wants it gone, with all that it started.
    if let Some(status) = signals::status() {
        native::kill_descendants();
        return ExitCode::from(status);
    }
    match result {
        Ok(status) => ExitCode::from(status),
        // Whoever read what we print has seen enough.
        Err(error) if status::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            status::say(&format!("{error:#}"));
            ExitCode::from(status::of(&error))
        }
    }
}
