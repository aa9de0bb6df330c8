//! The lock: a robust futex in the arena, which the kernel releases when its holder dies.

use crate::arena::Arena;
use crate::arena::layout::{BODY, Tag};
use crate::arena::table::Held;
use crate::sync::robust::RobustLock;
use procbox_core::{Acquired, RawLock, Result, Wait};
use std::sync::Arc;

/// A lock, by handle.
pub(crate) struct NativeLock(pub(crate) Arc<Held>);

impl NativeLock {
    pub(crate) fn create(arena: &Arc<Arena>) -> Result<NativeLock> {
        let size = BODY + size_of::<RobustLock>() as u64;
        let held = arena.create_object(size, Tag::LOCK, |_, object| {
            // The word and the links; the rest is never looked at.
            for word in 0..5 {
                arena.word(object + BODY + 8 * word).store(0, std::sync::atomic::Ordering::Relaxed);
            }
            Ok(())
        });
        held.map(NativeLock)
    }

    #[inline]
    fn lock(&self) -> &RobustLock {
        self.0.arena.body(self.0.offset)
    }
}

impl RawLock for NativeLock {
    fn acquire(&self, wait: Wait) -> Result<Acquired> {
        self.lock().acquire(wait).map(|owner_died| Acquired { owner_died })
    }

    fn release(&self) -> Result<()> {
        self.lock().release()
    }
}
