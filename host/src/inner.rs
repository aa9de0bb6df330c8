//! What is inside a sandbox: its runtime, its pools, and its processes.

use crate::compile::Compiler;
use crate::connection::Names;
use crate::cycles::OTHERS;
use crate::deadlock::Detector;
use crate::limits::Limits;
use crate::pools::Pools;
use crate::registry::Registry;
use crate::runtime::Runtime;
use std::sync::Arc;

/// The inside of a sandbox. Its contexts and processes hold it.
pub(crate) struct Inner {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) parallelism: usize,
    pub(crate) limits: Limits,
    pub(crate) compiler: Compiler,
    /// Where its processes have their places.
    pub(crate) pools: Arc<Pools>,
    pub(crate) registry: Arc<Registry>,
    /// Who looks for deadlocks.
    pub(crate) detector: Arc<Detector>,
    /// Listeners of the contexts that share theirs.
    pub(crate) names: Arc<Names>,
}

impl Drop for Inner {
    /// No process and no context is left: what is held by nobody but itself goes too.
    fn drop(&mut self) {
        OTHERS.collect();
    }
}

/// The sandbox as the embedding program holds it. Processes hold the inside, so that this is dropped
/// when only they are left.
pub(crate) struct Owner(pub(crate) Arc<Inner>);

impl Drop for Owner {
    /// A process that is blocked for ever would keep the inside alive; nobody could end it any more.
    fn drop(&mut self) {
        self.0.detector.stop();
        self.0.registry.end();
        self.0.runtime.settle();
    }
}
