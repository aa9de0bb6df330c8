//! How it has to be when a process was killed in an operation.

use crate::world::{HANG, World};
use anyhow::{Context as _, ensure};
use procbox::{Bytes, Error, Pipe, Queue, Result};
use procbox_cases::walked::{FULL, LARGE, PERMITS, mark, sevens};

/// How far the killed one had come, by its journal.
struct Come {
    began: bool,
    holds: bool,
    lets_go: bool,
    done: bool,
}

impl Come {
    /// True if it is so as before the operation, or as after it, if that is what has to be.
    fn is_one_of<T: PartialEq>(&self, found: &T, before: &T, after: &T) -> bool {
        let may_be_before = !self.done && found == before;
        let may_be_after = self.began && found == after;
        may_be_before || may_be_after
    }
}

/// All that is in a queue.
fn drained(q: &Queue<Bytes>) -> Result<Vec<usize>> {
    let mut sizes = Vec::new();
    loop {
        match q.try_get() {
            Ok(message) => sizes.push(whole(&message)?),
            Err(Error::Empty) => return Ok(sizes),
            Err(e) => return Err(e),
        }
    }
}

/// All that has come to an end of a pipe.
fn received(pipe: &Pipe<Bytes>) -> Result<usize> {
    let mut messages = 0;
    loop {
        match pipe.try_recv() {
            Ok(message) => messages += usize::from(whole(&message)? == 100),
            Err(Error::TimedOut) => return Ok(messages),
            Err(e) => return Err(e),
        }
    }
}

/// The size of a message, if nothing else is in it than was put.
fn whole(message: &Bytes) -> Result<usize> {
    match message.0.iter().all(|byte| *byte == 7) {
        true => Ok(message.0.len()),
        false => Err(Error::Invalid(format!("a message in pieces: {message:?}"))),
    }
}

/// The sizes of the messages that there are before the operation, and after it.
fn messages(operation: &str) -> (Vec<usize>, Vec<usize>) {
    match operation {
        "put" => (vec![], vec![100]),
        "put_large" => (vec![], vec![LARGE]),
        "put_full" => (vec![8; FULL], vec![8; FULL]),
        "put_waits" => (vec![8; FULL], vec![8; FULL + 1]),
        "get" => (vec![100], vec![]),
        "get_large" => (vec![LARGE], vec![]),
        "get_waits" => (vec![8; 2], vec![8]),
        "ready" => (vec![8], vec![8]),
        _ => (vec![], vec![]),
    }
}

impl World {
    /// What is there is whole, and those who are left go on. The operation had come to its end or not.
    pub(crate) fn check(&self, operation: &str, by_itself: bool) -> anyhow::Result<()> {
        let all = &self.all;
        let mut marks = Vec::new();
        while let Ok(mark) = all.journal.try_get() {
            marks.push(mark);
        }
        let has = |mark| marks.contains(&mark);
        let come = Come {
            began: has(mark::BEGAN),
            holds: has(mark::HOLDS),
            lets_go: has(mark::LETS_GO),
            done: has(mark::DONE),
        };
        ensure!(come.done || !by_itself, "{marks:?}");
        // One who found that the holder had died says so by a message of one byte.
        let (told, taken): (Vec<_>, Vec<_>) =
            drained(&all.forwarded)?.into_iter().partition(|size| *size == 1);
        ensure!(operation != "get_waits" || !taken.is_empty(), "who waits too has got none");
        let found = [taken, drained(&all.q)?].concat();
        let (before, after) = messages(operation);
        ensure!(come.is_one_of(&found, &before, &after), "messages {found:?}, {marks:?}");
        let mut carried = 0;
        while let Ok(event) = all.carry.try_get() {
            event.set();
            ensure!(event.is_set());
            carried += 1;
        }
        let of = |name: &str, change: (i32, i32)| if operation == name { change } else { (0, 0) };
        let (put, got) = (of("put_handle", (0, 1)), of("get_handle", (1, 0)));
        let (before, after) = (put.0 + got.0, put.1 + got.1);
        ensure!(come.is_one_of(&carried, &before, &after), "{carried} handles, {marks:?}");
        let sent = received(&all.there)?;
        ensure!(come.is_one_of(&sent, &0, &usize::from(operation == "send")), "{sent} sent");
        let arrived = received(&all.here)?;
        let before = usize::from(operation.starts_with("recv") && operation != "recv_empty");
        ensure!(come.is_one_of(&arrived, &before, &0), "{arrived} received, {marks:?}");
        let is_set = all.event.is_set();
        let others = ["wait_waits", "listen", "connect"].contains(&operation);
        ensure!(others || come.is_one_of(&is_set, &false, &(operation == "set")), "{is_set}");
        all.event.clear();
        self.held_by_nobody(&come, !told.is_empty())?;
        self.ledgers_are_clean(operation, &come)?;
        self.goes_on()
    }

