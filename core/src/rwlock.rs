//! A lock that many may have to read, or one to write.
//!
//! On its ledger: how many read, whether somebody writes, how many wait to write, and whether a writer
//! has died since the last one. A process's line has the same of it, so that what a dead one had comes
//! back.

use crate::ledger::{Ledger, Step, less, take_lost, travels};
use crate::raw::Page;
use crate::{Result, Wait};
use std::time::Duration;

const READERS: usize = 0;
const WRITER: usize = 1;
const WAITING: usize = 2;
const DIED: usize = 3;

/// The lanes of a process: what it reads, whether it writes, how many of it wait to write.
const READS: usize = 0;
const WRITES: usize = 1;
const WAITS: usize = 2;

/// For those who wait to read.
const READABLE: usize = 0;
/// For those who wait to write.
const WRITABLE: usize = 1;

/// A lock that processes share to read, and that one has alone to write. Who waits to write goes before
/// those who come later to read.
///
/// A reader that dies leaves nothing behind. A writer that dies gives the lock back, and everybody is
/// told who has it after that, up to and with the next writer: what it protects may be half changed.
/// Guards are the process's, whichever of its threads has them. It is not reentrant: who writes and
/// wants it again waits for itself, and so does who reads and wants to read again while another waits
/// to write.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let lock = ctx.rwlock()?;
/// {
///     let (_one, _other) = (lock.read()?, lock.read()?);
///     assert!(lock.try_write().is_err());
/// }
/// let writing = lock.write()?;
/// assert!(!writing.owner_died());
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone)]
pub struct RwLock {
    ledger: Ledger,
}

travels!(RwLock);

/// What the dead had comes back.
fn repair(page: &mut Page) {
    let lost = [READS, WRITES, WAITS].map(|lane| take_lost(page, lane));
    less(&mut page.words[READERS], lost[READS]);
    less(&mut page.words[WAITING], lost[WAITS]);
    if lost[WRITES] > 0 {
        page.words[WRITER] = 0;
        page.words[DIED] = 1;
    }
    if lost != [0; 3] {
        page.ring(READABLE);
        page.ring(WRITABLE);
    }
}

/// Takes it to write, if nobody has it; whether a writer had died.
fn take_to_write(page: &mut Page) -> Option<bool> {
    repair(page);
    if page.words[READERS] != 0 || page.words[WRITER] != 0 {
        return None;
    }
    page.words[WRITER] = 1;
    page.mine[WRITES] = 1;
    Some(std::mem::take(&mut page.words[DIED]) != 0)
}

/// One less waits to write.
fn stop_waiting(page: &mut Page) {
    less(&mut page.words[WAITING], 1);
    page.mine[WAITS] = page.mine[WAITS].saturating_sub(1);
}

/// One who waits to write.
fn begin_to_wait(page: &mut Page) {
    page.words[WAITING] = page.words[WAITING].saturating_add(1);
    page.mine[WAITS] = page.mine[WAITS].saturating_add(1);
}

/// Writes, if it can be; one who has waited for that.
fn take_in_turn(page: &mut Page) -> Step<bool> {
    match take_to_write(page) {
        Some(owner_died) => {
            stop_waiting(page);
            Step::Done(owner_died)
        }
        None => Step::Sleep(WRITABLE),
    }
}

/// One who waited to write goes.
fn wait_no_more(page: &mut Page) {
    repair(page);
    stop_waiting(page);
    page.ring(READABLE);
}

/// Reads, if it can be; whether a writer has died.
fn take_to_read(page: &mut Page) -> Step<bool> {
    repair(page);
    if page.words[WRITER] != 0 || page.words[WAITING] != 0 {
        return Step::Sleep(READABLE);
    }
    page.words[READERS] = page.words[READERS].saturating_add(1);
    page.mine[READS] = page.mine[READS].saturating_add(1);
    Step::Done(page.words[DIED] != 0)
}

/// One who waits to write, and goes when this is dropped.
struct Waits<'a>(Option<&'a RwLock>);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        // It fails only if shared memory was scribbled over.
        self.0.iter().for_each(|lock| drop(lock.ledger.update(wait_no_more)));
    }
}

/// For those who wait without a thread. Inside a sandboxed process, and in a simulation, the polls block.
impl RwLock {
    /// Like [`RwLock::read`], as a future. The guard is the process's, not a thread's.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let lock = ctx.rwlock()?;
    /// let guard = lock.read_async().await?;
    /// drop(guard);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Os`] if it cannot be watched.
    pub async fn read_async(&self) -> Result<ReadGuard<'_>> {
        let owner_died = self.ledger.until_polled(take_to_read).await?;
        Ok(ReadGuard { lock: self, owner_died })
    }

    /// Like [`RwLock::write`], as a future. While it waits it keeps those who come to read out; dropped
    /// before it is ready, it lets them in.
    ///
    /// ```no_run
    /// # async fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let lock = ctx.rwlock()?;
    /// let guard = lock.write_async().await?;
    /// drop(guard);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Os`] if it cannot be watched.
    pub async fn write_async(&self) -> Result<WriteGuard<'_>> {
        self.ledger.update(begin_to_wait)?;
        let mut waits = Waits(Some(self));
        let owner_died = self.ledger.until_polled(take_in_turn).await?;
        waits.0 = None;
        Ok(WriteGuard { lock: self, owner_died })
    }
}

