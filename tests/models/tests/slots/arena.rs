//! The arena over the model's memory: the production files, and as much of their neighbours as they
//! need.

pub(crate) mod memory;
pub(crate) mod world;

#[path = "../../../../native/src/arena/alloc.rs"]
pub(crate) mod alloc;
#[path = "../../../../native/src/arena/layout.rs"]
#[allow(unused_imports, reason = "the kinds use its macro")]
pub(crate) mod layout;
#[path = "../../../../native/src/arena/record.rs"]
pub(crate) mod record;
#[path = "../../../../native/src/arena/slots.rs"]
pub(crate) mod slots;

use held::Registry;
use kind::{Kind, Thing};
use map::Map;
use std::mem::offset_of;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) const ARENA_LOCK: u64 = offset_of!(layout::Header, lock) as u64;

/// The arena as one process knows it.
pub(crate) struct Arena {
    map: Map,
    me: AtomicU32,
    parent: AtomicU32,
    registry: Registry,
}

impl Deref for Arena {
    type Target = Map;

    fn deref(&self) -> &Map {
        &self.map
    }
}

impl Arena {
    pub(crate) fn of_slot(slot: u32, parent: u32) -> Arc<Arena> {
        Arc::new(Arena {
            map: Map,
            me: AtomicU32::new(slot),
            parent: AtomicU32::new(parent),
            registry: Registry::default(),
        })
    }

    pub(crate) fn me(&self) -> u32 {
        self.me.load(Ordering::Relaxed)
    }

    pub(crate) fn parent(&self) -> Option<u32> {
        Some(self.parent.load(Ordering::Relaxed)).filter(|parent| *parent != 0)
    }

    pub(crate) fn kind(&self, object: u64) -> Option<&'static dyn Kind> {
        (object != 0).then_some(&Thing)
    }

    pub(crate) fn forget_waits(&self, _: u32) {}

    /// The thing is the embedding program's until the end.
    pub(crate) fn reclaim(&self) {}

    pub(crate) fn put_off(&self, _: Option<put_off::Left>) {
        unreachable!("nobody is stopped");
    }
}

/// No message is written or read in place, and no block is so large that its memory is kept.
mod loan {
    use super::Arena;
    use super::slots::Claim;
    use crate::sync::patience::Patience;
    use procbox_core::Result;

    impl Arena {
        pub(crate) fn free_loaned(&self, _: u64, _: &Patience) -> Result<()> {
            unreachable!("all that is on a record is an object");
        }

        pub(crate) fn keep_for_the_dead(&self, _: Claim, _: &Patience) -> Result<()> {
            Ok(())
        }
    }
}

pub(crate) mod put_off {
    use super::slots::Claim;

    #[allow(dead_code, reason = "nothing is put off")]
    pub(crate) enum Left {
        Dead(Claim),
    }
}

/// Descent has nothing to do with who recovers whom, and its looks at all slots would make the model
/// too large.
mod family {
    use super::Arena;
    use super::slots::Claim;
    use crate::sync::patience::Patience;
    use procbox_core::Result;

    impl Claim {
        pub(super) fn word(self) -> u64 {
            self.generation
        }
    }

    impl Arena {
        pub(crate) fn hand_over_children(&self, _: Claim, _: &Patience) -> Result<()> {
            Ok(())
        }
    }
}

pub(crate) mod kind {
    use super::Arena;
    use super::layout::Hold;
    use crate::sync::patience::Patience;
    use procbox_core::Result;

    pub(crate) trait Kind: Sync {
        fn is_handle(&self) -> bool;
        fn carries(&self, arena: &Arena, object: u64) -> bool;
        fn recover(
            &self,
            arena: &Arena,
            object: u64,
            hold: &Hold,
            patience: &Patience,
        ) -> Result<()>;
    }

    /// An object with nothing in it.
    pub(crate) struct Thing;

    impl Kind for Thing {
        fn is_handle(&self) -> bool {
            true
        }

        fn carries(&self, _: &Arena, _: u64) -> bool {
            false
        }

        fn recover(&self, _: &Arena, _: u64, _: &Hold, _: &Patience) -> Result<()> {
            Ok(())
        }
    }
}

pub(crate) mod held {
    use super::Arena;
    use crate::sync::patience::Patience;
    use procbox_core::Result;
    use std::sync::Arc;

    pub(crate) struct Held;

    #[derive(Default)]
    pub(crate) struct Registry {
        pub(super) free: Vec<u64>,
    }

    impl Registry {
        pub(super) fn with<R>(
            &self,
            _: &Patience,
            work: impl FnOnce(&mut Registry) -> Result<R>,
        ) -> Result<R> {
            work(&mut Registry { free: self.free.clone() })
        }

        pub(super) fn adopt(&mut self, _: &Arc<Arena>, _: u64, _: u64) -> Arc<Held> {
            Arc::new(Held)
        }
    }
}

pub(crate) mod map {
    use super::layout::{HEAP, Header, Object, SLOTS, Shared, Slot, TABLE, Tag};
    use crate::memory::{self, AtomicU64, Ordering, base, peek, poke};
    use crate::sync::atomic::AtomicU32;
    use procbox_core::Result;

    pub(crate) const PAGE: u64 = 4096;

    pub(crate) struct Map;

    impl Map {
        pub(crate) fn size(&self) -> u64 {
            memory::SIZE
        }

        pub(crate) fn punch(&self, _: u64, _: u64) {}

        pub(crate) fn at<T: Shared>(&self, offset: u64) -> &T {
            assert!(offset <= memory::SIZE - size_of::<T>() as u64);
            assert!(offset.is_multiple_of(align_of::<T>() as u64).then_some(offset).is_some());
            // SAFETY: inside of the memory, which is never freed, and aligned; made of atomics.
            unsafe { &*base().add(offset as usize).cast::<T>() }
        }

        pub(crate) fn header(&self) -> &Header {
            self.at(0)
        }

        pub(crate) fn shared(&self) -> &AtomicU32 {
            &self.header().shared.0
        }

        pub(crate) fn word(&self, offset: u64) -> &AtomicU64 {
            self.at(offset)
        }

        pub(crate) fn slot(&self, index: u32) -> &Slot {
            self.at(slot_offset(index))
        }

        pub(crate) fn object(&self, offset: u64) -> &Object {
            self.at(offset)
        }

        pub(crate) fn tag(&self, offset: u64) -> Option<Tag> {
            let inside = offset >= HEAP && offset <= self.size() - 512;
            inside.then(|| Tag::of_word(self.word(offset).load(Ordering::Acquire)))
        }

        /// # Safety
        /// As in production.
        pub(crate) unsafe fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
            let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word));
            (offset..).step_by(8).zip(words).for_each(|(at, word)| poke(at, word));
            Ok(())
        }

        /// # Safety
        /// As in production.
        pub(crate) unsafe fn read(
            &self,
            offset: u64,
            length: usize,
            into: &mut Vec<u8>,
        ) -> Result<()> {
            let words = (offset..offset + length as u64).step_by(8).map(peek);
            words.for_each(|word| into.extend(word.to_ne_bytes()));
            Ok(())
        }
    }

    pub(crate) fn slot_offset(index: u32) -> u64 {
        TABLE + u64::from(index).min(SLOTS - 1) * size_of::<Slot>() as u64
    }
}
