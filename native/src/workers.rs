//! The workers of this program, and how its file says which there are.

use crate::program::lines;
use linkme::distributed_slice;
use procbox_core::local::LocalWorker;
use procbox_core::runner::{Function, find_worker};
use procbox_core::{Context, Result};

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
    /// Identity that it is started by, or a name that it has alone.
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

/// The worker that a name asks for.
///
/// # Errors
/// Those of [`find_worker`].
pub(crate) fn find(name: &str) -> Result<&'static WorkerEntry> {
    find_worker(name, WORKERS.iter().map(|entry| entry.name)).map(|index| &WORKERS[index])
}

/// A context of this program's workers whose processes are threads of this process: see
/// [`procbox_core::local`].
///
/// ```
/// use procbox_core::Backend;
/// let ctx = procbox_native::local()?;
/// assert_eq!(ctx.backend(), Backend::Local);
/// assert!(ctx.workers()?.is_empty()); // none is linked into this example
/// # Ok::<(), procbox_core::Error>(())
/// ```
///
/// # Errors
/// Those of [`Context::local`].
pub fn local() -> Result<Context> {
    Context::local(WORKERS.iter().map(|entry| {
        let worker = LocalWorker::new(entry.name, entry.function);
        match lines(entry.about).next().and_then(|info| info.signature) {
            Some(signature) => worker.signature(signature),
            None => worker,
        }
    }))
}
