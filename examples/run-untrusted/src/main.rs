//! A small HTTP service: it takes a snippet of Python or JavaScript and its input, runs it in a fresh
//! process of the sandbox, with limits, and answers with what it printed, how it ended and what it used.
//!
//! ```text
//! make languages
//! cargo run --release -p procbox-run-untrusted -- serve --python target/languages/python.wasm
//! curl -s localhost:8080/run -d '{"language": "python", "code": "print(6 * 7)"}'
//! cargo run --release -p procbox-run-untrusted -- load --requests 1000
//! ```

mod load;
mod run;
mod serve;

use clap::{Parser, Subcommand};

/// Runs snippets of strangers, each in a fresh process of the sandbox.
#[derive(Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answers POST /run.
    Serve(serve::ServeArgs),
    /// Sends snippets to a service on this machine, and says how long it took to answer.
    Load(load::LoadArgs),
}

fn main() -> anyhow::Result<()> {
    match CommandLine::parse().command {
        Command::Serve(args) => serve::serve(args),
        Command::Load(args) => load::load(&args),
    }
}
