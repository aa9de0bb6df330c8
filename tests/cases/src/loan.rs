//! Messages that are written and read in place.

use crate::support::*;
use anyhow::ensure;
use procbox_guest::{Bounds, Bytes, Context, Error, Queue, Result};

/// Some that are copied on the way, some that are not, and at the edges between.
const SIZES: [usize; 9] = [0, 1, 127, 128, 5000, 16_383, 16_384, 70_000, 1 << 20];

/// The bytes of a message of this size.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

fn put_in_place(q: &Queue<Bytes>, size: usize) -> Result<()> {
    let mut loan = q.loan(size)?;
    loan.copy_from_slice(&pattern(size));
    loan.put()
}

pub(crate) fn what_was_written_in_place_is_got_as_any_message(ctx: &Context) -> Verdict {
    let q = ctx.queue::<Bytes>(SIZES.len())?;
    SIZES.iter().try_for_each(|size| put_in_place(&q, *size))?;
    same(q.len(), SIZES.len())?;
    for size in SIZES {
        ensure!(q.get()?.0 == pattern(size), "of {size} bytes");
    }
    Ok(())
}

pub(crate) fn any_message_of_bytes_is_read_in_place(ctx: &Context) -> Verdict {
    let q = ctx.queue::<Bytes>(SIZES.len())?;
    SIZES.iter().try_for_each(|size| q.put(&Bytes(pattern(*size))))?;
    // Many at once, dropped in another order than they came.
    let mut all = SIZES.iter().map(|_| q.get_loaned()).collect::<Result<Vec<_>>>()?;
    refused(q.try_get_loaned(), Error::Empty)?;
    refused(runs_out(|t| q.get_loaned_timeout(t))?, Error::Empty)?;
    drop(all.remove(7));
    for (message, size) in all.iter().zip(SIZES.iter().filter(|size| **size != 70_000)) {
        ensure!(**message == pattern(*size), "of {size} bytes");
    }
    q.put(&Bytes(pattern(70_000)))?;
    ensure!(**all.last().ok_or(Error::Empty)? == pattern(1 << 20), "it stays as it was");
    Ok(())
}

pub(crate) fn messages_in_place_go_between_processes(ctx: &Context) -> Verdict {
    let (there, back) = (ctx.queue::<Bytes>(4)?, ctx.queue::<Bytes>(4)?);
    let p = ctx.process("reflects_in_place").args((&there, &back)).daemon(true).start()?;
    for round in 0..3 {
        for size in SIZES {
            put_in_place(&there, size)?;
            let message = back.get_loaned()?;
            let expected: Vec<u8> = pattern(size).into_iter().map(|byte| !byte).collect();
            ensure!(*message == expected, "of {size} bytes, in round {round}");
        }
    }
    there.close();
    same(exitcode(&p)?, 0)
}

pub(crate) fn a_loan_that_is_not_put_leaves_nothing(ctx: &Context) -> Verdict {
    let q = ctx.queue::<Bytes>(1)?;
    for size in SIZES {
        q.loan(size)?.fill(7);
    }
    same((q.len(), q.is_empty()), (0, true))?;
    q.put(&Bytes::from("it"))?;
    same(q.get()?, Bytes::from("it"))
}

pub(crate) fn a_loan_that_finds_no_room_can_be_tried_again(ctx: &Context) -> Verdict {
    for size in [10, 100_000] {
        let q = ctx.queue::<Bytes>(1)?;
        q.put(&Bytes::from("first"))?;
        let mut loan = q.loan(size)?;
        loan.copy_from_slice(&pattern(size));
        let Err(unsent) = loan.try_put() else { anyhow::bail!("it was put into a full queue") };
        same(unsent.error, Error::Full)?;
        let Err(unsent) = unsent.loan.put_timeout(SHORT / 10) else { anyhow::bail!("likewise") };
        same(unsent.error, Error::Full)?;
        same((unsent.loan.len(), q.len()), (size, 1))?;
        same(q.get()?, Bytes::from("first"))?;
        unsent.loan.put()?;
        ensure!(*q.get_loaned()? == pattern(size), "of {size} bytes");
        q.close();
        refused(q.loan(size)?.put(), Error::Closed)?;
        refused(q.get_loaned(), Error::Closed)?;
    }
    Ok(())
}

pub(crate) fn a_loan_that_never_fits_is_too_large(ctx: &Context) -> Verdict {
    let q = ctx.queue_with::<Bytes>(Bounds::default().bytes(100_000))?;
    q.loan(99_000)?.put()?;
    same(q.get_loaned()?.len(), 99_000)?;
    ensure!(matches!(q.loan(100_000), Err(Error::TooLarge { limit: 100_000, .. })));
    ensure!(matches!(q.loan(usize::MAX), Err(Error::TooLarge { .. })));
    Ok(())
}

pub(crate) fn a_message_that_is_no_bytes_is_not_read_in_place(ctx: &Context) -> Verdict {
    let text = ctx.queue::<(u8, u16)>(2)?;
    let bytes: Queue<Bytes> = Queue::from_raw(text.raw().clone());
    text.put(&(9, 300))?;
    ensure!(matches!(bytes.get_loaned(), Err(Error::Decode { .. })));
    bytes.put(&Bytes::from("it"))?;
    same(&*bytes.get_loaned()?, b"it")
}

pub(crate) fn who_is_killed_with_messages_in_place_takes_no_other_with_it(
    ctx: &Context,
) -> Verdict {
    let (q, held) = (ctx.queue::<Bytes>(8)?, ctx.queue::<()>(1)?);
    for round in 0..5 {
        q.put(&Bytes(pattern(70_000)))?;
        q.put(&Bytes(pattern(70_001)))?;
        let p = ctx.process("keeps_in_place").args((&q, &held)).daemon(true).start()?;
        held.get()?;
        p.kill()?;
        same(exitcode(&p)?, -9)?;
        ensure!(*q.get_loaned()? == pattern(70_001), "in round {round}");
        refused(q.try_get(), Error::Empty)?;
    }
    Ok(())
}

pub(crate) fn large_values_of_all_kinds_arrive_whole(ctx: &Context) -> Verdict {
    type Value = (u8, Bytes, String, Vec<Bytes>, Vec<u32>);
    let q = ctx.queue::<Value>(2)?;
    let (first, second) = ctx.pipe::<Value>()?;
    for size in [0, 20_000, 100_000] {
        let value = (
            1,
            Bytes(pattern(size)),
            "x".repeat(size / 2),
            vec![Bytes(pattern(size)), Bytes(pattern(size / 3))],
            vec![7; size / 4],
        );
        q.put(&value)?;
        ensure!(q.get()? == value, "of {size} bytes, by a queue");
        first.send(&value)?;
        ensure!(second.recv()? == value, "of {size} bytes, by a pipe");
    }
    // With a handle among the bytes.
    let carrier = ctx.queue::<(Bytes, Queue<Bytes>, Bytes)>(1)?;
    let inner = ctx.queue::<Bytes>(1)?;
    carrier.put(&(Bytes(pattern(50_000)), inner.clone(), Bytes(pattern(3))))?;
    let (large, got, small) = carrier.get()?;
    ensure!(large.0 == pattern(50_000) && small.0 == pattern(3));
    got.put(&Bytes::from("through it"))?;
    same(inner.get()?, Bytes::from("through it"))
}
