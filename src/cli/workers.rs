//! `procbox workers`: what a program offers, without running it.

use super::WorkersArgs;
use procbox::sandbox::is_wasm;
use procbox::{Sandbox, native, sandbox};

pub(super) fn workers(args: &WorkersArgs) -> anyhow::Result<u8> {
    let workers = if is_wasm(&args.path) || args.path.extension().is_some_and(|e| e == "wasm") {
        let program = sandbox::Program::wasm(&args.path)?;
        Sandbox::builder().max_processes(1).build()?.context(program)?.workers()?
    } else {
        native::Program::open(&args.path)?.workers()?
    };
    if workers.is_empty() {
        super::say(&format!("{}: no workers; its main is its one worker", args.path.display()));
    }
    for worker in workers {
        println!("{}", worker.signature.as_deref().unwrap_or(&worker.name));
    }
    Ok(0)
}