impl RwLock {
    pub(crate) fn of(ledger: Ledger) -> RwLock {
        RwLock { ledger }
    }

    fn read_as(&self, wait: Wait) -> Result<ReadGuard<'_>> {
        let owner_died = self.ledger.until(wait, take_to_read)?;
        Ok(ReadGuard { lock: self, owner_died })
    }

    fn write_as(&self, wait: Wait) -> Result<WriteGuard<'_>> {
        let owner_died = match self.ledger.look(wait, take_to_write)?.0 {
            Some(owner_died) => owner_died,
            None if wait.is_never() => return Err(crate::Error::TimedOut),
            None => self.wait_to_write(wait)?,
        };
        Ok(WriteGuard { lock: self, owner_died })
    }

    fn wait_to_write(&self, wait: Wait) -> Result<bool> {
        self.ledger.look(wait, begin_to_wait)?;
        let taken = self.ledger.until(wait, take_in_turn);
        if taken.is_err() {
            self.ledger.update(wait_no_more)?;
        }
        taken
    }

    /// Waits until it can be read.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let lock = ctx.rwlock()?;
    /// let (_one, _other) = (lock.read()?, lock.read()?);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted) on Ctrl-C.
    pub fn read(&self) -> Result<ReadGuard<'_>> {
        self.read_as(Wait::Forever)
    }

    /// Like [`RwLock::read`], for at most `timeout`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let lock = ctx.rwlock()?;
    /// let _writing = lock.write()?;
    /// assert!(lock.read_timeout(Duration::from_millis(10)).is_err());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`RwLock::read`], and [`Error::TimedOut`](crate::Error::TimedOut).
    pub fn read_timeout(&self, timeout: Duration) -> Result<ReadGuard<'_>> {
        self.read_as(Wait::AtMost(timeout))
    }

    /// Like [`RwLock::read`], without waiting.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert!(ctx.rwlock()?.try_read().is_ok());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TimedOut`](crate::Error::TimedOut) if somebody writes, or waits to.
    pub fn try_read(&self) -> Result<ReadGuard<'_>> {
        self.read_as(Wait::Never)
    }

    /// Waits until nobody else has it.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let lock = ctx.rwlock()?;
    /// let writing = lock.write()?;
    /// if writing.owner_died() {
    ///     eprintln!("the last writer died: looking through what it left");
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted) on Ctrl-C.
    pub fn write(&self) -> Result<WriteGuard<'_>> {
        self.write_as(Wait::Forever)
    }

    /// Like [`RwLock::write`], for at most `timeout`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let lock = ctx.rwlock()?;
    /// let _reading = lock.read()?;
    /// assert!(lock.write_timeout(Duration::from_millis(10)).is_err());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`RwLock::write`], and [`Error::TimedOut`](crate::Error::TimedOut).
    pub fn write_timeout(&self, timeout: Duration) -> Result<WriteGuard<'_>> {
        self.write_as(Wait::AtMost(timeout))
    }

    /// Like [`RwLock::write`], without waiting.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert!(ctx.rwlock()?.try_write().is_ok());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TimedOut`](crate::Error::TimedOut) if somebody has it.
    pub fn try_write(&self) -> Result<WriteGuard<'_>> {
        self.write_as(Wait::Never)
    }
}

/// Shares a [`RwLock`] to read, until dropped.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let lock = ctx.rwlock()?;
/// let reading = lock.read()?;
/// assert!(!reading.owner_died());
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the lock is given back when the guard is dropped"]
pub struct ReadGuard<'a> {
    lock: &'a RwLock,
    owner_died: bool,
}

impl ReadGuard<'_> {
    /// `true` if a writer died, and nobody has written since: what it protects may be half changed.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert!(!ctx.rwlock()?.read()?.owner_died());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn owner_died(&self) -> bool {
        self.owner_died
    }
}

impl Drop for ReadGuard<'_> {
    fn drop(&mut self) {
        // It fails only if shared memory was scribbled over.
        let _ = self.lock.ledger.update(|page| {
            repair(page);
            less(&mut page.words[READERS], 1);
            page.mine[READS] = page.mine[READS].saturating_sub(1);
            if page.words[READERS] == 0 {
                page.ring(WRITABLE);
            }
        });
    }
}

/// Has a [`RwLock`] alone, until dropped.
///
/// ```
/// # let ctx = procbox_core::Context::local([])?;
/// let lock = ctx.rwlock()?;
/// drop(lock.write()?);
/// assert!(lock.try_read().is_ok());
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the lock is given back when the guard is dropped"]
pub struct WriteGuard<'a> {
    lock: &'a RwLock,
    owner_died: bool,
}

impl WriteGuard<'_> {
    /// `true` if the writer before died without giving it back. This one alone of all writers is told.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert!(!ctx.rwlock()?.write()?.owner_died());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn owner_died(&self) -> bool {
        self.owner_died
    }
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        // As above.
        let _ = self.lock.ledger.update(|page| {
            repair(page);
            page.words[WRITER] = 0;
            page.mine[WRITES] = 0;
            page.ring(READABLE);
            page.ring(WRITABLE);
        });
    }
}
