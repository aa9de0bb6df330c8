//! The options that several subcommands share, and the units that options are written in.

use crate::limits::LimitArgs;
use clap::{Args, ValueEnum};
use procbox::sandbox::SandboxBuilder;
use procbox::sandbox::imports::UnknownImports;
use std::str::FromStr;
use std::time::Duration;

/// Where processes run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendArg {
    /// In wasmtime instances that can touch nothing they were not handed
    Sandbox,
    /// As OS processes with all rights of the caller
    Native,
}

/// What becomes of imports that nobody has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnknownImportsArg {
    /// The program is refused, with status 126
    #[default]
    Refuse,
    /// They are there, and end the process that calls one, by its name
    Trap,
}

impl From<UnknownImportsArg> for UnknownImports {
    fn from(arg: UnknownImportsArg) -> UnknownImports {
        match arg {
            UnknownImportsArg::Refuse => UnknownImports::Refuse,
            UnknownImportsArg::Trap => UnknownImports::Trap,
        }
    }
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
    /// Confine it by the kernel (native): no network, no signals to others, no calls that look into
    /// other processes or change the system, no files but those of --dir and --dir-ro and what it
    /// needs in order to be loaded, and --memory counts
    #[arg(long)]
    pub(crate) confine: bool,
    /// Let it use a directory (sandbox, or --confine; read and write), under its own or another name
    #[arg(long, value_name = "HOST[::GUEST]")]
    pub(crate) dir: Vec<String>,
    /// Let it read a directory (sandbox, or --confine)
    #[arg(long, value_name = "HOST[::GUEST]")]
    pub(crate) dir_ro: Vec<String>,
    /// Set an environment variable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) compile: CompileArgs,
    /// What becomes of functions that the program imports and nobody has (sandbox): it is refused, or
    /// whoever calls one ends
    #[arg(long, value_name = "WHAT", default_value = "refuse")]
    pub(crate) unknown_imports: UnknownImportsArg,
    /// Neither look for the compiled program in the cache nor keep it there (sandbox)
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// How long compiling may take, with all else that has to be done before the program runs.
    #[arg(skip)]
    pub(crate) compile_timeout: Option<Duration>,
    /// How many processes the command itself starts at once, if that is known.
    #[arg(skip)]
    pub(crate) at_once: Option<usize>,
    /// Say nothing on stderr but what the program itself says
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// A number that is not 0.
pub(crate) fn at_least_one<N: FromStr>(text: &str) -> Result<N, String> {
    text.trim().parse().map_err(|_| "a whole number, at least 1".into())
}

/// What compiling a program for the sandbox may cost.
#[derive(Args, Default)]
pub(crate) struct CompileArgs {
    /// The most CPU time that compiling it may take (sandbox), in whole seconds; by default 5s, and
    /// 4s for each MiB of it
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) compile_time: Option<Duration>,
    /// The most memory that compiling it may take (sandbox), in a process of its own; by default
    /// 160M, and 40 times its size
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) compile_memory: Option<usize>,
}

impl CompileArgs {
    pub(crate) fn limit(&self, mut builder: SandboxBuilder) -> SandboxBuilder {
        if let Some(time) = self.compile_time {
            builder = builder.compile_time(time);
        }
        if let Some(bytes) = self.compile_memory {
            builder = builder.compile_memory(bytes);
        }
        builder
    }
}

/// A time with its units: `500ms`, `5s`, `1.5h`, `1m30s`. Without a unit it is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(NO_TIME.into());
    }
    while !rest.is_empty() {
        let (number, unit, after) = quantity(rest);
        let scale = match unit {
            "us" => 1e-6,
            "ms" => 0.001,
            "s" | "sec" => 1.0,
            "" if total.is_zero() && after.is_empty() => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(format!("`{unit}` is no unit of time: use ms, s, m, h or d")),
        };
        let number: f64 = number.parse().map_err(|_| NO_TIME.to_string())?;
        let part = Duration::try_from_secs_f64(number * scale).map_err(|e| e.to_string())?;
        total = total.checked_add(part).ok_or("too long")?;
        rest = after;
    }
    Ok(total)
}

const NO_TIME: &str = "a number and a unit, such as 5s or 1m30s";
const NO_SIZE: &str = "a number and a unit, such as 64M or 1.5G";

/// The first number of a text, its unit, and what comes after.
fn quantity(text: &str) -> (&str, &str, &str) {
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, rest) = text.split_at(unit);
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, after) = rest.split_at(end);
    (number.trim(), unit, after.trim_start())
}

/// A size with its unit: `64M`, `1.5G`, `64MiB`; powers of 1024.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let (number, unit, after) = quantity(text.trim());
    let scale = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 1u64,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        _ => return Err(format!("`{unit}` is no unit of size: use K, M or G")),
    };
    if !after.is_empty() {
        return Err(NO_SIZE.into());
    }
    let bytes = match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(scale),
        Err(_) => match number.parse::<f64>() {
            // What a float holds exactly: no machine has more.
            Ok(part) if (0.0..=9e15 / scale as f64).contains(&part) => {
                Some((part * scale as f64) as u64)
            }
            Ok(_) => None,
            Err(_) => return Err(NO_SIZE.into()),
        },
    };
    bytes.and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(|| "out of range".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_what_people_write() {
        for (text, seconds) in
            [("5", 5.0), ("500ms", 0.5), ("1m30s", 90.0), ("1.5h", 5400.0), ("1h 2m 3s", 3723.0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "s", "soon", "-1s", "5parsecs", "1m30", "1e400s", "nans", "5s!"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_what_people_write() {
        for (text, bytes) in [("7", 7), ("64M", 64 << 20), ("1.5G", 3 << 29), ("2KiB", 2048)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "lots", "-1M", "1T", "99999999999G", "1M1", "nanM", "infG"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
