//! The arena: sparse shared memory in which all primitives of a context live.
//!
//! One `memfd`, mapped by every process of the context. An address in it is an offset, and a handle
//! is the offset of an object. All that has structure (free lists, reference counts, the process
//! table) changes by transactions, so a process that is killed at any moment leaves nothing half
//! done: see [`alloc`]. docs/native.md has the whole story.
//!
//! The arena knows of its objects what their [`Kind`] tells it, and of recovery that it is to be done:
//! both stand above it, and are told to it when it is made.

pub(crate) mod alloc;
mod cycles;
mod family;
pub(crate) mod filled;
pub(crate) mod held;
mod kept;
pub(crate) mod kind;
pub(crate) mod layout;
pub(crate) mod loan;
pub(crate) mod map;
pub(crate) mod put_off;
pub(crate) mod record;
pub(crate) mod slots;
pub(crate) mod trace;
pub(crate) mod waits;
pub(crate) mod watches;

use crate::signals;
use crate::sync::futex::{Woke, wait, wait_many};
use crate::sync::guarded::Guarded;
use crate::sync::patience::Patience;
use crate::sync::thread;
use held::Registry;
use kind::Kind;
use map::Map;
use procbox_core::time::{Deadline, SystemClock};
use procbox_core::{Error, Result, Wait};
use put_off::Left;
use slots::Claim;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use watches::Watches;

/// Pause after which a blocked process whose parent is dead looks whether others in that position have died:
/// nobody reaps them who would do their recovery.
const ORPHAN_CHECK: Duration = Duration::from_secs(1);
/// The first of these pauses; each is twice as long as the one before. At the moment when a process is
/// told of its parent's death that may still have threads, and its other children may be dying.
const FIRST_ORPHAN_CHECK: Duration = Duration::from_millis(10);
/// Pause after which one whose parent lives looks at that. It is told of the death by a signal, so this
/// is for one that comes to the main thread in the moment between its last look and going to sleep. It
/// is longer than any test waits, so that it makes up for no wake that was lost.
const PARENT_CHECK: Duration = Duration::from_secs(300);

/// Rows above the arena, as far as it has to know of them.
pub(crate) struct Above {
    /// The kinds of objects, in the order of their tags' numbers, from 1.
    pub(crate) kinds: &'static [&'static dyn Kind],
    /// In a blocked process that nobody watches, because its parent is dead: does the recovery of
    /// those in the same position that have died.
    pub(crate) recover_orphaned: fn(&Arena),
    /// Gives back what a dead process held.
    pub(crate) recover: fn(&Arena, Claim, &Patience) -> Result<()>,
    /// Looks whether the wait of this entry is one of a circle.
    pub(crate) look_for_deadlock: fn(&Arena, u32),
}

/// The mapped arena, and what this process knows about itself in it.
pub(crate) struct Arena {
    map: Map,
    /// This process's slot.
    me: AtomicU32,
    /// The parent's pid if the parent is in this arena, else 0.
    parent: AtomicU32,
    registry: Guarded<Registry>,
    /// Work that is put off, and true if a thread is at it.
    left: Mutex<Vec<Left>>,
    has_background: AtomicBool,
    /// How often it was looked after those who have nobody else.
    orphan_looks: AtomicU32,
    /// Wakers of this process, and the thread that sleeps for them.
    watches: Watches,
    this: Weak<Arena>,
    above: &'static Above,
}

impl Deref for Arena {
    type Target = Map;

    #[inline]
    fn deref(&self) -> &Map {
        &self.map
    }
}

impl Arena {
    /// A new arena, of so many bytes if that is said; the calling process is its slot 0.
    pub(crate) fn create(above: &'static Above, size: Option<u64>) -> Result<Arc<Arena>> {
        held::let_go();
        Ok(Arena::new(Map::create(size)?, above))
    }

    /// The arena that another process made.
    pub(crate) fn attach(fd: OwnedFd, above: &'static Above) -> Result<Arc<Arena>> {
        Ok(Arena::new(Map::attach(fd)?, above))
    }

