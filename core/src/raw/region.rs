//! Regions of shared bytes, as a backend makes them, and what the two that have the bytes at hand do
//! with them.

use super::Watch;
use crate::{Error, Result, Wait};
use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

/// The most bytes of a region.
pub const MAX_REGION: usize = 1 << 30;

/// The bytes of a word.
const WORD: usize = size_of::<u64>();

/// Bytes that processes share, as a backend implements them for [`crate::SharedBytes`]. They are zero at
/// first. Words of 8 bytes, at offsets that 8 divides, can be changed atomically.
///
/// ```
/// # use procbox_core::raw::AtomicOp;
/// # let ctx = procbox_core::Context::local([])?;
/// let raw = ctx.raw().region(4096)?;
/// raw.write(100, b"some bytes")?;
/// assert_eq!(raw.atomic(8, AtomicOp::Add(3))?, 0); // what it was before
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub trait RawRegion: Any + Send + Sync {
    /// The number of bytes.
    fn len(&self) -> usize;

    /// `true` if there are none: there is no such region.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes out, from an offset on. Others may change them meanwhile: each word is what it was at
    /// some moment.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it has not so many.
    fn read(&self, at: usize, into: &mut [u8]) -> Result<()>;

    /// Copies bytes in.
    ///
    /// # Errors
    /// As for [`RawRegion::read`].
    fn write(&self, at: usize, bytes: &[u8]) -> Result<()>;

    /// Does something to the word at an offset, in one step; the word before.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no word.
    fn atomic(&self, at: usize, what: AtomicOp) -> Result<u64>;

    /// Waits until the word at an offset is another than this, as far as [`RawRegion::notify`] tells of
    /// it, or a process that has the region dies.
    ///
    /// # Errors
    /// As for [`RawRegion::atomic`]; [`Error::TimedOut`], [`Error::Interrupted`].
    fn wait(&self, at: usize, is: u64, wait: Wait) -> Result<()>;

    /// Has all who wait look at their words again.
    fn notify(&self);

    /// Has `waker` woken when who waits is to look at its word again: see [`Watch`]. `None` is what a
    /// backend says in which nobody can wait without blocking.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    fn watch(&self, waker: &Waker) -> Result<Option<Watch>> {
        let _ = waker;
        Ok(None)
    }

    /// The bytes where they are, as words, if this process has them mapped; the last one may go beyond
    /// the region's end.
    fn words(&self) -> Option<&[AtomicU64]> {
        None
    }
}

/// A step on a word.
///
/// ```
/// use procbox_core::raw::AtomicOp;
/// let increment = AtomicOp::Add(1);
/// assert_ne!(increment, AtomicOp::Load);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AtomicOp {
    /// Nothing.
    Load,
    /// It is this from now on.
    Store(u64),
    /// It is so much more, around the end.
    Add(u64),
    /// It is `new` from now on, if it was `current`.
    CompareExchange {
        /// The word as it has to be.
        current: u64,
        /// The word that takes its place.
        new: u64,
    },
}

/// A region whose words this process has, and what is done with them: for backends.
///
/// ```
/// use procbox_core::raw::{AtomicOp, Words};
/// use std::sync::atomic::AtomicU64;
/// let memory = [const { AtomicU64::new(0) }; 2];
/// let words = Words::new(&memory, 10)?;
/// words.write(7, b"abc")?;
/// let mut read = [0; 4];
/// words.read(6, &mut read)?;
/// assert_eq!(&read, b"\0abc");
/// assert!(words.write(8, b"abc").is_err()); // it has ten bytes
/// assert_eq!(words.atomic(0, AtomicOp::Load)?, u64::from(b'a') << 56);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    words: &'a [AtomicU64],
    len: usize,
}

