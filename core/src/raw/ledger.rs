//! Ledgers, as a backend makes them: what most primitives beyond the first five stand on.
//!
//! A ledger is a page of numbers that processes change one after the other, each change whole or not
//! at all, whoever is killed and when. Every process has a line of its own on it, and its line changes
//! with the page in one step. When a process dies, its line is added to what the page says is *lost*,
//! and all who wait look again. So whoever comes next knows to the number what the dead had taken,
//! counted or announced, and the rules of a barrier or a read-write lock are plain arithmetic, written
//! once in this crate.

use super::Watch;
use crate::time::Clock;
use crate::{Error, Result, Wait};
use std::any::Any;
use std::sync::Arc;
use std::task::Waker;

/// A ledger, as a backend implements it for [`crate::RwLock`], [`crate::Condition`], [`crate::Barrier`]
/// and others.
///
/// ```
/// # use procbox_core::Wait;
/// # let ctx = procbox_core::Context::local([])?;
/// let raw = ctx.raw().ledger()?;
/// raw.change(Some(Wait::Forever), &mut |page| {
///     page.words[0] += 1;
///     page.mine[0] += 1; // comes back as `page.lost[0]` if this process dies
/// })?;
/// # Ok::<(), procbox_core::Error>(())
/// ```
pub trait RawLedger: Any + Send + Sync {
    /// Looks at the page, and changes it if `work` does. `work` may be called several times, each time
    /// with the page as it then is: it calls nothing that waits, and does not panic. The answer says
    /// what [`RawLedger::wait`] then waits for.
    ///
    /// It waits only where a process was stopped in the midst of a change: for as long as `wait` allows,
    /// but some tenths of a second in any case. `None` is for what cannot be left undone: it is deaf to
    /// Ctrl-C then.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Interrupted`]; [`Error::Exhausted`] if `work` leaves a line that no
    /// process can have, see [`Page::line`].
    fn change(&self, wait: Option<Wait>, work: &mut dyn FnMut(&mut Page)) -> Result<Seen>;

    /// Waits until this bell has been rung since the page was seen, or a process died. It may return
    /// without that.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Interrupted`], [`Error::Deadlock`].
    fn wait(&self, bell: usize, seen: Seen, wait: Wait) -> Result<()>;

    /// Has `waker` woken when this bell has been rung since the page was seen, or a process died: see
    /// [`Watch`]. Here nobody has to try once more: one that was rung before the call wakes at once. `None`
    /// is what a backend says in which nobody can wait without blocking.
    ///
    /// # Errors
    /// [`Error::Exhausted`].
    fn watch(&self, bell: usize, seen: Seen, waker: &Waker) -> Result<Option<Watch>> {
        let _ = (bell, seen, waker);
        Ok(None)
    }

    /// The clock by which waits are measured.
    fn clock(&self) -> Arc<dyn Clock>;
}

/// The numbers on a page, whose meaning is that of the primitive.
pub const WORDS: usize = 8;
/// The numbers of a process's line.
pub const LANES: usize = 3;
/// The bells of a page.
pub const BELLS: usize = 2;

/// The most that the lanes of a line hold.
const MOST: [u32; LANES] = [u32::MAX, u16::MAX as u32, u16::MAX as u32];

/// How often each bell had been rung when the page was looked at; it wraps around.
pub type Seen = [u32; BELLS];

/// A page, as the calling process sees it.
///
/// ```
/// use procbox_core::raw::Page;
/// let mut page = Page::default();
/// page.mine = [3, 0, 1];
/// let line = page.line()?;
/// assert_eq!(Page::lanes(line), [3, 0, 1]);
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The numbers that all have in common.
    pub words: [u64; WORDS],
    /// The sums of the lines of those who died, less what was struck off here since.
    pub lost: [u64; LANES],
    /// The line of the calling process, all of its threads together.
    pub mine: [u32; LANES],
    /// How many of those who wait for each bell are to look again; at least so many do.
    pub ring: [u32; BELLS],
}

impl Page {
    /// All who wait for this bell look again.
    ///
    /// ```
    /// let mut page = procbox_core::raw::Page::default();
    /// page.ring(1);
    /// assert_eq!(page.ring, [0, u32::MAX]);
    /// ```
    pub fn ring(&mut self, bell: usize) {
        if let Some(ring) = self.ring.get_mut(bell) {
            *ring = u32::MAX;
        }
    }

    /// The caller's line as one number: 32 bits, and twice 16 bits.
    ///
    /// # Errors
    /// [`Error::Exhausted`] if a lane is too large for that.
    ///
    /// ```
    /// use procbox_core::raw::Page;
    /// assert!(Page { mine: [u32::MAX, 0, 65_535], ..Page::default() }.line().is_ok());
    /// assert!(Page { mine: [0, 65_536, 0], ..Page::default() }.line().is_err());
    /// ```
    pub fn line(&self) -> Result<u64> {
        let [a, b, c] = self.mine;
        if self.mine.iter().zip(MOST).any(|(lane, most)| *lane > most) {
            let what = "room to count what one process has of a primitive, 65535 of a kind";
            return Err(Error::Exhausted(what.into()));
        }
        Ok(u64::from(a) | u64::from(b) << 32 | u64::from(c) << 48)
    }

    /// The lanes of a line that is one number.
    ///
    /// ```
    /// assert_eq!(procbox_core::raw::Page::lanes(1 << 32 | 5), [5, 1, 0]);
    /// ```
    pub const fn lanes(line: u64) -> [u32; LANES] {
        [line as u32, (line >> 32) as u32 & 0xffff, (line >> 48) as u32]
    }

    /// Adds a dead process's line to what is lost: for backends.
    ///
    /// ```
    /// use procbox_core::raw::Page;
    /// let mut page = Page::default();
    /// page.lose(1 << 32 | 5);
    /// assert_eq!(page.lost, [5, 1, 0]);
    /// ```
    pub fn lose(&mut self, line: u64) {
        for (lost, lane) in self.lost.iter_mut().zip(Page::lanes(line)) {
            *lost = lost.saturating_add(lane.into());
        }
    }
}
