//! What is measured: the same operations on both backends, and what else one could use for them.
//!
//! `procbox bench` and the criterion benchmark `groups` both measure these cases. A group is one
//! operation, a contender one way to do it. Compare within a run; times do not travel.

mod ours;
mod peers;
mod python;

use std::path::Path;
use std::time::{Duration, Instant};

/// The bytes of a small message.
const SMALL: usize = 64;
/// The messages that a queue holds here.
const QUEUED: usize = 1024;
/// The items of a large map.
const MAP_ITEMS: u64 = 1_000_000;

/// Something that can be measured.
pub struct Case {
    /// The operation.
    pub group: &'static str,
    /// `native`, `sandbox`, or a peer by its crate's name.
    pub contender: &'static str,
    /// How many operations a sample has; `None` for as many as fit its time.
    pub ops: Option<u64>,
    /// Does so many operations and says how long they took.
    pub run: Box<dyn FnMut(u64) -> anyhow::Result<Duration>>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.group, self.contender)
    }
}

/// To be called first in `main`: it is where the children of a peer, procspawn, begin.
pub fn init() {
    procspawn::init();
}

/// All cases, those of a group in a row. The program `bench` is looked for in a directory, as
/// `bench` and `bench.wasm`.
///
/// # Errors
/// If it is not there, or a backend does not work here.
pub fn cases(programs: &Path) -> anyhow::Result<Vec<Case>> {
    let mut all = ours::cases(programs)?;
    all.extend(peers::cases());
    all.extend(python::cases());
    // What is compared is measured close in time.
    all.sort_by_key(|case| case.group);
    Ok(all)
}

/// Times the calls of a function.
fn timed(n: u64, mut f: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let began = Instant::now();
    for _ in 0..n {
        f()?;
    }
    Ok(began.elapsed())
}
