//! A condition: a lock, and a way to sleep without it until somebody says that something has changed.
//!
//! # Who is woken
//!
//! A notification is for those who waited when it was given, not for those who come later. So those who
//! wait stand in two groups. On the ledger each group has the number of those who wait in it, and the
//! number of *calls*, notifications that are there to be taken by any of it. Who comes stands in a group
//! without calls, so that it takes none that was not meant for it. A notification is a call for the
//! group whose *turn* it is, until each of that group has one, and then for the other.
//!
//! If both groups have calls that were not taken yet, who comes is *late*: it stands aside, and goes on
//! at the next notification of all, whether that was for it or not.
//!
//! # Who dies
//!
//! A process's line has the numbers of its threads that wait, so they come off when it dies. Calls are
//! nobody's until they are taken. Where more are left than there are who wait, they go to the other
//! group, whoever came when: a notification is lost only with one who has taken it and, by that, woken.

use crate::ledger::{Kind, Ledger, Step, deserialize_as, less, serialize_as, take_lost};
use crate::raw::Page;
use crate::{Error, Lock, LockGuard, Result, Wait};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// Those who wait in each group.
const WAITING: [usize; 2] = [0, 1];
/// The calls of each group.
const CALLS: [usize; 2] = [2, 3];
/// The group whose turn it is.
const TURN: usize = 4;
/// Those who are late.
const LATE: usize = 5;
/// The number of notifications since which somebody was late.
const ROUND: usize = 6;

/// The lane of a process's threads that are late, and those of the groups.
const LATE_LANE: usize = 0;
const LANES: [usize; 2] = [1, 2];

/// The bell that those who are late listen to, beside the first group.
const LATE_BELL: usize = 0;

/// The place of one who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In this group, whose bell has the same number.
    Group(usize),
    /// Aside, since this round.
    Late(u64),
}

/// A lock together with a way to wait for a change of what it protects.
///
/// Who holds the lock and does not find what it needs waits: that gives the lock back, sleeps until it
/// is notified, and takes the lock again. Who has changed something notifies one, several or all of
/// those who wait at that moment.
///
/// A process that is killed while it waits takes no notification with it, one that is killed with the
/// lock gives it back, and the next guard says `owner_died`. Seldom one wakes that was not notified: wait
/// for what is needed, by [`Condition::wait_for`].
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let (changed, items) = (ctx.condition()?, ctx.queue::<u32>(16)?);
/// // one process
/// let guard = changed.lock()?;
/// items.put(&1)?;
/// changed.notify(1)?;
/// drop(guard);
/// // another
/// let guard = changed.wait_for(changed.lock()?, || !items.is_empty())?;
/// println!("{}", items.get()?);
/// # drop(guard);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Condition {
    lock: Lock,
    ledger: Ledger,
}

/// As many as there are without a call get one, but not more than so many; how many that were.
fn call(page: &mut Page, group: usize, most: u64) -> u64 {
    let without = page.words[WAITING[group]].saturating_sub(page.words[CALLS[group]]);
    let called = without.min(most);
    if called > 0 {
        page.words[CALLS[group]] = page.words[CALLS[group]].saturating_add(called);
        wake(page, group, called);
    }
    called
}

/// So many of a group are to look.
fn wake(page: &mut Page, group: usize, n: u64) {
    // Those who are late listen to the same bell, and could be those who are woken.
    if group == LATE_BELL && page.words[LATE] > 0 {
        return page.ring(group);
    }
    let n = u32::try_from(n).unwrap_or(u32::MAX);
    page.ring[group] = page.ring[group].saturating_add(n);
}

/// Calls that nobody of the group is left to take go to the other.
fn pass_on(page: &mut Page, group: usize) {
    let waiting = page.words[WAITING[group]];
    let over = page.words[CALLS[group]].saturating_sub(waiting);
    if over > 0 {
        page.words[CALLS[group]] = waiting;
        call(page, 1 - group, over);
    }
}

/// Takes off those who died.
fn repair(page: &mut Page) {
    let late = take_lost(page, LATE_LANE);
    less(&mut page.words[LATE], late);
    for group in [0, 1] {
        let lost = take_lost(page, LANES[group]);
        if lost > 0 {
            less(&mut page.words[WAITING[group]], lost);
            pass_on(page, group);
            wake(page, group, u64::MAX);
        }
    }
}

