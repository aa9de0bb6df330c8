//! Ten thousand waits at once in a tokio program whose runtime has two threads: messages, events,
//! permits, tasks and the ends of processes, each awaited by a task of tokio's. Then all of them end.
//! Then waits and tasks are cancelled, in a loop, and it is looked whether something is left of them.
//!
//! ```text
//! make programs
//! cargo run --release -p procbox-async-waits -- target/programs/conformance
//! cargo run --release -p procbox-async-waits -- target/programs/conformance.wasm
//! ```
//!
//! The program that is named has the workers `waits_task` and `blocks`.

mod cancels;
mod holds;
mod measure;

use clap::Parser;
use procbox::sandbox::{Program, is_wasm};
use procbox::{Context, Native, Sandbox, native};
use std::path::PathBuf;
use tokio::runtime::{Builder, Runtime};

/// Holds many waits without a thread each, and cancels many.
#[derive(Parser)]
struct CommandLine {
    /// A program with the workers: native, or a module for the sandbox
    program: PathBuf,
    /// So many waits at once
    #[arg(long, default_value_t = 10_000)]
    waits: usize,
    /// So many waits, and so many tasks, are cancelled
    #[arg(long, default_value_t = 100_000)]
    cancels: usize,
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).build()
}

fn context(program: &PathBuf) -> anyhow::Result<Context> {
    if is_wasm(program) {
        return Ok(Sandbox::builder().build()?.context(Program::wasm(program)?)?);
    }
    Ok(Native::builder().program(native::Program::open(program)?).build()?)
}

fn main() -> anyhow::Result<()> {
    let CommandLine { program, waits, cancels } = CommandLine::parse();
    let (ctx, runtime) = (context(&program)?, runtime()?);
    let held = holds::hold(&ctx, &runtime, waits)?;
    println!("{held}");
    let cancelled = cancels::cancel(&ctx, &runtime, cancels)?;
    println!("{cancelled}");
    anyhow::ensure!(cancelled.is_all_gone(), "something is left of what was cancelled");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::ensure;
    use procbox_tests::{Backend, watched};
    use std::sync::{Mutex, PoisonError};

    /// They look at the whole process, so they take turns.
    static TURN: Mutex<()> = Mutex::new(());

    /// All waits end, no thread was made for any of them, and nothing is left of those cancelled.
    fn all_of_it(backend: Backend) {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        watched(backend, |ctx| {
            let runtime = runtime()?;
            let held = holds::hold(ctx, &runtime, 10_000)?;
            // One that sleeps for all, the pool's, the reaper, and what else a backend has: no more.
            ensure!(held.threads_more <= 8, "{held}");
            let cancelled = cancels::cancel(ctx, &runtime, 5_000)?;
            ensure!(cancelled.is_all_gone(), "{cancelled}");
            Ok(())
        });
    }

    #[test]
    fn ten_thousand_native_waits_take_no_thread_each() {
        all_of_it(Backend::Native);
    }

    #[test]
    fn ten_thousand_sandboxed_waits_take_no_thread_each() {
        all_of_it(Backend::Sandbox);
    }
}
