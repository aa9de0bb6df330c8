//! The crate `iceoryx2`, between two processes: messages in shared memory that is lent, as ours are.
//!
//! It is measured by a program of its own, `procbox-bench-iceoryx2`, if that is beside this one: to build
//! it takes libclang, which not every machine has. `make bench` builds it where it can.

use anyhow::Context as _;
use procbox_benches::{Case, LARGE, MIDDLE, SMALL};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = "procbox-bench-iceoryx2";

pub(super) fn cases() -> Vec<Case> {
    let Some(program) = program() else { return Vec::new() };
    let case = |group, size: usize| {
        let program = program.clone();
        let run = move |n: u64| measure(&program, size, n);
        Case { group, contender: "iceoryx2", ops: None, run: Box::new(run) }
    };
    vec![
        case("queue/64B/1p1c", SMALL),
        case("queue/64KiB/1p1c", MIDDLE),
        case("queue/64KiB/loan", MIDDLE),
        case("queue/1MiB/1p1c", LARGE),
        case("queue/1MiB/loan", LARGE),
    ]
}

/// The program, where a build puts it: `target/release`.
fn program() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    exe.ancestors().skip(1).take(2).map(|folder| folder.join(PROGRAM)).find(|path| path.exists())
}

/// It says how many nanoseconds so many messages took.
fn measure(program: &PathBuf, size: usize, n: u64) -> anyhow::Result<Duration> {
    let mut command = Command::new(program);
    command.args([size.to_string(), n.to_string()]).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().context(PROGRAM)?;
    anyhow::ensure!(output.status.success(), "{PROGRAM}: {}", output.status);
    let printed = String::from_utf8_lossy(&output.stdout);
    let nanos = printed.trim().parse().with_context(|| format!("{PROGRAM} printed {printed:?}"))?;
    Ok(Duration::from_nanos(nanos))
}
