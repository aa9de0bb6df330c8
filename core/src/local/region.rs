//! A region: words of this process's own memory, which all its threads have where they are.

use super::Home;
use super::sleep::{WaitList, block, number};
use crate::observe::Operation;
use crate::raw::{AtomicOp, RawRegion, Words};
use crate::{Error, Result, Wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) struct LocalRegion {
    pub(super) home: Arc<Home>,
    words: Box<[AtomicU64]>,
    len: usize,
    notified: Arc<WaitList>,
}

impl LocalRegion {
    /// # Errors
    /// [`Error::Exhausted`] if there is no memory for it.
    pub(super) fn new(home: Arc<Home>, len: usize) -> Result<LocalRegion> {
        let many = len.div_ceil(size_of::<u64>());
        let mut words = Vec::new();
        let room = words.try_reserve_exact(many);
        room.map_err(|_| Error::Exhausted(format!("memory for a region of {len} bytes")))?;
        words.resize_with(many, AtomicU64::default);
        Ok(LocalRegion { home, words: words.into(), len, notified: WaitList::new() })
    }

    fn bytes(&self) -> Result<Words<'_>> {
        Words::new(&self.words, self.len)
    }
}

impl RawRegion for LocalRegion {
    fn len(&self) -> usize {
        self.len
    }

    fn read(&self, at: usize, into: &mut [u8]) -> Result<()> {
        self.bytes()?.read(at, into)
    }

    fn write(&self, at: usize, bytes: &[u8]) -> Result<()> {
        self.bytes()?.write(at, bytes)
    }

    fn atomic(&self, at: usize, what: AtomicOp) -> Result<u64> {
        self.bytes()?.atomic(at, what)
    }

    fn wait(&self, at: usize, is: u64, wait: Wait) -> Result<()> {
        let word = self.bytes()?.word(at)?;
        let deaths = self.home.deaths();
        let lists = [&self.notified, &self.home.died];
        block(wait, (Operation::RegionWait, number(self)), &lists, || {
            let is_another = word.load(Ordering::SeqCst) != is;
            (is_another || self.home.deaths() != deaths).then_some(Ok(()))
        })
    }

    fn notify(&self) {
        self.notified.wake();
    }

    fn words(&self) -> Option<&[AtomicU64]> {
        Some(&self.words)
    }
}