impl<'a> Words<'a> {
    /// So many bytes, in these words.
    ///
    /// # Errors
    /// [`Error::Invalid`] if these words have fewer.
    pub fn new(words: &'a [AtomicU64], len: usize) -> Result<Words<'a>> {
        match words.len().checked_mul(WORD) {
            Some(room) if len <= room => Ok(Words { words, len }),
            _ => Err(Error::Invalid("a region has no more bytes than its words".into())),
        }
    }

    /// The words that have a range of bytes, and where in the first of them it begins.
    fn range(&self, at: usize, n: usize) -> Result<(&'a [AtomicU64], usize)> {
        let end = at.checked_add(n).filter(|end| *end <= self.len).ok_or_else(|| {
            Error::Invalid(format!("{n} bytes at {at} are not in a region of {}", self.len))
        })?;
        let words = self.words.get(at / WORD..end.div_ceil(WORD)).unwrap_or_default();
        Ok((words, at % WORD))
    }

    /// [`RawRegion::read`].
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn read(&self, at: usize, into: &mut [u8]) -> Result<()> {
        let (words, skip) = self.range(at, into.len())?;
        let Some((first, rest)) = words.split_first() else { return Ok(()) };
        let head = (WORD - skip).min(into.len());
        let (into, tail) = into.split_at_mut(head);
        let bytes = first.load(Ordering::Acquire).to_le_bytes();
        into.copy_from_slice(&bytes[skip..skip + head]);
        for (word, into) in rest.iter().zip(tail.chunks_mut(WORD)) {
            let bytes = word.load(Ordering::Acquire).to_le_bytes();
            into.copy_from_slice(&bytes[..into.len()]);
        }
        Ok(())
    }

    /// [`RawRegion::write`].
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn write(&self, at: usize, bytes: &[u8]) -> Result<()> {
        let (words, skip) = self.range(at, bytes.len())?;
        let Some((first, rest)) = words.split_first() else { return Ok(()) };
        let (head, tail) = bytes.split_at((WORD - skip).min(bytes.len()));
        put(first, skip, head);
        for (word, bytes) in rest.iter().zip(tail.chunks(WORD)) {
            put(word, 0, bytes);
        }
        Ok(())
    }

    /// The word at an offset.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not a multiple of 8, or not in the region.
    pub fn word(&self, at: usize) -> Result<&'a AtomicU64> {
        let whole = self.len / WORD;
        let word = at.is_multiple_of(WORD).then_some(at / WORD).filter(|index| *index < whole);
        word.and_then(|index| self.words.get(index)).ok_or_else(|| no_word(at, self.len))
    }

    /// [`RawRegion::atomic`].
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn atomic(&self, at: usize, what: AtomicOp) -> Result<u64> {
        let (word, order) = (self.word(at)?, Ordering::SeqCst);
        Ok(match what {
            AtomicOp::Load => word.load(order),
            AtomicOp::Store(new) => word.swap(new, order),
            AtomicOp::Add(more) => word.fetch_add(more, order),
            AtomicOp::CompareExchange { current, new } => {
                word.compare_exchange(current, new, order, order).unwrap_or_else(|before| before)
            }
        })
    }
}

/// The error of an offset at which there is no word.
fn no_word(at: usize, len: usize) -> Error {
    Error::Invalid(format!("there is no word of 8 bytes at {at} in a region of {len}"))
}

/// Writes some bytes of a word, and leaves its others to whoever changes them.
fn put(word: &AtomicU64, skip: usize, bytes: &[u8]) {
    if let Ok(whole) = bytes.try_into() {
        return word.store(u64::from_le_bytes(whole), Ordering::Release);
    }
    let with = |before: u64| {
        let mut all = before.to_le_bytes();
        all[skip..skip + bytes.len()].copy_from_slice(bytes);
        Some(u64::from_le_bytes(all))
    };
    // It always has a new value.
    let _ = word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, with);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is written where, it is what a slice would be, and nothing beyond it changes.
        #[test]
        fn a_region_is_its_bytes(
            len in 1usize..100,
            steps in prop::collection::vec((0usize..110, prop::collection::vec(any::<u8>(), 0..40)), 0..20),
        ) {
            let memory: Vec<_> = (0..13).map(|_| AtomicU64::new(0)).collect();
            let words = Words::new(&memory, len).unwrap();
            let mut model = vec![0u8; 13 * WORD];
            for (at, bytes) in steps {
                let fits = at + bytes.len() <= len;
                prop_assert_eq!(words.write(at, &bytes).is_ok(), fits);
                let mut read = vec![0; bytes.len()];
                prop_assert_eq!(words.read(at, &mut read).is_ok(), fits);
                if fits {
                    model[at..at + bytes.len()].copy_from_slice(&bytes);
                    prop_assert_eq!(&read, &bytes);
                }
                let all: Vec<u8> = memory.iter().flat_map(|w| w.load(Ordering::Relaxed).to_le_bytes()).collect();
                prop_assert_eq!(&all, &model);
                prop_assert_eq!(words.word(at).is_ok(), at % WORD == 0 && at + WORD <= len);
            }
            prop_assert!(words.read(usize::MAX, &mut [0]).is_err());
        }
    }
}
