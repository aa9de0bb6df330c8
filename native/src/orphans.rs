//! Ends what a program leaves behind when it is ended itself.
//!
//! A program that is killed cannot end its own children, and a plain one would not know how. For
//! whoever runs programs to their end: become the parent of their orphans, and kill those too.

use crate::descendants::{children_of, state};
use crate::syscalls::os;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procbox_core::Result;
use std::time::Duration;

/// Rounds of looking for children; each finds those that the round before has orphaned.
const ROUNDS: u32 = 200;
/// Rounds in a row that have to find nobody.
const QUIET_ROUNDS: u32 = 3;
/// Between two rounds, for the kernel to end what was killed.
const PAUSE: Duration = Duration::from_millis(1);

/// From now on processes whose parent ends below this one become its own children.
///
/// ```no_run
/// procbox_native::adopt_orphans()?; // before the first start
/// let ctx = procbox_native::context()?;
/// let p = ctx.main(["--count"]).start()?;
/// p.join()?;
/// procbox_native::kill_descendants(); // also what `p` left running
/// # Ok::<(), procbox_core::Error>(())
/// ```
///
/// # Errors
/// [`procbox_core::Error::Os`].
pub fn adopt_orphans() -> Result<()> {
    prctl::set_child_subreaper(true).map_err(|e| os("prctl", e))
}

/// Kills all children of this process and, after [`adopt_orphans`], all that descends from them.
/// For the end of a program: nothing of procbox's works afterwards.
///
/// ```no_run
/// # let ctx = procbox_native::context()?;
/// let status = ctx.main(["--count"]).start()?.join()?;
/// procbox_native::kill_descendants();
/// std::process::exit(status.cli_status().into());
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub fn kill_descendants() {
    let me = Pid::this().as_raw();
    // A zombie does not run.
    let runs = |pid| state(pid).is_some_and(|state| state != 'Z');
    let mut quiet = 0;
    for _ in 0..ROUNDS {
        let running: Vec<i32> = children_of(me).into_iter().filter(|pid| runs(*pid)).collect();
        // One that ended while we looked may have left us its children after the list was read.
        quiet = if running.is_empty() { quiet + 1 } else { 0 };
        if quiet == QUIET_ROUNDS {
            return;
        }
        for pid in running {
            // It is our child, so its pid cannot have become another's. It may have ended by now.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(PAUSE);
    }
}
