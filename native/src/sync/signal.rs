//! Signals to those who sleep until a state changes: a word and a flag beside the state.
//!
//! Who would sleep *announces* that: reads the word, raises the flag, and looks at the state once more.
//! If there is still nothing, it sleeps while the word has the value that it read. Who changes the
//! state publishes the change first, then lowers the flag if it was up, changes the word and wakes
//! all. Between raising the flag and the last look on one side, and between the change and the look
//! at the flag on the other, stand fences, so one of the two sees the other (the pattern is
//! Dekker's). If the waker sees the flag, the word changes: one that reads it before it sleeps does
//! not sleep, and one that sleeps is woken. A change that nobody waits for costs one load.
//!
//! All are woken: if one were, and were killed before it acted, the others would sleep on. A waker
//! that is killed between its change and the wake is made up for by whoever recovers it.
//!
//! Who waits for more states than the kernel takes words for sleeps on one word that all signals
//! share. It reads that word first, raises its own flag at each of the signals, looks at all the
//! states, and sleeps. Who lowers that flag changes the shared word; so the argument is the same.
//!
//! Who watches many states for others raises the same flag, and keeps the signal's own word as it was
//! before. Whoever lowers a flag changes that word too, whoever sleeps on it. So after a change of the
//! shared word, the signals whose own words have changed are those that were told of, though others may
//! have raised the flag again; and one whose word has not changed has its flag up.
//!
//! `tests/models` goes through the interleavings of this file.

use super::atomic::{AtomicU32, Ordering, fence};

/// In `wanted`: somebody sleeps on the word of this signal.
const HERE: u32 = 1;
/// In `wanted`: somebody sleeps on the word that the signals share, or watches.
const SHARED: u32 = 2;

/// A word that changes with the state beside it, and flags that say who sleeps.
#[cfg_attr(loom, derive(Default))]
#[repr(C)]
pub(crate) struct Signal {
    word: AtomicU32,
    wanted: AtomicU32,
}

impl Signal {
    /// Says that the caller is about to sleep: the word, and the value while it has which to sleep. In
    /// between the caller looks at the state.
    pub(crate) fn announce(&self) -> (&AtomicU32, u32) {
        let value = self.word.load(Ordering::SeqCst);
        self.wanted.fetch_or(HERE, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        (&self.word, value)
    }

    /// Says that the caller is about to sleep on the word that the signals share, whose value it has
    /// read before. In between the caller looks at the state.
    pub(crate) fn announce_shared(&self) {
        self.wanted.fetch_or(SHARED, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Says that somebody who sleeps on the shared word watches this for the caller, who looks at the state
    /// after this. The value is that of [`Signal::value`] until there is something to tell.
    pub(crate) fn announce_watched(&self) -> u32 {
        let value = self.value();
        self.announce_shared();
        value
    }

    /// Changes with all that those who watch are told of, before the shared word does.
    pub(crate) fn value(&self) -> u32 {
        self.word.load(Ordering::SeqCst)
    }

    /// Tells those who sleep, after a change was published. `shared` is the word that the signals
    /// share; `wake_all` wakes whoever sleeps on a word.
    #[inline]
    pub(crate) fn changed(&self, shared: &AtomicU32, wake_all: impl Fn(&AtomicU32)) {
        fence(Ordering::SeqCst);
        if self.wanted.load(Ordering::Relaxed) != 0 {
            let wanted = self.wanted.swap(0, Ordering::SeqCst);
            if wanted != 0 {
                self.word.fetch_add(1, Ordering::SeqCst);
            }
            if wanted & HERE != 0 {
                wake_all(&self.word);
            }
            if wanted & SHARED != 0 {
                shared.fetch_add(1, Ordering::SeqCst);
                wake_all(shared);
            }
        }
    }

    /// Whether anybody said that it sleeps; for who holds a lock under which the change was made, and
    /// under which those who announce themselves look: the lock gives the order.
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) != 0
    }

    /// Tells all, whether they said that they sleep or not.
    pub(crate) fn bump(&self, shared: &AtomicU32, wake_all: impl Fn(&AtomicU32)) {
        for word in [&self.word, shared] {
            word.fetch_add(1, Ordering::SeqCst);
            wake_all(word);
        }
    }
}
