//! Looking at things: how primitives and processes are at this moment, for those who ask.
//!
//! Events say what changed; depths and holders change too often for that. A thing that is shown while
//! somebody looks can be asked as long as it lives. Without anybody who looks that costs a relaxed
//! load when the thing is made, and nothing after.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// How a thing is at this moment.
///
/// ```
/// use procbox_core::observe::Sight;
/// fn is_full(sight: &Sight) -> bool {
///     matches!(sight, Sight::Queue { messages, most: Some(most), .. } if messages >= most)
/// }
/// assert!(is_full(&Sight::Queue { object: 1, messages: 16, most: Some(16) }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sight {
    /// A lock.
    Lock {
        /// The number that [`Awaited`](super::Awaited) has for it.
        object: u64,
        /// Who has it: the pid of a sandboxed process, the thread's id natively; `None` if it is free
        /// or held by a thread of a program that embeds the sandbox.
        holder: Option<u32>,
    },
    /// A queue.
    Queue {
        /// The number that [`Awaited`](super::Awaited) has for it.
        object: u64,
        /// The messages in it.
        messages: usize,
        /// The most that there may be.
        most: Option<usize>,
    },
    /// A sandboxed process.
    Process {
        /// The process's pid.
        pid: u32,
        /// The CPU time that it has used since somebody looks.
        cpu: Duration,
    },
}

/// A thing that can be looked at.
///
/// ```
/// use procbox_core::observe::{Sight, Visible};
/// struct Door(u64);
/// impl Visible for Door {
///     fn sight(&self) -> Sight {
///         Sight::Lock { object: self.0, holder: None }
///     }
/// }
/// # let _ = Door(1).sight();
/// ```
pub trait Visible: Send + Sync {
    /// The thing as it is. Asked from another thread: it must not wait for what a user can hold.
    fn sight(&self) -> Sight;
}

static LOOKERS: AtomicUsize = AtomicUsize::new(0);
/// What was shown, and is struck out when it is gone.
static THINGS: Mutex<Things> = Mutex::new(Things { all: Vec::new(), look_at: FEW });

/// For so many things nobody looks which of them are gone.
const FEW: usize = 64;

struct Things {
    all: Vec<Weak<dyn Visible>>,
    /// The number from which on those that are gone are struck out.
    look_at: usize,
}

fn things() -> MutexGuard<'static, Things> {
    THINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `true` if anybody looks: for what is worth counting only then.
///
/// ```
/// assert!(!procbox_core::observe::is_looked_at());
/// ```
#[inline]
pub fn is_looked_at() -> bool {
    LOOKERS.load(Ordering::Relaxed) != 0
}

/// Shows a new thing to those who look, if there are any. For whoever implements a backend.
///
/// ```
/// use procbox_core::observe::{Sight, Visible, show};
/// # struct Door(u64);
/// # impl Visible for Door {
/// #     fn sight(&self) -> Sight { Sight::Lock { object: self.0, holder: None } }
/// # }
/// show(&std::sync::Arc::new(Door(1)));
/// ```
#[inline]
pub fn show<T: Visible + 'static>(thing: &Arc<T>) {
    if is_looked_at() {
        let thing: Weak<T> = Arc::downgrade(thing);
        keep(thing);
    }
}

#[cold]
fn keep(thing: Weak<dyn Visible>) {
    let mut things = things();
    if things.all.len() >= things.look_at {
        things.all.retain(|thing| thing.strong_count() > 0);
        // Twice as many: so each is looked at a few times in all, however many there are.
        things.look_at = (2 * things.all.len()).max(FEW);
    }
    things.all.push(thing);
}

/// One who looks, until it is dropped: at what is made meanwhile.
///
/// ```
/// use procbox_core::observe::{Looking, is_looked_at};
/// let looking = Looking::begin();
/// assert!(is_looked_at());
/// assert!(looking.all().is_empty()); // nothing was made since
/// ```
#[must_use = "nobody looks once it is dropped"]
pub struct Looking(());

impl Looking {
    /// What is made from now on can be looked at.
    pub fn begin() -> Looking {
        LOOKERS.fetch_add(1, Ordering::Relaxed);
        Looking(())
    }

    /// How all that can be looked at is now, in the order in which it was made.
    pub fn all(&self) -> Vec<Sight> {
        // Asked when the list is free again: a thing that goes meanwhile may show another.
        let all: Vec<_> = things().all.iter().filter_map(Weak::upgrade).collect();
        all.iter().map(|thing| thing.sight()).collect()
    }
}

impl fmt::Debug for Looking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Looking")
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        if LOOKERS.fetch_sub(1, Ordering::Relaxed) == 1 {
            *things() = Things { all: Vec::new(), look_at: FEW };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing(u64);

    impl Visible for Thing {
        fn sight(&self) -> Sight {
            Sight::Lock { object: self.0, holder: None }
        }
    }

    #[test]
    fn what_lives_and_was_made_while_somebody_looks_is_seen() {
        let before = Arc::new(Thing(1));
        show(&before);
        let looking = Looking::begin();
        let things: Vec<_> = (2..200).map(|n| Arc::new(Thing(n))).collect();
        things.iter().for_each(show);
        let seen = || looking.all().len();
        assert_eq!(seen(), 198);
        drop(things);
        assert_eq!(seen(), 0);
        // What is gone is struck out as others come.
        for n in 0..1000 {
            show(&Arc::new(Thing(n)));
        }
        assert!(super::things().all.len() < 200);
        drop(looking);
        show(&before);
        assert!(super::things().all.is_empty());
    }
}
