//! A queue whose items are to be marked done, and of which one can wait until all are.
//! `joinable/rules.rs` says where an item is at any moment.

mod polled;
mod rules;

use crate::ledger::{Kind, Ledger, Waiting, deserialize_as, less, serialize_as};
use crate::raw::{Page, Seen};
use crate::{Error, Queue, Result, Wait};
use rules::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// A queue of `T` that knows which items are done: who takes one says so by
/// [`JoinableQueue::task_done`], and [`JoinableQueue::join`] waits for all.
///
/// The items of a process that dies before it has marked them done are lost, as those of any queue are.
/// But nobody waits for them any more, and everybody who joins is told how many those are. One that is
/// killed in the very moment in which it takes an item counts as one that had it.
///
/// ```no_run
/// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
/// let q = ctx.joinable_queue::<String>(16)?;
/// let p = ctx.process("handles_items").args((&q,)).daemon(true).start()?;
/// q.put("an item")?;
/// let lost = q.join()?;
/// assert_eq!(lost, 0);
/// # drop(p);
/// # Ok(()) }
/// ```
pub struct JoinableQueue<T> {
    queue: Queue<T>,
    ledger: Ledger,
}

/// The outcome of a look of one who joins.
enum Looked {
    /// All are done; so many were lost.
    Done(usize),
    /// It has to be looked at once more.
    Again,
    /// They are not done.
    Sleep(Seen),
}

/// A wait for an item that ran out is one of a queue.
fn empty(e: Error) -> Error {
    if e == Error::TimedOut { Error::Empty } else { e }
}

impl<T> JoinableQueue<T> {
    pub(crate) fn new(queue: Queue<T>, ledger: Ledger) -> JoinableQueue<T> {
        JoinableQueue { queue, ledger }
    }

    /// Does something to the queue of which those who wait for items are told, by the end of this
    /// process too.
    fn tell<R>(&self, wait: Wait, work: impl FnOnce() -> R) -> Result<R> {
        let begin = |page: &mut Page| page.mine[PUTS] = page.mine[PUTS].saturating_add(1);
        self.ledger
            .look(wait, begin)
            .map_err(|e| if e == Error::TimedOut { Error::Full } else { e })?;
        let done = work();
        self.ledger.update(|page| {
            page.mine[PUTS] = page.mine[PUTS].saturating_sub(1);
            page.ring(PUT);
        })?;
        Ok(done)
    }

    /// Waits for room and puts an item at the end.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.joinable_queue::<String>(16)?;
    /// q.put("an item")?;
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Queue::put`].
    pub fn put<V: Serialize + ?Sized>(&self, value: &V) -> Result<()>
    where
        for<'a> &'a V: crate::worker::Arg<T>,
    {
        self.tell(Wait::Forever, || self.queue.put_as(value, Wait::Forever))?
    }

    /// Like [`JoinableQueue::put`], for at most `timeout`.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// ctx.joinable_queue::<u32>(16)?.put_timeout(&1, Duration::from_secs(1))
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Queue::put_timeout`].
    pub fn put_timeout<V: Serialize + ?Sized>(&self, value: &V, timeout: Duration) -> Result<()>
    where
        for<'a> &'a V: crate::worker::Arg<T>,
    {
        let wait = Wait::AtMost(timeout);
        self.tell(wait, || self.queue.put_as(value, wait))?
    }

    /// Like [`JoinableQueue::put`], without waiting.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// ctx.joinable_queue::<u32>(16)?.try_put(&1)
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Queue::try_put`].
    pub fn try_put<V: Serialize + ?Sized>(&self, value: &V) -> Result<()>
    where
        for<'a> &'a V: crate::worker::Arg<T>,
    {
        self.tell(Wait::Never, || self.queue.put_as(value, Wait::Never))?
    }

    /// Says that an item is done which this process has taken. Which one does not matter.
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let q = ctx.joinable_queue::<u32>(16)?;
    /// let item = q.get()?;
    /// println!("{item}");
    /// q.task_done()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if this process has none, or has let go of the queue since it took it.
    pub fn task_done(&self) -> Result<()> {
        let had_one = self.ledger.update(|page| {
            repair(page);
            let has_one = page.mine[ITEMS] > 0;
            if has_one {
                page.mine[ITEMS] -= 1;
                less(&mut page.words[UNDONE], 1);
                tell_if_done(page);
            }
            has_one
        })?;
        if had_one {
            return Ok(());
        }
        let why = "task_done was called more often than this process has taken items";
        Err(Error::Invalid(why.into()))
    }

    /// Waits until there is nothing in the queue and all that was taken is done, or lost with who had
    /// it; how many items were lost like that, all together since the queue was made.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// # let q = ctx.joinable_queue::<u32>(16)?;
    /// match q.join()? {
    ///     0 => println!("all done"),
    ///     lost => println!("all done, but for {lost} that died with who had them"),
    /// }
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Interrupted`] on Ctrl-C, [`Error::Deadlock`].
    pub fn join(&self) -> Result<usize> {
        self.join_as(Wait::Forever)
    }

    /// Like [`JoinableQueue::join`], for at most `timeout`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.joinable_queue::<u32>(16)?;
    /// q.put(&1)?;
    /// assert!(q.join_timeout(Duration::from_millis(10)).is_err());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`JoinableQueue::join`], and [`Error::TimedOut`].
    pub fn join_timeout(&self, timeout: Duration) -> Result<usize> {
        self.join_as(Wait::AtMost(timeout))
    }

    /// Like [`JoinableQueue::join`], without waiting.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.joinable_queue::<u32>(16)?.try_join()?, 0); // nothing was put yet
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TimedOut`] if not all is done.
    pub fn try_join(&self) -> Result<usize> {
        self.join_as(Wait::Never)
    }

    fn join_as(&self, wait: Wait) -> Result<usize> {
        let mut waiting = Waiting::new(wait);
        loop {
            match self.look_if_done(waiting.wait)? {
                Looked::Done(lost) => return Ok(lost),
                Looked::Again => {}
                Looked::Sleep(seen) => self.ledger.sleep(ALL_DONE, seen, &mut waiting)?,
            }
        }
    }

    /// One look of those who join.
    fn look_if_done(&self, wait: Wait) -> Result<Looked> {
        let look = |page: &mut Page| {
            repair(page);
            let is_idle = page.words[UNDONE] == 0 && page.words[TAKING] == 0;
            (is_idle, page.words[TAKES], page.words[LOST])
        };
        let ((is_idle, takes, _), seen) = self.ledger.look(wait, look)?;
        if !is_idle || !self.queue.is_empty() {
            return Ok(Looked::Sleep(seen));
        }
        let ((_, takes_now, lost), _) = self.ledger.look(wait, look)?;
        // If nobody began to take one meanwhile, none was on its way when the queue was empty.
        let is_done = takes_now == takes;
        let lost = usize::try_from(lost).unwrap_or(usize::MAX);
        Ok(if is_done { Looked::Done(lost) } else { Looked::Again })
    }

    /// The number of items in the queue now.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.joinable_queue::<u32>(16)?.len(), 0);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// `true` if there is none in it now; some that were taken may be undone.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert!(ctx.joinable_queue::<u32>(16)?.is_empty());
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The number of items that were taken and are not done, by those who live.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.joinable_queue::<u32>(16)?.undone()?, 0);
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TimedOut`] if a process is stopped in the midst of a change.
    pub fn undone(&self) -> Result<usize> {
        let (undone, _) = self.ledger.look(Wait::Never, |page| {
            repair(page);
            page.words[UNDONE]
        })?;
        Ok(usize::try_from(undone).unwrap_or(usize::MAX))
    }

    /// Closes it for all: puts fail at once, gets drain what is there and then fail.
    ///
    /// ```
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.joinable_queue::<u32>(16)?;
    /// q.close()?;
    /// assert_eq!(q.get(), Err(procbox_core::Error::Closed));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// None, unless shared memory was scribbled over.
    pub fn close(&self) -> Result<()> {
        self.tell(Wait::Forever, || self.queue.close())
    }
}

