//! The trace of a simulation: what was chosen, and when.

use std::time::Duration;

/// All choices so far, as one number: FNV-1a.
pub(super) struct Trace(u64);

impl Trace {
    pub(super) fn new(seed: u64) -> Trace {
        let mut trace = Trace(0xcbf2_9ce4_8422_2325);
        trace.add(seed);
        trace
    }

    /// Notes that the process went on after so much time.
    pub(super) fn note(&mut self, pid: u32, elapsed: Duration) {
        self.add(u64::from(pid));
        self.add(elapsed.as_secs());
        self.add(u64::from(elapsed.subsec_nanos()));
    }

    pub(super) fn hash(&self) -> u64 {
        self.0
    }

    fn add(&mut self, word: u64) {
        for byte in word.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
