//! Locks that many may have to read, or one to write.

use crate::Shared;
use crate::support::*;
use procbox_guest::{Context, Error, Event, Process, Queue, Result, RwLock};

/// A process that has the lock in this way, and what it gives it back at.
fn having(ctx: &Context, lock: &RwLock, how: &str) -> Result<(Process, Event)> {
    let (held, go) = (ctx.event()?, ctx.event()?);
    let it = Shared::RwLock(lock.clone());
    let p = ctx.process("has_it").args((&it, how, &held, &go)).daemon(true).start()?;
    held.wait()?;
    Ok((p, go))
}

/// A process that waits for the lock in this way, and where it says how that ended.
fn waiting(ctx: &Context, lock: &RwLock, how: &str) -> Result<(Process, Queue<String>)> {
    let (about, out) = (ctx.event()?, ctx.queue(1)?);
    let it = Shared::RwLock(lock.clone());
    let p = ctx.process("waits_for_it").args((&it, how, &about, &out)).daemon(true).start()?;
    about_to_block(&about)?;
    Ok((p, out))
}

pub(crate) fn many_read_or_one_writes(ctx: &Context) -> Verdict {
    let lock = ctx.rwlock()?;
    let readers = (lock.read()?, lock.try_read()?);
    let (p, go) = having(ctx, &lock, "read")?;
    refused(lock.try_write(), Error::TimedOut)?;
    drop(readers);
    refused(lock.try_write(), Error::TimedOut)?;
    go.set();
    same(exitcode(&p)?, 0)?;
    let writer = lock.try_write()?;
    refused(lock.try_read(), Error::TimedOut)?;
    refused(lock.try_write(), Error::TimedOut)?;
    drop(writer);
    drop(lock.read()?);
    Ok(())
}

pub(crate) fn writers_keep_each_other_and_readers_apart(ctx: &Context) -> Verdict {
    let (lock, halves) = (ctx.rwlock()?, ctx.queue::<(u64, u64)>(1)?);
    halves.put(&(0, 0))?;
    let start = |_| ctx.process("reads_and_writes").args((&lock, &halves, 200u64)).start();
    let all = (0..4).map(start).collect::<Result<Vec<_>>>()?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    same(halves.get()?, (800, 800))
}

pub(crate) fn who_waits_to_write_goes_before_who_comes_later_to_read(ctx: &Context) -> Verdict {
    let lock = ctx.rwlock()?;
    let reader = lock.read()?;
    let (writes, wrote) = waiting(ctx, &lock, "write")?;
    // As soon as it waits nobody else may read.
    until(|| lock.try_read().is_err());
    let (reads, read) = waiting(ctx, &lock, "read")?;
    same((wrote.len(), read.len()), (0, 0))?;
    drop(reader);
    same((wrote.get()?, read.get()?), ("Ok(false)".into(), "Ok(false)".into()))?;
    same((exitcode(&writes)?, exitcode(&reads)?), (0, 0))
}

pub(crate) fn a_killed_reader_leaves_nothing_behind(ctx: &Context) -> Verdict {
    let lock = ctx.rwlock()?;
    let (p, _go) = having(ctx, &lock, "read")?;
    p.kill()?;
    same(lock.write()?.owner_died(), false)
}

pub(crate) fn a_killed_writer_gives_the_lock_back_and_all_are_told(ctx: &Context) -> Verdict {
    let lock = ctx.rwlock()?;
    let (p, _go) = having(ctx, &lock, "write")?;
    let (reads, read) = waiting(ctx, &lock, "read")?;
    p.kill()?;
    same(read.get()?, "Ok(true)")?;
    same(exitcode(&reads)?, 0)?;
    let readers = (lock.read()?, lock.read()?);
    same((readers.0.owner_died(), readers.1.owner_died()), (true, true))?;
    drop(readers);
    same(lock.write()?.owner_died(), true)?;
    same(lock.write()?.owner_died(), false)?;
    same(lock.read()?.owner_died(), false)
}

pub(crate) fn a_killed_waiter_keeps_nobody_from_the_lock(ctx: &Context) -> Verdict {
    let lock = ctx.rwlock()?;
    let reader = lock.read()?;
    let (writes, _wrote) = waiting(ctx, &lock, "write")?;
    until(|| lock.try_read().is_err());
    let (reads, read) = waiting(ctx, &lock, "read")?;
    writes.kill()?;
    // It waits no more, so that others may read.
    same(read.get()?, "Ok(false)")?;
    same(exitcode(&reads)?, 0)?;
    drop(reader);
    same(lock.write()?.owner_died(), false)
}

pub(crate) fn a_wait_to_read_or_to_write_runs_out(ctx: &Context) -> Verdict {
    let lock = ctx.rwlock()?;
    {
        let _reader = lock.read()?;
        refused(runs_out(|t| lock.write_timeout(t))?, Error::TimedOut)?;
        // One that has given up keeps nobody from reading.
        drop(lock.try_read()?);
    }
    let _writer = lock.write()?;
    refused(runs_out(|t| lock.read_timeout(t))?, Error::TimedOut)?;
    refused(runs_out(|t| lock.write_timeout(t))?, Error::TimedOut)
}
