//! Raw `fork`, `_exit` and `waitpid`: what a start of an OS process cannot be faster than.

use crate::child::Child;
use procbox_benches::{Case, timed};

pub(super) fn cases() -> Vec<Case> {
    let run = |n| timed(n, || Child::start(|| Ok(()))?.join());
    vec![Case { group: "spawn", contender: "fork", ops: None, run: Box::new(run) }]
}