/// One more waits.
fn come(page: &mut Page) -> Place {
    repair(page);
    let turn = (page.words[TURN] % 2) as usize;
    let Some(group) = [1 - turn, turn].into_iter().find(|group| page.words[CALLS[*group]] == 0)
    else {
        page.words[LATE] = page.words[LATE].saturating_add(1);
        page.mine[LATE_LANE] = page.mine[LATE_LANE].saturating_add(1);
        return Place::Late(page.words[ROUND]);
    };
    page.words[WAITING[group]] = page.words[WAITING[group]].saturating_add(1);
    page.mine[LANES[group]] = page.mine[LANES[group]].saturating_add(1);
    Place::Group(group)
}

/// One less waits.
fn go(page: &mut Page, place: Place) {
    match place {
        Place::Group(group) => {
            less(&mut page.words[WAITING[group]], 1);
            page.mine[LANES[group]] = page.mine[LANES[group]].saturating_sub(1);
        }
        Place::Late(_) => {
            less(&mut page.words[LATE], 1);
            page.mine[LATE_LANE] = page.mine[LATE_LANE].saturating_sub(1);
        }
    }
}

/// Takes a call, if there is one for this place, and goes.
fn take(page: &mut Page, place: Place) -> bool {
    repair(page);
    let is_called = match place {
        Place::Group(group) => page.words[CALLS[group]] > 0,
        Place::Late(round) => page.words[ROUND] != round,
    };
    if is_called {
        if let Place::Group(group) = place {
            less(&mut page.words[CALLS[group]], 1);
        }
        go(page, place);
    }
    is_called
}

/// Goes without a call.
fn give_up(page: &mut Page, place: Place) {
    repair(page);
    go(page, place);
    if let Place::Group(group) = place {
        pass_on(page, group);
        // It may be this one that was woken for what is there.
        if page.words[CALLS[group]] > 0 {
            wake(page, group, 1);
        }
    }
}

/// Notifies so many, and says how many there were.
fn notify(page: &mut Page, most: u64) -> u64 {
    repair(page);
    let turn = (page.words[TURN] % 2) as usize;
    let mut called = call(page, turn, most);
    if called < most {
        page.words[TURN] = 1 - turn as u64;
        called += call(page, 1 - turn, most - called);
    }
    if page.words[LATE] > 0 && most > 0 {
        page.words[ROUND] = page.words[ROUND].wrapping_add(1);
        page.ring(LATE_BELL);
        called += page.words[LATE].min(most - called);
    }
    called
}

impl Condition {
    pub(crate) fn new(lock: Lock, ledger: Ledger) -> Condition {
        Condition { lock, ledger }
    }

