//! What procbox is compared with: the same operations by other crates, by Python, and by
//! what lies below.
//!
//! Nothing of this is linked into the command: `procbox bench` runs the program
//! `procbox-bench-peers`, which is `main.rs` here.

mod crates;
mod floor;
mod python;

use procbox_benches::Case;

/// Begins the children of a peer, procspawn: to be called first in `main`.
///
/// ```no_run
/// procbox_bench_peers::init();
/// ```
pub fn init() {
    procspawn::init();
}

/// The cases of all peers that are here: Python's are left out if there is no `python3`.
///
/// ```no_run
/// assert!(procbox_bench_peers::cases().iter().any(|case| case.contender == "ipc-channel"));
/// ```
pub fn cases() -> Vec<Case> {
    let mut cases = crates::cases();
    cases.extend(floor::cases());
    cases.extend(python::cases());
    cases
}
