//! The memory that queues are in, as far as rings need it: words that are made when they are first
//! touched, a core, and transactions that a dead process's successor finishes.

#[path = "../../../../native/src/arena/layout.rs"]
pub(crate) mod layout;
pub(crate) mod loan;

use alloc::Txn;
use kind::Kind;
use layout::WAKE;
use loom::cell::UnsafeCell;
use loom::thread::{ThreadId, current};
use procbox_core::Result;
use procbox_core::raw::Handle;
use procbox_models::victim::point;
use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::ring::{Core, SIZE};
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::futex;
use crate::sync::patience::Patience;
use crate::sync::robust::RobustLock;

/// Where the core is.
pub(crate) const CORE: u64 = 64;

/// Where blocks are, each with this much room.
const HEAP: u64 = 1 << 20;
const LARGEST: u64 = 1 << 18;

/// Where the entries of the records are.
const ENTRIES: u64 = 1 << 16;

/// In the place of an offset, in the log: the block of the value becomes free.
const FREES: u64 = 1 << 62;

pub(crate) struct Arena {
    core: Box<Core>,
    shared: AtomicU32,
    lock: RobustLock,
    /// Committed writes that are not all made.
    log: Mutex<Vec<(u64, u64)>>,
    /// Blocks that are free, and how many there ever were.
    free: Mutex<(Vec<u64>, u64)>,
    /// Which entries of the records are whose.
    entries: Mutex<Vec<ThreadId>>,
    words: Mutex<HashMap<u64, Box<AtomicU64>>>,
    /// Contents of messages: the first eight bytes of each.
    bytes: Mutex<HashMap<u64, Box<UnsafeCell<u64>>>>,
}

// SAFETY: the cells are loom's, which checks how they are used.
unsafe impl Sync for Arena {}
// SAFETY: as above.
unsafe impl Send for Arena {}

impl Arena {
    pub(crate) fn new() -> Arc<Arena> {
        Arc::new(Arena {
            core: Box::default(),
            shared: AtomicU32::default(),
            lock: RobustLock::default(),
            log: Mutex::default(),
            free: Mutex::default(),
            entries: Mutex::default(),
            words: Mutex::default(),
            bytes: Mutex::default(),
        })
    }

    /// The core.
    pub(crate) fn at<T: Any>(&self, offset: u64) -> &T {
        assert_eq!(offset, CORE);
        (&*self.core as &dyn Any).downcast_ref().expect("it is the core that is there")
    }

    fn in_core<T>(&self, offset: u64) -> Option<&T> {
        let within = offset.checked_sub(CORE).filter(|within| *within < SIZE)?;
        let base = std::ptr::from_ref(&*self.core).cast::<u8>();
        // SAFETY: the offset is that of a field of this type, as production computes it.
        Some(unsafe { &*base.add(within as usize).cast() })
    }

    pub(crate) fn word(&self, offset: u64) -> &AtomicU64 {
        if let Some(word) = self.in_core(offset) {
            return word;
        }
        let mut words = self.words.lock().expect("nobody panics with it");
        let word: *const AtomicU64 = &**words.entry(offset).or_default();
        // SAFETY: a word is boxed, and goes with the arena.
        unsafe { &*word }
    }

    pub(crate) fn shared(&self) -> &AtomicU32 {
        &self.shared
    }

    pub(crate) fn zero(&self, _: u64, _: u64) {}

    fn cell(&self, offset: u64) -> &UnsafeCell<u64> {
        let mut bytes = self.bytes.lock().expect("nobody panics with it");
        let cell: *const UnsafeCell<u64> =
            &**bytes.entry(offset).or_insert_with(|| Box::new(UnsafeCell::new(0)));
        // SAFETY: a cell is boxed, and goes with the arena.
        unsafe { &*cell }
    }

