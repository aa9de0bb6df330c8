//! The command's own exit statuses, and its own lines on stderr.

use crate::color::alarming;
use procbox::Error;
use procbox::backend::printable;
use std::io::Write;

/// Status when something failed that is not the program's own doing.
pub(crate) const FAILURE: u8 = 1;
/// Status of a command line that makes no sense.
pub(crate) const USAGE: u8 = 2;
/// Status when the program cannot be run.
pub(crate) const NOT_RUNNABLE: u8 = 126;
/// Status when there is no such program.
pub(crate) const NOT_FOUND: u8 = 127;
/// Status after Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;
/// Status when time ran out.
pub(crate) const TIMED_OUT: u8 = 124;

/// The most lines of one saying.
const LINES: usize = 64;

/// Says a line on stderr, in one write: workers print there too.
///
/// What is in it may be of a program's making: it is escaped, and what is long is cut; further lines
/// are indented, so that none looks like the command's.
pub(crate) fn say(text: &str) {
    let mut lines: Vec<_> = text.lines().take(LINES).map(printable).collect();
    if text.lines().nth(LINES).is_some() {
        lines.push("...".into());
    }
    // If stderr is gone there is nobody to tell.
    let said = format!("{} {}\n", alarming("procbox:"), lines.join("\n  "));
    let _ = std::io::stderr().write_all(said.as_bytes());
}

/// Whether it is that nobody reads stdout any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The status that tells a script what went wrong.
pub(crate) fn of(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Error>() {
        Some(Error::NotFound(_)) => NOT_FOUND,
        Some(Error::NotRunnable { .. }) => NOT_RUNNABLE,
        Some(Error::NoSuchWorker { .. } | Error::AmbiguousWorker { .. } | Error::Invalid(_)) => {
            USAGE
        }
        Some(Error::Interrupted) => INTERRUPTED,
        Some(Error::TimedOut) => TIMED_OUT,
        _ => FAILURE,
    }
}
