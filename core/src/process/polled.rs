//! Processes for those who wait without a thread.

use super::Process;
use crate::polled::until;
use crate::{ExitStatus, Result};

impl Process {
    /// Like [`Process::join`], as a future: whoever polls it does not block while the process runs. It may
    /// be waited for by as many as like. Inside a sandboxed process, and in a simulation, the poll blocks.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let p = ctx.process("greet").args(("world",)).start()?;
    /// assert_eq!(p.join_async().await?.exitcode(), 0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Process::join`], but for Ctrl-C and deadlocks.
    pub async fn join_async(&self) -> Result<ExitStatus> {
        let raw = self.raw()?;
        until(|wait| raw.join(wait), |waker| raw.watch(waker)).await
    }
}
