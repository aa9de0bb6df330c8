//! The real `procbox` command, run as a user runs it. This file has what the others share.

mod bench;
mod commands;
mod compile;
mod ctrl_c;
mod held;
mod limits;
mod map;
mod pages;
mod poll;
mod refusals;
mod run;
mod signals;
mod snapshot;
mod terminal;
mod top;
mod watch;

use procbox_tests::{Backend, PATIENCE, procbox, program};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

const BOTH: [Backend; 2] = [Backend::Native, Backend::Sandbox];

/// How a command ended and what it said.
#[derive(Debug)]
struct Ran {
    status: i32,
    stdout: String,
    stderr: String,
}

/// A command line, its words split at spaces, and paths behind it.
fn command(words: &str, paths: &[&Path]) -> Command {
    // Whoever runs the tests may ignore these, as a shell has its background jobs do.
    let mut command = Command::new("env");
    command.arg("--default-signal=INT,HUP,TERM").arg(procbox());
    command.args(words.split_whitespace()).args(paths);
    command
}

/// Waits for its end; kills it and fails when that does not come.
fn wait(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status,
            Ok(None) if began.elapsed() < PATIENCE => sleep(Duration::from_millis(2)),
            other => {
                let _ = child.kill();
                panic!("it hangs: {other:?}");
            }
        }
    }
}

fn text(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Runs a command on this input.
fn run_on(command: &mut Command, input: impl Into<Vec<u8>>) -> Ran {
    let input = input.into();
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Whoever does not read it all is right too.
    let writer = spawn(move || drop(stdin.write_all(&input)));
    let (stdout, stderr) = (text(child.stdout.take().unwrap()), text(child.stderr.take().unwrap()));
    let status = wait(&mut child);
    writer.join().unwrap();
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    Ran { status: status.code().unwrap_or(-1), stdout, stderr }
}

fn run(command: &mut Command) -> Ran {
    run_on(command, "")
}

#[track_caller]
fn check(ran: &Ran, status: i32, stdout: &str) {
    assert_eq!((ran.status, &ran.stdout[..]), (status, stdout), "stderr: {}", ran.stderr);
}

/// Fails unless stderr has each of these.
#[track_caller]
fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stderr.contains(word), "no {word:?} in: {}", ran.stderr);
    }
}

/// Copies a program. Not in this process: a file that is open for writing in a child of another test,
/// between its fork and its exec, could not be executed.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").args([from, to]).status().unwrap().success());
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn licenses() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/usr/share/common-licenses").unwrap();
    let mut files: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5, "no texts to count");
    files
}
