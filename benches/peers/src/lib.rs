//! What procbox is compared with: the same operations by other crates, by Python, and by
//! what lies below.
//!
//! A file per peer, each as small as fair. Peers that are for processes run between processes.
//!
//! Nothing of this is linked into the command: `procbox bench` runs the program
//! `procbox-bench-peers`, which is `main.rs` here.

mod child;
mod crossbeam;
mod fork;
mod iceoryx2;
mod ipc_channel;
mod mutex;
mod posix_semaphore;
mod procspawn;
mod pthread;
mod python;
mod rayon;
mod socketpair;
mod std_process;
mod warm;
mod wasmtime;

use procbox_benches::Case;
use std::path::PathBuf;

/// Begins the children of a peer, procspawn: to be called first in `main`.
///
/// ```no_run
/// procbox_bench_peers::init();
/// ```
pub fn init() {
    ::procspawn::init();
}

/// The cases of all peers that are here: Python's are left out if there is no `python3`, those of `iceoryx2` if
/// its program was not built.
///
/// ```no_run
/// assert!(procbox_bench_peers::cases().iter().any(|case| case.contender == "ipc-channel"));
/// ```
pub fn cases() -> Vec<Case> {
    [
        std_process::cases(),
        fork::cases(),
        procspawn::cases(),
        wasmtime::cases(),
        warm::cases(programs().as_deref()),
        crossbeam::cases(),
        ipc_channel::cases(),
        iceoryx2::cases(),
        socketpair::cases(),
        mutex::cases(),
        pthread::cases(),
        posix_semaphore::cases(),
        rayon::cases(),
        python::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The directory of the workers' programs, where `procbox bench` looks for it.
fn programs() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    let mut places = exe.ancestors().map(|folder| folder.join("programs"));
    places.find(|path| path.join("bench.wasm").exists())
}
