//! `procbox snapshot`: a program for the sandbox that begins where it had got to.

use crate::compile::size;
use crate::open::open;
use crate::options::{ProgramArgs, duration};
use crate::signals;
use crate::status::say;
use clap::Args;
use procbox::{Error, Input};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Args)]
#[command(after_help = "\
The program runs until it returns or calls `snapshot` of procbox.h. `run` and `map` of the result begin
there: workers in its memory, `main` in its export `procbox_resume`. What the program had open is not
there again, so it has to be closed; its directories and variables are those that `run` grants then.

Examples:
  procbox snapshot --dir-ro data index.wasm data/words.txt -o warm.wasm
  procbox map --worker look_up warm.wasm *.txt
  procbox snapshot -o warm.wasm tool.wasm -- --load   # an argument that looks like an option")]
pub(crate) struct SnapshotArgs {
    #[command(flatten)]
    program: ProgramArgs,
    /// Give up after this long, with status 124, e.g. 500ms, 5s, 2m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// The module to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// The program, a .wasm or .wat file
    #[arg(value_name = "PROGRAM")]
    path: PathBuf,
    /// Its arguments
    #[arg(value_name = "ARG")]
    words: Vec<OsString>,
}

pub(crate) fn snapshot(mut args: SnapshotArgs) -> anyhow::Result<u8> {
    signals::answer()?;
    args.program.at_once = Some(1);
    args.program.compile_timeout = args.timeout;
    let began = Instant::now();
    let ctx = open(&args.path, &args.program)?;
    let name = args.path.file_name().unwrap_or(args.path.as_os_str()).to_string_lossy();
    let mut first = ctx.main(args.words).stdin(Input::Inherit).name(name.clone());
    if let Some(timeout) = args.timeout {
        first = first.timeout(timeout.saturating_sub(began.elapsed()));
    }
    if let Some(cpu) = args.program.limits.cpu {
        first = first.cpu_time(cpu);
    }
    let module = match first.snapshot() {
        Err(Error::WorkerDied { status, .. }) => {
            say(&format!("{name}: {status} before it was ready"));
            // Whatever it says, there is no image.
            return Ok(status.cli_status().max(1));
        }
        Err(Error::Unsupported(_)) => {
            let why =
                format!("{}: a snapshot is of a program for the sandbox", args.path.display());
            return Err(Error::Invalid(why).into());
        }
        module => module?,
    };
    let failed = |e| Error::os("write", format!("{}: {e}", args.output.display()));
    std::fs::write(&args.output, &module).map_err(failed)?;
    if !args.program.quiet {
        let size = size(module.len());
        let seconds = began.elapsed().as_secs_f64();
        let path = args.output.display();
        writeln!(std::io::stdout(), "{path}: {size} in {seconds:.2} s")?;
    }
    Ok(0)
}
