//! `procbox map --joblog --resume`: no input is done twice, none is missing.

use procbox_tests::{Backend, procbox, program};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const TASKS: usize = 20_000;

fn map(backend: Backend, log: &Path) -> Command {
    let mut command = Command::new(procbox());
    command.args(["map", "--quiet", "--resume", "--joblog"]).arg(log);
    command.arg(program("word-count", backend)).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Kills a map in the middle, once it has printed something, and resumes it to its end.
fn no_input_is_done_twice_and_none_is_missing(backend: Backend) {
    let dir = tempfile::tempdir().unwrap();
    let (log, input) = (dir.path().join("log"), dir.path().join("lines"));
    // The third number of a result is the line's length, so that results tell lines apart.
    let lines: Vec<String> = (0..TASKS).map(|n| "x".repeat(n % 1000)).collect();
    fs::write(&input, lines.join("\n") + "\n").unwrap();
    let mut results = Vec::new();
    let mut child = map(backend, &log).stdin(fs::File::open(&input).unwrap()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    results.push(line.trim_end().to_string());
    results.extend(out.lines().map(|line| line.unwrap()));
    child.wait().unwrap();
    let first = results.len();
    let rest = map(backend, &log).stdin(fs::File::open(&input).unwrap()).output().unwrap();
    assert!(rest.status.success(), "{}", String::from_utf8_lossy(&rest.stderr));
    results.extend(String::from_utf8(rest.stdout).unwrap().lines().map(str::to_string));
    let due: Vec<String> =
        lines.iter().map(|l| format!("{} 0 {}", u8::from(!l.is_empty()), l.len())).collect();
    assert_eq!(results.len(), TASKS, "{first} of them before the signal");
    assert_eq!(results, due);
    let logged = fs::read_to_string(&log).unwrap();
    let parallels = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand";
    // A task that has a process of its own is measured, as those in a sandbox are by default.
    let measured = if backend == Backend::Sandbox { "\tCputime\tMaxmem\tAttempts" } else { "" };
    assert_eq!(logged.lines().next(), Some(&*format!("{parallels}{measured}")));
    assert_eq!(logged.lines().count(), TASKS + 1);
}

#[test]
fn a_native_map_that_was_interrupted_resumes_where_it_was() {
    no_input_is_done_twice_and_none_is_missing(Backend::Native);
}

#[test]
fn a_sandboxed_map_that_was_interrupted_resumes_where_it_was() {
    no_input_is_done_twice_and_none_is_missing(Backend::Sandbox);
}

#[test]
fn the_log_says_how_a_task_failed() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let plain = Command::new(procbox())
        .args(["map", "--quiet", "--joblog"])
        .arg(&log)
        .args(["/bin/false", "/etc/passwd"])
        .output()
        .unwrap();
    assert_eq!(plain.status.code(), Some(1));
    let logged = fs::read_to_string(&log).unwrap();
    let fields: Vec<&str> = logged.lines().nth(1).unwrap().split('\t').collect();
    assert_eq!((fields[0], fields[6], fields[7], fields[8]), ("1", "1", "0", "/etc/passwd"));
}
