//! Python's `multiprocessing`, the best-known of the peers, if there is a `python3`.
//!
//! Each script gets the number of operations, times itself, its start excluded, and prints the
//! nanoseconds. The processes are forked: the fastest of Python's ways to start one.

use anyhow::Context as _;
use procbox_benches::{Case, MAP_ITEMS};
use std::process::{Command, Stdio};
use std::time::Duration;

const SPAWN: &str = "
import sys, time, multiprocessing
fork = multiprocessing.get_context('fork')
def nothing(): pass
began = time.perf_counter_ns()
for _ in range(int(sys.argv[1])):
    p = fork.Process(target=nothing)
    p.start()
    p.join()
print(time.perf_counter_ns() - began)
";

/// A chunk size of 0 is the default one.
const POOL: &str = "
import sys, time, multiprocessing
def task(n): return n
with multiprocessing.get_context('fork').Pool() as pool:
    pool.apply(task, (1,))
    n, chunk = int(sys.argv[1]), int(sys.argv[2])
    began = time.perf_counter_ns()
    results = pool.map(task, range(n), chunk or None)
    took = time.perf_counter_ns() - began
    assert len(results) == n
print(took)
";

pub(super) fn cases() -> Vec<Case> {
    if run("", &[]).is_err() {
        return Vec::new();
    }
    let case = |group, ops, script: &'static str, chunk: &'static str| Case {
        group,
        contender: "python",
        ops,
        run: Box::new(move |n| time(script, &[&n.to_string(), chunk])),
    };
    vec![
        case("spawn", None, SPAWN, ""),
        case("pool/empty", None, POOL, "1"),
        case("pool/map-1M", Some(MAP_ITEMS), POOL, "0"),
    ]
}

/// Runs a script that prints how many nanoseconds its work took.
fn time(script: &str, arguments: &[&str]) -> anyhow::Result<Duration> {
    let printed = run(script, arguments)?;
    let nanos = printed.trim().parse().with_context(|| format!("python3 printed {printed:?}"))?;
    Ok(Duration::from_nanos(nanos))
}

fn run(script: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("python3");
    // Without what users have installed: it would only be slower.
    command.args(["-I", "-S", "-c", script]).args(arguments).stdin(Stdio::null());
    let output = command.stderr(Stdio::inherit()).output().context("python3")?;
    anyhow::ensure!(output.status.success(), "python3: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
