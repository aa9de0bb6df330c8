//! Buffers of large messages that have gone, kept for the next ones.
//!
//! What the allocator takes back of this size it gives back to the system, and page faults cost more than
//! copying the message does. So some are kept, [`MOST_KEPT`] bytes at most in the whole process, as long as
//! they are used: a thread gives all of them back when that has not happened for [`PAUSE`]. They are no
//! guest's, and what was in them nobody sees: they are empty.

use crate::sync::lock;
use procbox_core::copy;
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Mutex;
use std::time::Duration;

/// The smallest that is kept: below, the allocator keeps them itself.
const LEAST: usize = 128 << 10;
const MOST_KEPT: usize = 32 << 20;
/// Between two looks whether one was used.
const PAUSE: Duration = Duration::from_millis(250);

static KEPT: Mutex<Kept> =
    Mutex::new(Kept { buffers: VecDeque::new(), bytes: 0, used: 0, is_watched: false });

struct Kept {
    /// The one that was kept last is the first: it may still be in the processor's cache.
    buffers: VecDeque<Vec<u8>>,
    bytes: usize,
    /// How often one was used again.
    used: u64,
    /// There is a thread that gives them back.
    is_watched: bool,
}

impl Kept {
    /// One for so many bytes, and little more, of which nobody is told.
    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| (length..=length + length / 8).contains(&buffer.capacity());
        let buffer = self.buffers.iter().position(fits).and_then(|at| self.buffers.remove(at))?;
        self.bytes -= buffer.capacity();
        self.used += 1;
        Some(buffer)
    }

    /// Keeps one; those that it takes the place of.
    fn keep(&mut self, buffer: Vec<u8>) -> Vec<Vec<u8>> {
        self.bytes += buffer.capacity();
        self.buffers.push_front(buffer);
        let mut instead = Vec::new();
        while self.bytes > MOST_KEPT
            && let Some(last) = self.buffers.pop_back()
        {
            self.bytes -= last.capacity();
            instead.push(last);
        }
        instead
    }
}

/// The bytes of one message. Dropped, its buffer is kept for another.
#[derive(Default)]
pub(crate) struct Block(Vec<u8>);

impl Block {
    /// A copy.
    pub(crate) fn copy_of(bytes: &[u8]) -> Block {
        let kept = if bytes.len() < LEAST { None } else { lock(&KEPT).take(bytes.len()) };
        let mut buffer = kept.unwrap_or_else(|| Vec::with_capacity(bytes.len()));
        copy::append(&mut buffer, bytes);
        Block(buffer)
    }

    /// Its buffer.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

impl From<Vec<u8>> for Block {
    fn from(bytes: Vec<u8>) -> Block {
        Block(bytes)
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.0.capacity() >= LEAST {
            give_back(std::mem::take(&mut self.0));
        }
    }
}

/// Keeps a buffer, if somebody sees to it that it is not kept for ever.
fn give_back(mut buffer: Vec<u8>) {
    buffer.clear();
    let mut kept = lock(&KEPT);
    if !kept.is_watched {
        let thread = std::thread::Builder::new().name("procbox-kept".into());
        if thread.spawn(watch).is_err() {
            return;
        }
        kept.is_watched = true;
    }
    let instead = kept.keep(buffer);
    drop(kept);
    drop(instead);
}

/// Gives all buffers back when none of them is used any more, and ends.
fn watch() {
    let mut before = None;
    loop {
        std::thread::sleep(PAUSE);
        let mut kept = lock(&KEPT);
        let used = kept.used;
        if before.replace(used) != Some(used) {
            continue;
        }
        let all = std::mem::take(&mut kept.buffers);
        kept.bytes = 0;
        kept.is_watched = false;
        drop(kept);
        drop(all);
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Kept {
        Kept { buffers: VecDeque::new(), bytes: 0, used: 0, is_watched: false }
    }

    #[test]
    fn a_buffer_is_used_again_for_a_message_of_its_size() {
        let mut kept = none();
        assert!(kept.keep(Vec::with_capacity(1 << 20)).is_empty());
        assert!(kept.take(1 << 21).is_none() && kept.take(1 << 19).is_none());
        let again = kept.take((1 << 20) - 1000).unwrap();
        assert!(again.is_empty() && again.capacity() == 1 << 20);
        assert_eq!((kept.bytes, kept.used), (0, 1));
    }

    #[test]
    fn no_more_is_kept_than_may_be() {
        let mut kept = none();
        let gone: usize = (0..100).map(|_| kept.keep(Vec::with_capacity(1 << 20)).len()).sum();
        assert_eq!((kept.bytes, kept.buffers.len(), gone), (MOST_KEPT, MOST_KEPT >> 20, 100 - 32));
        let gone = kept.keep(Vec::with_capacity(MOST_KEPT + 1));
        assert_eq!((gone.len(), kept.bytes), (33, 0));
    }

    #[test]
    fn blocks_have_their_bytes() {
        for size in [0, 100, LEAST, 1 << 20] {
            let bytes: Vec<u8> = (0..size).map(|at| at as u8).collect();
            for _ in 0..3 {
                assert!(*Block::copy_of(&bytes) == *bytes);
            }
            assert!(Block::copy_of(&bytes).into_bytes() == bytes);
        }
    }
}