    fn new(map: Map, above: &'static Above) -> Arc<Arena> {
        Arc::new_cyclic(|this| Arena {
            map,
            me: AtomicU32::new(0),
            parent: AtomicU32::new(0),
            registry: Guarded::default(),
            left: Mutex::default(),
            has_background: AtomicBool::new(false),
            orphan_looks: AtomicU32::new(0),
            watches: Watches::new(this.clone()),
            this: this.clone(),
            above,
        })
    }

    /// This process's slot.
    pub(crate) fn me(&self) -> u32 {
        self.me.load(Ordering::Relaxed)
    }

    /// The pid that this process's parent has or had, if the parent is in this arena.
    pub(crate) fn parent(&self) -> Option<u32> {
        Some(self.parent.load(Ordering::Relaxed)).filter(|parent| *parent != 0)
    }

    /// The kind of the object at an offset that came from another process.
    pub(crate) fn kind(&self, object: u64) -> Option<&'static dyn Kind> {
        let tag = self.tag(object)?;
        self.above.kinds.get(tag.index()).copied().filter(|kind| kind.tag() == tag)
    }

    /// Waits like [`wait`] on several words, and looks after those that have nobody else once the
    /// parent is dead, so that a process whose ancestors were killed is not blocked for ever.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Interrupted`].
    pub(crate) fn block(&self, words: &[(&AtomicU32, u32)], until: Deadline) -> Result<()> {
        let has_parent = self.parent().is_some();
        let slice = match (has_parent, signals::parent_died()) {
            (false, _) => Wait::Forever,
            (true, false) => Wait::AtMost(PARENT_CHECK),
            (true, true) => Wait::AtMost(self.orphan_check()),
        };
        let limit = until.min(slice.deadline(&SystemClock));
        // The kernel tells one thread of the death, as a rule the main one.
        let is_told = !has_parent || signals::parent_died() || thread::is_main_thread();
        let woke = match words {
            [(word, expected)] if is_told => wait(word, *expected, limit),
            _ if is_told => wait_many(words, limit),
            _ => wait_many(&[words, &[(signals::parent_word(), 0)]].concat(), limit),
        };
        match woke {
            Woke::Look if has_parent && signals::parent_died() => {
                self.look_after_orphans();
                Ok(())
            }
            Woke::Look => Ok(()),
            Woke::Interrupted => Err(Error::Interrupted),
            Woke::TimedOut if until.is_past(&SystemClock) => Err(Error::TimedOut),
            Woke::TimedOut => {
                self.look_after_orphans();
                Ok(())
            }
        }
    }

    /// The pause before the next look after orphans.
    fn orphan_check(&self) -> Duration {
        let looks = self.orphan_looks.load(Ordering::Relaxed).min(10);
        (FIRST_ORPHAN_CHECK * (1 << looks)).min(ORPHAN_CHECK)
    }

    /// The end of a wait after which it is looked after orphans; never, if there is no parent that may have
    /// left some.
    pub(crate) fn orphan_look_due(&self) -> Deadline {
        let slice = match (self.parent().is_some(), signals::parent_died()) {
            (false, _) => Wait::Forever,
            (true, false) => Wait::AtMost(PARENT_CHECK),
            (true, true) => Wait::AtMost(self.orphan_check()),
        };
        slice.deadline(&SystemClock)
    }

    /// The word that changes when this process's parent dies, if it has one that lives.
    pub(crate) fn living_parent(&self) -> Option<(&'static AtomicU32, u32)> {
        let lives = self.parent().is_some() && !signals::parent_died();
        lives.then(|| (signals::parent_word(), 0))
    }

    /// Does for those who died and have nobody else what their parents would have done.
    pub(crate) fn look_after_orphans(&self) {
        self.orphan_looks.fetch_add(1, Ordering::Relaxed);
        (self.above.recover_orphaned)(self);
    }
}
