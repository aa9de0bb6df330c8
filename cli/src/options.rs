//! The options that several subcommands share, and the units that options are written in.

use clap::{Args, ValueEnum};
use std::time::Duration;

/// Where processes run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendArg {
    /// In wasmtime instances that can touch nothing they were not handed
    Sandbox,
    /// As OS processes with all rights of the caller
    Native,
}

/// What a program is and what it gets.
#[derive(Args)]
pub(crate) struct ProgramArgs {
    /// Where to run it; by default as the file's own first bytes say. If PROGRAM is the other kind
    /// of file, its other build is taken: NAME.wasm beside NAME
    #[arg(long, value_name = "WHERE")]
    pub(crate) backend: Option<BackendArg>,
    /// The worker to run, if the program has several
    #[arg(long, value_name = "NAME")]
    pub(crate) worker: Option<String>,
    /// Let it use a directory (sandbox; read and write), under its own or another name
    #[arg(long, value_name = "HOST[::GUEST]")]
    pub(crate) dir: Vec<String>,
    /// Let it read a directory (sandbox)
    #[arg(long, value_name = "HOST[::GUEST]")]
    pub(crate) dir_ro: Vec<String>,
    /// Set an environment variable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// The most memory that each process may have (sandbox), e.g. 64M
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) memory: Option<usize>,
    /// How much fuel each process gets (sandbox): about one unit per WebAssembly instruction. Out of
    /// it, the process ends as by signal 24. The same work needs the same fuel on every machine
    #[arg(long, value_name = "N")]
    pub(crate) fuel: Option<u64>,
    /// How many processes the program may have at once (sandbox); room for them is made at the start
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) max_processes: usize,
    /// Say nothing on stderr but what the program itself says
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// A time with its unit: `500ms`, `5s`, `2m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
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
