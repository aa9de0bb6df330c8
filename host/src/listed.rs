//! The workers of a program, as they are listed.

use procbox_core::raw::WorkerInfo;
use std::sync::{Arc, OnceLock};

/// The workers of a program: made once, for a program may have tens of thousands, and its processes
/// may ask for them all the time.
pub(crate) struct Listed {
    pub(crate) workers: Vec<WorkerInfo>,
    /// The same as a guest reads it, once one has asked.
    pub(crate) text: OnceLock<Arc<[u8]>>,
}

impl Listed {
    pub(crate) fn new(workers: Vec<WorkerInfo>) -> Listed {
        Listed { workers, text: OnceLock::new() }
    }
}