    /// Waits for the condition's lock.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// let changed = ctx.condition()?;
    /// let guard = changed.lock()?;
    /// assert!(!guard.owner_died());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Lock::lock`].
    pub fn lock(&self) -> Result<LockGuard<'_>> {
        self.lock.lock()
    }

    /// Like [`Condition::lock`], for at most `timeout`.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// drop(ctx.condition()?.lock_timeout(Duration::from_secs(1))?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Lock::lock_timeout`].
    pub fn lock_timeout(&self, timeout: Duration) -> Result<LockGuard<'_>> {
        self.lock.lock_timeout(timeout)
    }

    /// Like [`Condition::lock`], without waiting.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// assert!(ctx.condition()?.try_lock().is_ok());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Lock::try_lock`].
    pub fn try_lock(&self) -> Result<LockGuard<'_>> {
        self.lock.try_lock()
    }

    /// Gives the lock back, waits until this one is notified, and takes the lock again.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let changed = ctx.condition()?;
    /// let mut guard = changed.lock()?;
    /// guard = changed.wait(guard)?;
    /// if guard.owner_died() {
    ///     eprintln!("one died with the lock: looking through what it left");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The lock is not held then. [`Error::Interrupted`] on Ctrl-C, [`Error::Deadlock`];
    /// [`Error::Invalid`] if the guard is not of [`Condition::lock`].
    pub fn wait<'a>(&'a self, guard: LockGuard<'a>) -> Result<LockGuard<'a>> {
        self.wait_as(guard, Wait::Forever).map(|(guard, _)| guard)
    }

    /// Like [`Condition::wait`], for at most `timeout`; the lock is taken again however long that takes.
    /// It says whether this one was notified.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let changed = ctx.condition()?;
    /// let (guard, notified) = changed.wait_timeout(changed.lock()?, Duration::from_millis(10))?;
    /// assert!(!notified);
    /// # drop(guard);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Condition::wait`].
    pub fn wait_timeout<'a>(
        &'a self,
        guard: LockGuard<'a>,
        timeout: Duration,
    ) -> Result<(LockGuard<'a>, bool)> {
        self.wait_as(guard, Wait::AtMost(timeout))
    }

    /// Waits until something is true of what the lock protects: looks at it with the lock, at first and
    /// whenever this one is notified.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let (changed, items) = (ctx.condition()?, ctx.queue::<u32>(16)?);
    /// let guard = changed.wait_for(changed.lock()?, || items.len() >= 3)?;
    /// # drop(guard);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Condition::wait`].
    pub fn wait_for<'a>(
        &'a self,
        mut guard: LockGuard<'a>,
        mut is_so: impl FnMut() -> bool,
    ) -> Result<LockGuard<'a>> {
        while !is_so() {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// Like [`Condition::wait_for`], for at most `timeout`. It says whether it is so.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let changed = ctx.condition()?;
    /// let second = Duration::from_secs(1);
    /// let (guard, is_so) = changed.wait_for_timeout(changed.lock()?, second, || false)?;
    /// assert!(!is_so);
    /// # drop(guard);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Condition::wait`].
    pub fn wait_for_timeout<'a>(
        &'a self,
        mut guard: LockGuard<'a>,
        timeout: Duration,
        mut is_so: impl FnMut() -> bool,
    ) -> Result<(LockGuard<'a>, bool)> {
        let clock = self.ledger.clock();
        let until = Wait::AtMost(timeout).deadline(&*clock);
        loop {
            if is_so() {
                return Ok((guard, true));
            }
            let left = until.wait(&*clock);
            if left.is_never() {
                return Ok((guard, false));
            }
            guard = self.wait_as(guard, left)?.0;
        }
    }

    fn wait_as<'a>(&'a self, guard: LockGuard<'a>, wait: Wait) -> Result<(LockGuard<'a>, bool)> {
        if !guard.is_of(&self.lock) {
            let why = "wait for a condition with the guard that its own `lock` gave";
            return Err(Error::Invalid(why.into()));
        }
        let place = match self.ledger.look(wait, come) {
            Ok((place, _)) => place,
            // A process is stopped in the midst of a change.
            Err(Error::TimedOut) => return Ok((guard, false)),
            Err(e) => return Err(e),
        };
        drop(guard);
        let taken = self.ledger.until(wait, |page| match (take(page, place), place) {
            (true, _) => Step::Done(()),
            (false, Place::Group(group)) => Step::Sleep(group),
            (false, Place::Late(_)) => Step::Sleep(LATE_BELL),
        });
        let is_notified = match taken {
            Ok(()) => true,
            Err(Error::TimedOut) => self.ledger.update(|page| {
                let is_notified = take(page, place);
                if !is_notified {
                    give_up(page, place);
                }
                is_notified
            })?,
            Err(e) => {
                self.ledger.update(|page| give_up(page, place))?;
                return Err(e);
            }
        };
        Ok((self.lock.lock()?, is_notified))
    }

    /// Notifies so many of those who wait, and says how many that were: fewer if there are fewer. It is
    /// done best by who has the lock, so that nobody is between its look and its wait.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// assert_eq!(ctx.condition()?.notify(1)?, 0); // nobody waits
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// None, unless shared memory was scribbled over.
    pub fn notify(&self, n: usize) -> Result<usize> {
        let called = self.ledger.update(|page| notify(page, n as u64))?;
        Ok(usize::try_from(called).unwrap_or(usize::MAX))
    }

    /// Notifies all who wait, and says how many that were.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// ctx.condition()?.notify_all()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`Condition::notify`].
    pub fn notify_all(&self) -> Result<usize> {
        self.notify(usize::MAX)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condition")
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serialize_as(Kind::Condition, (&self.lock, &self.ledger), s)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Condition, D::Error> {
        deserialize_as(Kind::Condition, d).map(|(lock, ledger)| Condition { lock, ledger })
    }
}

#[cfg(test)]
mod tests;
