//! `procbox demo`: the tour, every scenario on both backends, printed once where they agree.

use crate::samples::sample;
use crate::signals;
use anyhow::Context as _;
use clap::Args;
use procbox::sandbox::Grants;
use procbox::{Context, Error, ExitStatus, Native, Output, Sandbox, native, sandbox};
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longer than any scenario takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the sandboxed tour calls the directory that it is granted.
const GUEST_DIRECTORY: &str = "/tour";
/// Where the tour finds the directory that it may write to.
const DIRECTORY: &str = "TOUR_DIR";

/// What one run came to.
#[derive(PartialEq, Eq)]
struct Ran {
    status: ExitStatus,
    output: String,
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
pub(crate) struct DemoArgs {
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

pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<u8> {
    signals::answer()?;
    let directory = Directory::new()?;
    let on_native = open_native(&directory.0)?;
    let list = run(&on_native, &["--list"])?;
    anyhow::ensure!(list.status.success(), "the tour {}", list.status);
    if args.list {
        write!(stdout(), "{}", list.output)?;
        return Ok(0);
    }
    let known: Vec<&str> =
        list.output.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let chosen = choose(&known, args.scenario.as_deref())?;
    if args.source {
        for scenario in chosen {
            write!(stdout(), "{}", run(&on_native, &["--source", scenario])?.output)?;
        }
        return Ok(0);
    }
    let on_sandbox = open_sandbox(&directory.0)?;
    let mut status = 0;
    for scenario in &chosen {
        let native = run(&on_native, &[scenario])?;
        let sandbox = run(&on_sandbox, &[scenario])?;
        if !show(&native, &sandbox)? {
            status = 1;
        }
    }
    Ok(status)
}

/// All scenarios, or the one that was asked for.
fn choose<'a>(known: &[&'a str], asked: Option<&str>) -> procbox::Result<Vec<&'a str>> {
    let Some(asked) = asked else { return Ok(known.to_vec()) };
    match known.iter().find(|name| **name == asked) {
        Some(name) => Ok(vec![name]),
        None => {
            let list = known.join(", ");
            Err(Error::Invalid(format!("no scenario `{asked}`: there are {list}")))
        }
    }
}

fn open_native(directory: &Path) -> anyhow::Result<Context> {
    let program = native::Program::open(sample("tour")?)?;
    let directory = directory.to_string_lossy();
    Ok(Native::builder().program(program).env(DIRECTORY, directory).build()?)
}

fn open_sandbox(directory: &Path) -> anyhow::Result<Context> {
    let program = sandbox::Program::wasm(sample("tour.wasm")?)?;
    let grants = Grants::default().dir(directory, GUEST_DIRECTORY).env(DIRECTORY, GUEST_DIRECTORY);
    Ok(Sandbox::builder().max_processes(100).build()?.context_with(program, grants)?)
}

fn run(ctx: &Context, arguments: &[&str]) -> anyhow::Result<Ran> {
    let tour =
        ctx.main(arguments.iter().copied()).stdout(Output::Capture).timeout(PATIENCE).name("tour");
    let tour = tour.start()?;
    let status = tour.join()?;
    Ok(Ran { status, output: String::from_utf8_lossy(&tour.output()?).into_owned() })
}

/// Prints what the two came to; whether they agree and went well.
fn show(native: &Ran, sandbox: &Ran) -> std::io::Result<bool> {
    let mut out = stdout().lock();
    if native == sandbox && native.status.success() {
        write!(out, "{}", native.output)?;
        writeln!(out, "-- native and sandbox agree\n")?;
        return Ok(true);
    }
    for (backend, ran, other) in [("native", native, sandbox), ("sandbox", sandbox, native)] {
        writeln!(out, "-- {backend}, which {}; lines that differ are marked:", ran.status)?;
        let mut others = other.output.lines();
        for line in ran.output.lines() {
            let mark = if others.next() == Some(line) { ' ' } else { '!' };
            writeln!(out, "{mark} {line}")?;
        }
    }
    writeln!(out, "-- native and sandbox DIFFER\n")?;
    Ok(false)
}

/// A directory of this run's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> anyhow::Result<Directory> {
        let path = std::env::temp_dir().join(format!("procbox-demo-{}", std::process::id()));
        // It fails if there is such a thing already, whoever made it.
        std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is left in a directory for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
