//! The sandbox's region: bytes of the host, in words, which guests copy in and out.

use crate::account::Charge;
use crate::runtime::Runtime;
use crate::wait_list::WaitList;
use crate::waiting;
use procbox_core::observe::Operation;
use procbox_core::raw::{AtomicOp, RawRegion, Words};
use procbox_core::{Error, Result, Wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct HostRegion {
    pub(crate) runtime: Arc<Runtime>,
    words: Box<[AtomicU64]>,
    len: usize,
    /// For those who wait until a word is another.
    changed: WaitList,
    _charge: Charge,
}

impl HostRegion {
    /// One that is zero, which takes no memory where nobody has written.
    ///
    /// # Errors
    /// [`Error::Exhausted`] if the host has no memory.
    pub(crate) fn new(runtime: Arc<Runtime>, len: usize, charge: Charge) -> Result<HostRegion> {
        let words = bytemuck::allocation::try_zeroed_slice_box(len.div_ceil(size_of::<u64>()))
            .map_err(|()| Error::Exhausted(format!("memory of the host for {len} shared bytes")))?;
        Ok(HostRegion { runtime, words, len, changed: WaitList::new(), _charge: charge })
    }

    pub(crate) fn all(&self) -> Result<Words<'_>> {
        Words::new(&self.words, self.len)
    }

    /// Waits until the word at an offset is another than this.
    pub(crate) async fn is_another(&self, at: usize, is: u64) -> Result<()> {
        let word = self.all()?.word(at)?;
        let is_another = || (word.load(Ordering::SeqCst) != is).then_some(Ok(()));
        waiting::until(&self.runtime, &self.changed, is_another).await
    }

    /// All who wait look again. Also when a process ends that has it, and may not have said so.
    pub(crate) fn tell(&self) {
        self.changed.wake(usize::MAX);
    }
}

impl RawRegion for HostRegion {
    fn len(&self) -> usize {
        self.len
    }

    fn read(&self, at: usize, into: &mut [u8]) -> Result<()> {
        self.all()?.read(at, into)
    }

    fn write(&self, at: usize, bytes: &[u8]) -> Result<()> {
        self.all()?.write(at, bytes)
    }

    fn atomic(&self, at: usize, what: AtomicOp) -> Result<u64> {
        self.all()?.atomic(at, what)
    }

    fn wait(&self, at: usize, is: u64, wait: Wait) -> Result<()> {
        let word = self.all()?.word(at)?;
        let attempt = || (word.load(Ordering::SeqCst) != is).then_some(Ok(()));
        let on = (Operation::RegionWait, waiting::number(self));
        waiting::block(&self.runtime, wait, on, attempt, || self.is_another(at, is))
    }

    fn notify(&self) {
        self.tell();
    }

    fn words(&self) -> Option<&[AtomicU64]> {
        Some(&self.words)
    }
}
