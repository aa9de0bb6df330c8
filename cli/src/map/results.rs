//! Where the results of `procbox map` go: stdout, then the log, and the other places that were asked
//! for.

use super::ends::{End, Ends};
use super::inputs::Input;
use super::joblog::JobLog;
use super::report::{Folder, Junit, json};
use indicatif::ProgressBar;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
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

/// How results look on stdout.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As they are.
    Raw,
    /// With a newline at the end.
    Lines,
    /// Each line behind its input and a tab.
    Tagged,
    /// A JSON object in a line.
    Json,
}

/// Where else results go.
#[derive(Default)]
pub(super) struct Places {
    pub(super) log: Option<JobLog>,
    pub(super) junit: Option<Junit>,
    pub(super) folder: Option<Folder>,
    /// How tasks ended, if anybody is to hear of it.
    pub(super) ends: Option<Arc<Ends>>,
}

/// Collects results and the log's lines for them, and writes out both, in this order.
pub(super) struct Results {
    stdout: File,
    /// The bar, which is out of the way while stderr is written to.
    bar: ProgressBar,
    /// Whether results go to a terminal too, where the bar may be.
    beside_bar: bool,
    places: Places,
    form: Form,
    buffer: Vec<u8>,
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
    pub(super) fn new(places: Places, form: Form, bar: ProgressBar) -> std::io::Result<Results> {
        let stdout = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
        let buffer = Vec::with_capacity(BUFFER);
        let beside_bar = stdout.is_terminal();
        Ok(Results {
            stdout,
            bar,
            beside_bar,
            places,
            form,
            buffer,
            added: 0,
            waiting: false,
            broken: false,
            committed: Instant::now(),
        })
    }

    /// Takes what the task of this index came to, or what it had printed when it failed; no index for
    /// an input that never became one. Written out when it is time or there is too much.
    pub(super) fn add(
        &mut self,
        input: &Input,
        task: Option<usize>,
        bytes: Option<&[u8]>,
    ) -> anyhow::Result<Result<(), NoReader>> {
        let ends = self.places.ends.as_ref().zip(task);
        let printed = match (bytes, ends) {
            (None, Some((ends, task))) => ends.take_printed(task as u64),
            _ => Vec::new(),
        };
        let bytes = bytes.unwrap_or(&printed);
        let complained = ends.map_or(Vec::new(), |(ends, task)| ends.take_complained(task as u64));
        if self.buffer.len() + bytes.len() > BUFFER
            && let Err(gone) = self.commit()?
        {
            return Ok(Err(gone));
        }
        if self.places.ends.is_some() {
            let ends = self.places.ends.as_ref().zip(task);
            let end = ends.and_then(|(ends, task)| ends.take(task as u64));
            self.record(input, &end.unwrap_or_else(End::unread), bytes, &complained)?;
        }
        if self.form != Form::Json {
            put(self.form, input, bytes, &mut self.buffer);
        }
        self.added += 1;
        self.waiting = true;
        if !complained.is_empty() && self.form != Form::Json {
            // Behind what it printed, and before what the next did.
            let gone = self.commit()?;
            self.complain(input, &complained);
            return Ok(gone);
        }
        if self.buffer.len() >= BUFFER || self.committed.elapsed() > EVERY {
            return self.commit();
        }
        Ok(Ok(()))
    }

    /// Puts down how a task ended wherever that is wanted.
    fn record(
        &mut self,
        input: &Input,
        end: &End,
        bytes: &[u8],
        complained: &[u8],
    ) -> anyhow::Result<()> {
        if let Some(log) = &mut self.places.log {
            log.note(input, end, bytes.len());
        }
        if let Some(junit) = &mut self.places.junit {
            junit.note(input, end);
        }
        if let Some(folder) = &self.places.folder {
            folder.put(input, end, bytes, complained)?;
        }
        if self.form == Form::Json {
            self.buffer.extend_from_slice(json(input, end, bytes, complained).as_bytes());
            self.buffer.push(b'\n');
        }
        Ok(())
    }

    /// Writes what a task printed on its standard error to ours, in one piece.
    fn complain(&self, input: &Input, bytes: &[u8]) {
        let mut text = Vec::with_capacity(bytes.len());
        put(self.form, input, bytes, &mut text);
        // If stderr is gone there is nobody to tell.
        let _ = self.bar.suspend(|| std::io::stderr().write_all(&text));
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
        if self.buffer.is_empty() {
            return self.committed();
        }
        let (stdout, buffer) = (&mut self.stdout, &self.buffer);
        let written = match self.beside_bar {
            true => self.bar.suspend(|| stdout.write_all(buffer)),
            false => stdout.write_all(buffer),
        };
        if let Err(e) = written {
            self.broken = true;
            anyhow::ensure!(e.kind() == ErrorKind::BrokenPipe, "stdout: {e}");
            return Ok(Err(NoReader));
        }
        self.buffer.clear();
        self.committed()
    }

    /// What was to be printed is printed: so the log can say so.
    fn committed(&mut self) -> anyhow::Result<Result<(), NoReader>> {
        if let Some(log) = &mut self.places.log {
            log.commit().map_err(|e| anyhow::anyhow!("the joblog: {e}"))?;
        }
        (self.waiting, self.committed) = (false, Instant::now());
        Ok(Ok(()))
    }

    /// Writes what is only known in the end.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.places.junit.take().map_or(Ok(()), Junit::write)
    }
}

/// Adds what a task printed, as it is to look.
fn put(form: Form, input: &Input, bytes: &[u8], into: &mut Vec<u8>) {
    match form {
        Form::Tagged => {
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                into.extend_from_slice(input.label());
                into.push(b'\t');
                into.extend_from_slice(line);
            }
        }
        Form::Raw | Form::Lines | Form::Json => into.extend_from_slice(bytes),
    }
    if form != Form::Raw && bytes.last().is_some_and(|last| *last != b'\n') {
        into.push(b'\n');
    }
}
