//! Faults: processes that end at a known place, as if somebody had killed them there.

use crate::sync::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Who is to end, and when.
pub(super) struct Faults {
    /// By pid: how often the process still goes on.
    left: Mutex<BTreeMap<u32, u64>>,
    kill: Box<dyn Fn(u32) + Send + Sync>,
}

impl Faults {
    pub(super) fn new(kill: impl Fn(u32) + Send + Sync + 'static) -> Faults {
        Faults { left: Mutex::default(), kill: Box::new(kill) }
    }

    /// Has a process end when it has gone on so many times from now.
    pub(super) fn add(&self, pid: u32, times: u64) {
        lock(&self.left).insert(pid, times);
    }

    /// A process is about to go on: it is told to end, if it has gone on often enough.
    pub(super) fn pass(&self, pid: u32) {
        let mut left = lock(&self.left);
        let Some(times) = left.get_mut(&pid) else { return };
        if *times > 0 {
            *times -= 1;
            return;
        }
        left.remove(&pid);
        drop(left);
        (self.kill)(pid);
    }
}
