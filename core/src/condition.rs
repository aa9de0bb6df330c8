//! A condition: a lock, and a way to sleep without it until somebody says that something has changed.
//! `condition/rules.rs` says who is woken.

mod polled;
mod rules;

use crate::ledger::{Kind, Ledger, Step, deserialize_as, serialize_as};
use crate::{Error, Lock, LockGuard, Result, Wait};
use rules::{LATE_BELL, Place, come, give_up, notify, take};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

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
/// ```
/// # let ctx = procbox_core::Context::local([])?;
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
/// # Ok::<(), procbox_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Condition {
    lock: Lock,
    ledger: Ledger,
}

impl Condition {
    pub(crate) fn new(lock: Lock, ledger: Ledger) -> Condition {
        Condition { lock, ledger }
    }

    /// Waits for the condition's lock.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let changed = ctx.condition()?;
    /// let guard = changed.lock()?;
    /// assert!(!guard.owner_died());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Lock::lock`].
    pub fn lock(&self) -> Result<LockGuard<'_>> {
        self.lock.lock()
    }

    /// Like [`Condition::lock`], for at most `timeout`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// drop(ctx.condition()?.lock_timeout(Duration::from_secs(1))?);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Lock::lock_timeout`].
    pub fn lock_timeout(&self, timeout: Duration) -> Result<LockGuard<'_>> {
        self.lock.lock_timeout(timeout)
    }

    /// Like [`Condition::lock`], without waiting.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert!(ctx.condition()?.try_lock().is_ok());
    /// # Ok::<(), procbox_core::Error>(())
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
    /// ```
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let changed = ctx.condition()?;
    /// let (guard, notified) = changed.wait_timeout(changed.lock()?, Duration::from_millis(10))?;
    /// assert!(!notified);
    /// # drop(guard);
    /// # Ok::<(), procbox_core::Error>(())
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
    /// ```
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let changed = ctx.condition()?;
    /// let second = Duration::from_secs(1);
    /// let (guard, is_so) = changed.wait_for_timeout(changed.lock()?, second, || false)?;
    /// assert!(!is_so);
    /// # drop(guard);
    /// # Ok::<(), procbox_core::Error>(())
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
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.condition()?.notify(1)?, 0); // nobody waits
    /// # Ok::<(), procbox_core::Error>(())
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
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// ctx.condition()?.notify_all()?;
    /// # Ok::<(), procbox_core::Error>(())
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