impl<T: DeserializeOwned> JoinableQueue<T> {
    /// Waits for an item and takes it. It is undone until [`JoinableQueue::task_done`].
    ///
    /// ```no_run
    /// # fn example(ctx: procbox_core::Context) -> procbox_core::Result<()> {
    /// # let q = ctx.joinable_queue::<u32>(16)?;
    /// let item = q.get()?;
    /// q.task_done()?;
    /// # drop(item);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Queue::get`]. An item that does not decode is gone, and counts as done.
    pub fn get(&self) -> Result<T> {
        self.get_as(Wait::Forever)
    }

    /// Like [`JoinableQueue::get`], for at most `timeout`.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # use std::time::Duration;
    /// # let ctx = procbox_core::Context::local([])?;
    /// let q = ctx.joinable_queue::<u32>(16)?;
    /// assert_eq!(q.get_timeout(Duration::from_millis(10)), Err(Error::Empty));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Queue::get_timeout`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T> {
        self.get_as(Wait::AtMost(timeout))
    }

    /// Like [`JoinableQueue::get`], without waiting.
    ///
    /// ```
    /// # use procbox_core::Error;
    /// # let ctx = procbox_core::Context::local([])?;
    /// assert_eq!(ctx.joinable_queue::<u32>(16)?.try_get(), Err(Error::Empty));
    /// # Ok::<(), procbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Queue::try_get`].
    pub fn try_get(&self) -> Result<T> {
        self.get_as(Wait::Never)
    }

    fn get_as(&self, wait: Wait) -> Result<T> {
        let mut waiting = Waiting::new(wait);
        loop {
            let (got, seen) = self.take_one(waiting.wait).map_err(empty)?;
            if !matches!(got, Err(Error::Empty)) {
                return got;
            }
            self.ledger.sleep(PUT, seen, &mut waiting).map_err(empty)?;
        }
    }

    /// Takes an item if there is one. `wait` is for the ledger.
    fn take_one(&self, wait: Wait) -> Result<(Result<T>, Seen)> {
        let ((), seen) = self.ledger.look(wait, begin_to_take)?;
        let got = self.queue.try_get();
        let are_more = got.is_ok() && !self.queue.is_empty();
        self.ledger.update(|page| end_taking(page, got.is_ok(), are_more))?;
        Ok((got, seen))
    }
}

impl<T> Clone for JoinableQueue<T> {
    fn clone(&self) -> JoinableQueue<T> {
        JoinableQueue { queue: self.queue.clone(), ledger: self.ledger.clone() }
    }
}

impl<T> fmt::Debug for JoinableQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinableQueue({} items)", self.len())
    }
}

impl<T> Serialize for JoinableQueue<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serialize_as(Kind::JoinableQueue, (&self.queue, &self.ledger), s)
    }
}

impl<'de, T> Deserialize<'de> for JoinableQueue<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<JoinableQueue<T>, D::Error> {
        let parts = deserialize_as(Kind::JoinableQueue, d);
        parts.map(|(queue, ledger)| JoinableQueue { queue, ledger })
    }
}