    /// # Safety
    /// As in production.
    pub(crate) unsafe fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        point();
        let first = u64::from_ne_bytes(bytes[..8].try_into().expect("eight bytes"));
        // SAFETY: the caller promises it, and loom sees whether it is true.
        self.cell(offset).with_mut(|it| unsafe { *it = first });
        Ok(())
    }

    /// # Safety
    /// As in production.
    pub(crate) unsafe fn read(&self, offset: u64, length: usize, into: &mut Vec<u8>) -> Result<()> {
        point();
        // SAFETY: the caller promises it, and loom sees whether it is true.
        let first = self.cell(offset).with(|it| unsafe { *it });
        into.extend(first.to_ne_bytes());
        into.resize(length, 0);
        Ok(())
    }

    pub(crate) fn transaction<R>(
        &self,
        patience: &Patience,
        make: impl FnOnce(&mut Txn<'_>) -> Result<R>,
    ) -> Result<R> {
        self.lock.hold(patience, |owner_died| {
            if owner_died {
                self.apply(true);
            }
            let mut txn = Txn { arena: self, staged: Vec::new(), taken: 0 };
            let made = make(&mut txn)?;
            let staged = std::mem::take(&mut txn.staged);
            point();
            *self.log.lock().expect("nobody panics with it") = staged;
            txn.taken = 0;
            self.apply(false);
            Ok(made)
        })
    }

    pub(crate) fn sync(&self, patience: &Patience) -> Result<()> {
        self.transaction(patience, |_| Ok(()))
    }

    fn apply(&self, of_the_dead: bool) {
        let log = self.log.lock().expect("nobody panics with it").clone();
        for (offset, value) in log {
            if offset == FREES {
                let mut free = self.free.lock().expect("nobody panics with it");
                if !free.0.contains(&value) {
                    free.0.insert(0, value);
                }
            } else if offset & WAKE == 0 {
                self.word(offset).store(value, Ordering::Release);
            } else if of_the_dead {
                let counter: &AtomicU32 = self.in_core(offset & !WAKE).expect("a counter");
                for counter in [counter, self.shared()] {
                    counter.fetch_add(1, Ordering::SeqCst);
                    futex::wake_all(counter);
                }
            }
        }
        point();
        self.log.lock().expect("nobody panics with it").clear();
    }

    /// An entry for a block, on the record of the calling thread.
    fn free_entry(&self) -> u64 {
        let mut entries = self.entries.lock().expect("nobody panics with it");
        entries.push(current().id());
        ENTRIES + 8 * entries.len() as u64
    }

    /// Frees the blocks on the record of the calling thread, as the recovery of a process does.
    pub(crate) fn free_record(&self) {
        let entries = self.entries.lock().expect("nobody panics with it").clone();
        for (at, owner) in entries.into_iter().enumerate() {
            if owner == current().id() {
                let entry = ENTRIES + 8 * (at as u64 + 1);
                self.free_loaned(entry, &Patience::deaf()).expect("nobody is stopped");
            }
        }
    }

    /// The blocks that are not free.
    pub(crate) fn blocks(&self) -> u64 {
        let free = self.free.lock().expect("nobody panics with it");
        free.1 - free.0.len() as u64
    }

    /// No message of the models has handles.
    pub(crate) fn offsets(&self, handles: &[Handle]) -> Result<Vec<u64>> {
        assert!(handles.is_empty());
        Ok(Vec::new())
    }

    /// A message that is apart is taken; its block is on the record then.
    pub(crate) fn take_over(
        &self,
        handles: &[u64],
        block: Option<u64>,
        patience: &Patience,
        then: impl FnOnce(&mut Txn<'_>) -> Result<()>,
    ) -> Result<(Vec<Arc<held::Held>>, u64)> {
        assert!(handles.is_empty());
        let entry = self.free_entry();
        self.transaction(patience, |txn| {
            block.into_iter().try_for_each(|block| txn.set(entry, block))?;
            then(txn)
        })?;
        Ok((Vec::new(), entry))
    }

    pub(crate) fn kind(&self, _: u64) -> Option<&'static dyn Kind> {
        None
    }
}

pub(crate) mod alloc {
    use super::layout::{Tag, WAKE};
    use super::{Arena, FREES, HEAP, LARGEST};
    use procbox_core::Result;

    pub(crate) struct Txn<'a> {
        pub(super) arena: &'a Arena,
        pub(super) staged: Vec<(u64, u64)>,
        /// A segment that goes back if this is not committed; 0 if there is none.
        pub(super) taken: u64,
    }

    impl Drop for Txn<'_> {
        fn drop(&mut self) {
            if self.taken != 0 {
                self.arena.free.lock().expect("nobody panics with it").0.push(self.taken);
            }
        }
    }

    impl Txn<'_> {
        pub(crate) fn get(&self, _: u64) -> u64 {
            unreachable!("no message has handles");
        }

        pub(crate) fn set(&mut self, offset: u64, value: u64) -> Result<()> {
            self.staged.push((offset, value));
            Ok(())
        }

        pub(crate) fn wake(&mut self, counter: u64) -> Result<()> {
            self.set(counter | WAKE, 0)
        }

        pub(crate) fn alloc(&mut self, size: u64, _: Tag) -> Result<u64> {
            assert!(size <= LARGEST);
            let mut free = self.arena.free.lock().expect("nobody panics with it");
            self.taken = free.0.pop().unwrap_or_else(|| {
                free.1 += 1;
                HEAP + free.1 * LARGEST
            });
            Ok(self.taken)
        }

        pub(crate) fn free(&mut self, block: u64, _: u64) -> Result<()> {
            self.set(FREES, block)
        }
    }
}

pub(crate) mod held {
    use procbox_core::raw::Handle;
    use std::sync::Arc;

    pub(crate) struct Held;

    impl Held {
        pub(crate) fn handle(self: Arc<Held>) -> Option<Handle> {
            None
        }
    }
}

pub(crate) mod kind {
    pub(crate) const MOST_HANDLES: usize = 256;

    pub(crate) trait Kind {
        fn is_handle(&self) -> bool;
    }

    pub(crate) enum Needs {
        Nothing,
        Referrers,
    }
}

pub(crate) mod record {
    use super::alloc::Txn;
    use procbox_core::Result;

    #[derive(Clone, Copy)]
    pub(crate) enum By {
        Message,
    }

    pub(crate) fn retain(_: &mut Txn<'_>, _: u64, _: By) -> Result<()> {
        unreachable!("no message has handles");
    }

    impl super::Arena {
        pub(crate) fn release(&self, _: &mut Txn<'_>, _: u64, _: By) -> Result<()> {
            unreachable!("no message has handles");
        }
    }
}

pub(crate) mod waits {
    use super::Arena;
    use crate::sync::atomic::AtomicU32;
    use crate::sync::futex;
    use procbox_core::observe::Operation;
    use procbox_core::time::Deadline;
    use procbox_core::{Result, Wait};
    use std::marker::PhantomData;

    pub(crate) struct Awaits {
        pub(crate) operation: Operation,
        pub(crate) object: u64,
        pub(crate) detail: u64,
    }

    pub(crate) struct Patient<'a>(PhantomData<&'a Arena>);

    impl<'a> Patient<'a> {
        pub(crate) fn new(_: &'a Arena, _: Wait, _: Awaits) -> Patient<'a> {
            Patient(PhantomData)
        }

        pub(crate) fn block(&mut self, word: (&AtomicU32, u32), _: Deadline) -> Result<()> {
            futex::wait(word.0, word.1);
            Ok(())
        }
    }
}
