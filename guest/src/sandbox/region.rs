//! The raw trait of regions: bytes are copied in and out by the host.

use super::primitives::Own;
use super::sys;
use procbox_abi::atomic;
use procbox_core::raw::{AtomicOp, RawRegion};
use procbox_core::{Error, Result, Wait};

pub(super) struct GuestRegion(pub(super) Own);

/// What a caller knows of a refusal: the host says no more than that the numbers are wrong.
fn said(e: Error, at: usize, of: &GuestRegion) -> Error {
    match e {
        Error::Invalid(_) => {
            Error::Invalid(format!("{at} is no place for that in a region of {}", of.len()))
        }
        e => e,
    }
}

impl RawRegion for GuestRegion {
    fn len(&self) -> usize {
        usize::try_from(sys::region_len(self.0.0)).unwrap_or(0)
    }

    fn read(&self, at: usize, into: &mut [u8]) -> Result<()> {
        sys::region_read(self.0.0, at, into).map_err(|e| said(e, at, self))
    }

    fn write(&self, at: usize, bytes: &[u8]) -> Result<()> {
        sys::region_write(self.0.0, at, bytes).map_err(|e| said(e, at, self))
    }

    fn atomic(&self, at: usize, what: AtomicOp) -> Result<u64> {
        let (what, operand, expected) = match what {
            AtomicOp::Load => (atomic::LOAD, 0, 0),
            AtomicOp::Store(new) => (atomic::STORE, new, 0),
            AtomicOp::Add(more) => (atomic::ADD, more, 0),
            AtomicOp::CompareExchange { current, new } => (atomic::COMPARE_EXCHANGE, new, current),
            _ => return Err(Error::Unsupported("such a step on a word of shared bytes")),
        };
        sys::region_atomic(self.0.0, at, what, operand, expected).map_err(|e| said(e, at, self))
    }

    fn wait(&self, at: usize, is: u64, wait: Wait) -> Result<()> {
        if self.atomic(at, AtomicOp::Load)? != is {
            return Ok(());
        }
        if wait.is_never() {
            return Err(Error::TimedOut);
        }
        let code = sys::region_wait(self.0.0, at, is as i64, wait.to_nanos());
        sys::check(code).map(|_| ()).map_err(|e| said(e, at, self))
    }

    fn notify(&self) {
        sys::region_notify(self.0.0);
    }
}
