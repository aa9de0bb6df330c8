//! `procbox workers`: what a program offers, without running it.

use crate::open::{is_wasm, wasm_program};
use crate::status::say;
use clap::Args;
use procbox::backend::printable;
use procbox::sandbox::Grants;
use procbox::sandbox::imports::UnknownImports;
use procbox::{Sandbox, native};
use std::io::Write;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = "\
Reads the file; nothing of the program runs. Each worker stands under a name by which --worker
finds it: a short one, or with its module where several have that one.

Examples:
  procbox workers word-count.wasm")]
pub(crate) struct WorkersArgs {
    /// The program: a .wasm file or an executable
    #[arg(value_name = "PROGRAM")]
    path: PathBuf,
}

pub(crate) fn workers(args: &WorkersArgs) -> anyhow::Result<u8> {
    let workers = if is_wasm(&args.path) {
        let program = wasm_program(&args.path)?;
        // What it imports is no matter: it does not run.
        let any = Grants::default().unknown_imports(UnknownImports::Trap);
        Sandbox::builder().max_processes(1).build()?.context_with(program, any)?.workers()?
    } else {
        native::Program::open(&args.path)?.workers()?
    };
    if workers.is_empty() {
        say(&format!("{}: no workers; its main is its one worker", args.path.display()));
    }
    for worker in workers {
        writeln!(
            std::io::stdout(),
            "{}",
            printable(worker.signature.as_deref().unwrap_or(&worker.name))
        )?;
    }
    Ok(0)
}
