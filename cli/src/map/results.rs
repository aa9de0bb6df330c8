//! Where the results of `procbox map` go: stdout, and then the log.

use super::inputs::Input;
use super::joblog::JobLog;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Results are written out at least this often.
const EVERY: Duration = Duration::from_millis(50);
/// When no other has come for so long, they need not wait for that.
const LULL: Duration = Duration::from_millis(2);
/// The most bytes that wait.
const BUFFER: usize = 64 << 10;

/// The reader of stdout has gone: there is nobody to do more for.
#[derive(Debug)]
pub(super) struct NoReader;

/// Collects results and the log's lines for them, and writes out both, in this order.
pub(super) struct Results {
    stdout: File,
    log: Option<JobLog>,
    buffer: Vec<u8>,
    /// Whether each result is to end with a newline.
    lines: bool,
    /// How many tasks have ended.
    added: u64,
    /// Whether there is something to write out.
    waiting: bool,
    /// Whether stdout takes no more: nothing is printed or logged after that.
    broken: bool,
    committed: Instant,
}

impl Results {
    /// Nothing printed yet.
    ///
    /// # Errors
    /// If there is no stdout.
    pub(super) fn new(log: Option<JobLog>, lines: bool) -> std::io::Result<Results> {
        let stdout = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
        let buffer = Vec::with_capacity(BUFFER);
        Ok(Results {
            stdout,
            log,
            buffer,
            lines,
            added: 0,
            waiting: false,
            broken: false,
            committed: Instant::now(),
        })
    }

    /// Takes what the task of this index came to; `None` for an input that never became one. Written
    /// out when it is time or there is too much.
    pub(super) fn add(
        &mut self,
        input: &Input,
        task: Option<usize>,
        bytes: &[u8],
    ) -> anyhow::Result<Result<(), NoReader>> {
        if self.buffer.len() + bytes.len() > BUFFER
            && let Err(gone) = self.commit()?
        {
            return Ok(Err(gone));
        }
        self.buffer.extend_from_slice(bytes);
        if self.lines && bytes.last().is_some_and(|last| *last != b'\n') {
            self.buffer.push(b'\n');
        }
        self.added += 1;
        self.waiting = true;
        if let Some(log) = &mut self.log {
            log.note(input, task, bytes.len());
        }
        if self.buffer.len() >= BUFFER || self.committed.elapsed() > EVERY {
            return self.commit();
        }
        Ok(Ok(()))
    }

    /// How many tasks have ended.
    pub(super) fn added(&self) -> u64 {
        self.added
    }

    /// When [`Results::commit`] is due, if no result comes before.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.waiting.then(|| (self.committed + EVERY).min(now + LULL))
    }

    /// Writes out the results, and then what the log says about them.
    ///
    /// # Errors
    /// Those of writing either.
    pub(super) fn commit(&mut self) -> anyhow::Result<Result<(), NoReader>> {
        if self.broken {
            return Ok(Err(NoReader));
        }
        if let Err(e) = self.stdout.write_all(&self.buffer) {
            self.broken = true;
            anyhow::ensure!(e.kind() == ErrorKind::BrokenPipe, "stdout: {e}");
            return Ok(Err(NoReader));
        }
        self.buffer.clear();
        if let Some(log) = &mut self.log {
            log.commit().map_err(|e| anyhow::anyhow!("the joblog: {e}"))?;
        }
        (self.waiting, self.committed) = (false, Instant::now());
        Ok(Ok(()))
    }
}
