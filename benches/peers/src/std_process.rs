//! `std::process`: a program is executed for each start.

use procbox_benches::{Case, timed};
use std::process::{Command, Stdio};
use std::time::Duration;

pub(super) fn cases() -> Vec<Case> {
    vec![Case { group: "spawn", contender: "std::process", ops: None, run: Box::new(spawn) }]
}

fn spawn(n: u64) -> anyhow::Result<Duration> {
    timed(n, || {
        let status = Command::new("/bin/true").stdin(Stdio::null()).status()?;
        anyhow::ensure!(status.success(), "/bin/true failed");
        Ok(())
    })
}
