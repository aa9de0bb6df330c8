//! The signals that end the command: Ctrl-C, SIGTERM and SIGHUP, all answered the same way.
//!
//! What the main thread is blocked in returns `Interrupted`, and the command ends by itself, having
//! printed and logged what was done. It may be in something that no signal interrupts: a result for
//! a pipe that nobody reads, a file that never ends. So it has [`PATIENCE`], and is ended after that.

use procbox::{Result, native};
use std::sync::Once;
use std::time::Duration;

/// How long the command may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(3);

/// Answers them from now on. To be called on the main thread.
///
/// # Errors
/// Those of installing a handler.
pub(crate) fn answer() -> Result<()> {
    procbox::answer_ctrl_c()?;
    native::on_interrupt(|came| {
        static ONCE: Once = Once::new();
        if came {
            ONCE.call_once(be_patient);
        }
    });
    native::answer_termination()
}

/// The status of a command that one of them has ended.
pub(crate) fn status() -> Option<u8> {
    native::answered_signal().and_then(|signal| u8::try_from(128 + signal).ok())
}

/// Ends the command later, if it has not ended then.
fn be_patient() {
    // If there can be no thread for it, a second Ctrl-C still ends the command.
    let _ = std::thread::Builder::new().name("procbox-patience".into()).spawn(|| {
        std::thread::sleep(PATIENCE);
        native::kill_descendants();
        std::process::exit(status().unwrap_or(crate::status::INTERRUPTED).into());
    });
}
