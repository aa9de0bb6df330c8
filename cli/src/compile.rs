//! `procbox compile`: programs for the sandbox, compiled ahead of time into the cache.

use crate::open::wasm_program;
use crate::options;
use crate::signals;
use clap::Args;
use procbox::Sandbox;
use procbox::sandbox::Grants;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

/// What counts the fuel of a program that is compiled so; how much there is makes no difference.
const SOME_FUEL: u64 = 1;

#[derive(Args)]
#[command(after_help = "\
What `run`, `map` and `workers` compile they keep too, in procbox/modules of XDG_CACHE_HOME or of
~/.cache, for this user alone. This does it before, and says how large it is and how long it took.

Examples:
  procbox compile word-count.wasm
  procbox compile --fuel *.wasm         # for runs with --fuel, which are compiled otherwise")]
pub(crate) struct CompileArgs {
    /// For runs with --fuel
    #[arg(long)]
    fuel: bool,
    /// For runs with the same: what becomes of functions that nobody has
    #[arg(long, value_name = "WHAT", default_value = "refuse")]
    unknown_imports: options::UnknownImportsArg,
    #[command(flatten)]
    costs: options::CompileArgs,
    /// The programs: .wasm or .wat files
    #[arg(value_name = "PROGRAM", required = true)]
    programs: Vec<PathBuf>,
}

pub(crate) fn compile(args: &CompileArgs) -> anyhow::Result<u8> {
    signals::answer()?;
    let mut builder = args.costs.limit(Sandbox::builder().max_processes(1));
    if args.fuel {
        builder = builder.fuel(SOME_FUEL);
    }
    let sandbox = builder.build()?;
    let grants = Grants::default().unknown_imports(args.unknown_imports.into());
    for path in &args.programs {
        let program = wasm_program(path)?;
        let began = Instant::now();
        let compiled = sandbox.compile_with(&program, &grants)?;
        let (size, path) = (size(compiled.size), path.display());
        let mut out = std::io::stdout();
        if compiled.was_there {
            writeln!(out, "{path}: {size}, in the cache already")?;
        } else {
            writeln!(out, "{path}: {size} in {:.2} s", began.elapsed().as_secs_f64())?;
        }
    }
    Ok(0)
}

/// A size as people read it.
pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        0..=0xf_ffff => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}
