//! What is measured: the same operations on both backends and across a bridge, what fairness in the sandbox comes to, and
//! what safety costs.
//!
//! A group is one operation, a contender one way to do it. `procbox bench` measures these cases, and
//! by a program of their own (`benches/peers`) those of the peers, which are not linked here. The
//! criterion benchmark `groups` there measures both. Compare within a run; times do not travel.

mod bridge;
mod fair;
mod floors;
mod measure;
mod ours;
mod safety;
mod scale;
mod warm;

pub use measure::{Effort, Figure, timed};
pub use ours::cases;
pub use warm::{INTERPRETERS, Interpreter};

use std::time::Duration;

/// The bytes of a small message.
pub const SMALL: usize = 64;
/// The bytes of a message of medium size.
pub const MIDDLE: usize = 64 << 10;
/// The bytes of a large message.
pub const LARGE: usize = 1 << 20;
/// The small messages that a queue holds here.
pub const QUEUED: usize = 1024;
/// The larger messages that a queue holds here.
pub const FEW: usize = 16;
/// The items of a large map.
pub const MAP_ITEMS: u64 = 1_000_000;

/// Something that can be measured.
///
/// ```
/// use procbox_benches::{Case, Effort, timed};
///
/// let add = |n| timed(n, || Ok(drop(std::hint::black_box(1 + 1))));
/// let mut case = Case { group: "add", contender: "std", ops: Some(1000), run: Box::new(add) };
/// assert_eq!(case.measure(Effort::QUICK)?.contender, "std");
/// # Ok::<(), anyhow::Error>(())
/// ```
pub struct Case {
    /// The operation.
    pub group: &'static str,
    /// `native`, `sandbox`, or a peer by its crate's name; in the groups `fair/`, which are of the
    /// sandbox alone, beside whom; in `safety/`, without what and with what; in `floor/`, by what.
    pub contender: &'static str,
    /// Operations that a sample has; `None` for as many as fit its time.
    pub ops: Option<u64>,
    /// Does so many operations and says how long they took.
    pub run: Box<dyn FnMut(u64) -> anyhow::Result<Duration>>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.group, self.contender)
    }
}
