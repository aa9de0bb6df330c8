//! Workers that pools give tasks to.

use crate::crash;
use anyhow::bail;
use procbox_guest::prelude::*;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use std::sync::atomic::{AtomicU64, Ordering};

#[worker]
pub(crate) fn double(n: u64) -> u64 {
    n * 2
}

/// Takes so many rounds of CPU time.
#[worker]
fn computes(rounds: u64) -> u64 {
    (0..rounds).fold(7, |sum, n| std::hint::black_box(sum ^ n).rotate_left(1))
}

#[worker]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[worker]
fn fails_on(n: u64, bad: u64) -> anyhow::Result<u64> {
    if n == bad {
        bail!("{n} it is");
    }
    Ok(n)
}

#[worker]
fn panics_on(n: u64, bad: u64) -> u64 {
    assert!(n != bad, "no {n} please");
    n
}

#[worker]
fn exits_on(n: u64, bad: u64) -> u64 {
    if n == bad {
        procbox_guest::exit(3);
    }
    n
}

#[worker]
fn aborts_on(n: u64, bad: u64) -> u64 {
    if n == bad {
        std::process::abort();
    }
    n
}

#[worker]
fn aborts_on_7(n: u64) -> u64 {
    if n == 7 {
        std::process::abort();
    }
    n
}

#[worker]
fn spins_on(n: u64, bad: u64) -> u64 {
    if n == bad {
        crash::spin();
    }
    n
}

#[worker]
fn dies_while_there_are(tokens: Queue<()>) -> u64 {
    if tokens.try_get().is_ok() {
        std::process::abort();
    }
    7
}

#[worker]
pub(crate) fn waits_task(go: Event) -> Result<u64> {
    go.wait()?;
    Ok(1)
}

#[worker]
fn first_waits(n: u64, go: Event) -> Result<u64> {
    if n == 0 {
        go.wait()?;
    }
    Ok(n)
}

#[worker]
fn says_its_pid(_n: u64) -> Result<u64> {
    Ok(procbox_guest::context()?.current_process().pid.into())
}

#[worker]
fn says_its_pid_and_waits(pids: Queue<u32>, go: Event) -> Result<u64> {
    let _ = pids.try_put(&procbox_guest::context()?.current_process().pid);
    go.wait()?;
    Ok(1)
}

#[worker]
fn counts_its_calls(_n: u64) -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}

static REMEMBERED: AtomicU64 = AtomicU64::new(0);

#[worker]
fn remember(value: u64) {
    REMEMBERED.store(value, Ordering::Relaxed);
}

#[worker]
fn adds_the_remembered(n: u64) -> u64 {
    n + REMEMBERED.load(Ordering::Relaxed)
}

#[worker]
fn cannot_start() -> anyhow::Result<()> {
    bail!("no config")
}

#[worker]
fn gives_bytes(size: usize) -> Bytes {
    Bytes(vec![7; size])
}

#[worker]
fn gives_back(bytes: Bytes) -> Bytes {
    bytes
}

/// A number, if it can be encoded.
struct Picky(Option<u64>);

impl Serialize for Picky {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(n) => s.serialize_u64(n),
            None => Err(S::Error::custom("too much")),
        }
    }
}

#[worker]
fn cannot_encode(n: u64, bad: u64) -> Picky {
    Picky((n != bad).then_some(n))
}

#[worker]
fn sends_one(to: Sender<u64>) -> Result<()> {
    to.send(&1)
}

#[worker]
fn gives_an_end_away(pipe: Sender<u64>) -> Sender<u64> {
    pipe
}

#[worker]
fn gives_the_queue_back(q: Queue<u64>) -> Result<Queue<u64>> {
    q.put(&1)?;
    Ok(q)
}

/// For the command line: what a line says is what happens; other lines come back in capitals.
#[worker]
fn does_as_told(line: Bytes) -> anyhow::Result<String> {
    let line = String::from_utf8_lossy(&line).into_owned();
    match line.as_str() {
        "spin" => {
            eprintln!("started");
            crash::spin()
        }
        "allocate" => crash::allocate(),
        "fail" => bail!("as it should"),
        "panic" => panic!("as it should"),
        "exit 3" => procbox_guest::exit(3),
        "abort" => std::process::abort(),
        _ => Ok(line.to_uppercase() + "\n"),
    }
}
