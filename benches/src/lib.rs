//! What the benchmarks share: the program `bench` on both backends, and how a group measures.
//!
//! A file of `benches/` is a group: the same operation on both backends, and what else one could
//! use for it. Run them with `make bench`, or one of them with
//! `cargo bench -p procbox-benches --bench queue`. Compare within a run; times do not travel.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use procbox::{Context, Native, Sandbox, native, sandbox};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The bytes of a small message.
pub const SMALL: usize = 64;
/// The messages that a queue holds here.
pub const QUEUED: usize = 1024;

/// `target/programs`, from this executable, which is in `target/release/deps`.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let path = exe.ancestors().nth(3).map(|target| target.join("programs").join(name));
    match path {
        Some(path) if path.exists() => Ok(path),
        _ => anyhow::bail!("target/programs/{name} is missing: run `make programs` first"),
    }
}

/// The program `bench` on both backends, each with its name.
///
/// # Errors
/// If the programs were not built, or a backend does not work here.
pub fn contexts() -> anyhow::Result<[(&'static str, Context); 2]> {
    let native = native::Program::open(program("bench")?)?;
    let native = Native::builder().program(native).build()?;
    let sandbox = Sandbox::builder().build()?;
    let sandbox = sandbox.context(sandbox::Program::wasm(program("bench.wasm")?)?)?;
    Ok([("native", native), ("sandbox", sandbox)])
}

/// Measures a contender: `run` does so many operations and says how long they took.
///
/// # Panics
/// If `run` fails.
pub fn contender(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut run: impl FnMut(u64) -> anyhow::Result<Duration>,
) {
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|n| run(n).unwrap_or_else(|e| panic!("{name}: {e:#}")));
    });
}

/// Times `n` calls of a function.
///
/// # Errors
/// Those of the function.
pub fn timed(n: u64, mut f: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let began = Instant::now();
    for _ in 0..n {
        f()?;
    }
    Ok(began.elapsed())
}

/// Runs a file's groups, as `criterion_main!` does, but lets them fail.
///
/// # Errors
/// Those of the groups.
pub fn run(groups: impl FnOnce(&mut Criterion) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    groups(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}
