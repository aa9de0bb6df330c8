//! The workers of this program, and how its file says which there are.

use linkme::distributed_slice;
use procbox_core::runner::Function;

/// Worker of this program. `#[worker]` writes these.
///
/// ```
/// use procbox_native::{WORKERS, WorkerEntry};
/// fn worker(name: &str) -> Option<&'static WorkerEntry> {
///     WORKERS.iter().find(|entry| entry.name == name)
/// }
/// assert!(worker("no_such").is_none());
/// ```
#[derive(Debug)]
pub struct WorkerEntry {
    /// Name that it is started by.
    pub name: &'static str,
    /// Line of the ELF section in which a program says what it offers: there it can be read without
    /// running the program.
    pub about: &'static [u8],
    /// Function that it is: from its encoded arguments to its outcome.
    pub function: Function,
}

/// Workers of this program, gathered by the linker.
///
/// ```
/// for entry in procbox_native::WORKERS {
///     print!("{}", String::from_utf8_lossy(entry.about));
/// }
/// ```
#[distributed_slice]
pub static WORKERS: [WorkerEntry];

/// An empty line in the section that says what the program offers: a program without workers
/// speaks procbox too.
#[used]
// SAFETY: the section is read from the file only; any bytes may stand in it.
#[unsafe(link_section = procbox_abi::section!())]
pub(crate) static SPEAKS: [u8; 1] = *b"\n";

/// The worker of this name.
pub(crate) fn find(name: &str) -> Option<&'static WorkerEntry> {
    WORKERS.iter().find(|entry| entry.name == name)
}

/// The names of all workers.
pub(crate) fn names() -> Vec<String> {
    WORKERS.iter().map(|entry| entry.name.to_string()).collect()
}