    /// The lock is free, and says whether its holder had died; all permits are there.
    fn held_by_nobody(&self, come: &Come, told: bool) -> anyhow::Result<()> {
        let guard = self.all.lock.lock_timeout(HANG).context("the lock")?;
        let died = guard.owner_died() || told;
        drop(guard);
        let did = come.holds && !come.lets_go;
        let did_not = !come.began || come.done;
        ensure!(died || !did, "its holder has died, and nobody was told");
        ensure!(!died || !did_not, "its holder has not died, and somebody was told so");
        let permits = &self.all.permits;
        ensure!(permits.available() == PERMITS, "{} permits", permits.available());
        let taken: Vec<_> = (0..PERMITS).map(|_| permits.try_permit()).collect::<Result<_>>()?;
        ensure!(permits.try_permit().err() == Some(Error::TimedOut), "more than there are");
        drop(taken);
        Ok(())
    }

    /// What stands on ledgers has nothing of the dead, and tells what they had.
    fn ledgers_are_clean(&self, operation: &str, come: &Come) -> anyhow::Result<()> {
        let (rwlock, condition, items) = (&self.all.rwlock, &self.all.condition, &self.all.items);
        let died = rwlock.write_timeout(HANG).context("to write")?.owner_died();
        let writes = operation.starts_with("write") && !come.done;
        ensure!(!died || writes, "no writer has died, and somebody was told so");
        let readers = (rwlock.try_read(), rwlock.try_read());
        ensure!(readers.0.is_ok() && readers.1.is_ok(), "nobody writes, and nobody can read");
        drop(readers);
        drop(condition.lock_timeout(HANG).context("a condition's lock")?);
        ensure!(condition.notify_all()? == 0, "the dead wait");
        let mut left = 0;
        while let Ok(item) = items.try_get() {
            items.task_done()?;
            ensure!(item < 2, "item {item}");
            left += 1;
        }
        let lost = items.join_timeout(HANG).context("a join")?;
        let now = lost - self.lost.replace(lost);
        // One that is killed in the moment in which it takes an item counts as if it had it.
        let (most, most_told) = if operation == "items" { (2, 3) } else { (0, 0) };
        ensure!(left <= most && left + now <= most_told, "{left} left, {now} lost");
        ensure!(!come.done || left + now == 0, "all done, and {left} left, {now} lost");
        Ok(())
    }

    /// One who waits is woken, and everything can be used.
    fn goes_on(&self) -> anyhow::Result<()> {
        let all = &self.all;
        let takes = self.beside("takes")?;
        all.q.put_timeout(&sevens(3), HANG).context("a put")?;
        ensure!(all.forwarded.get_timeout(HANG).context("a get")? == sevens(3));
        ensure!(takes.join_timeout(HANG)?.success());
        all.here.send_timeout(&sevens(3), HANG).context("a send")?;
        ensure!(all.there.recv_timeout(HANG).context("a receive")? == sevens(3));
        Ok(())
    }
}
