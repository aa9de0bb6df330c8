//! Shared memory: bytes, values, lists of values.

use crate::support::*;
use anyhow::ensure;
use procbox_guest::{Context, Error, Result, SharedBytes, Value};
use std::time::Duration;

fn refused_as_invalid<T: std::fmt::Debug>(result: Result<T>) -> Verdict {
    ensure!(matches!(result, Err(Error::Invalid(_))), "{result:?}");
    Ok(())
}

pub(crate) fn shared_bytes_are_copied_in_and_out(ctx: &Context) -> Verdict {
    let shared = ctx.shared_bytes(100)?;
    same((shared.len(), shared.to_vec()?), (100, vec![0; 100]))?;
    // At any offset, of any length: nothing beside it changes.
    let mut model = vec![0u8; 100];
    for (at, n) in [(0, 100), (3, 1), (5, 8), (7, 20), (96, 4), (99, 1), (50, 0)] {
        let bytes: Vec<u8> = (0..n).map(|i| (at + 3 * i + 1) as u8).collect();
        shared.write(at, &bytes)?;
        model[at..at + n].copy_from_slice(&bytes);
        same(shared.to_vec()?, model.clone())?;
        let mut back = vec![0; n];
        shared.read(at, &mut back)?;
        same(back, bytes)?;
    }
    refused_as_invalid(shared.write(97, b"four"))?;
    refused_as_invalid(shared.read(usize::MAX, &mut [0]))?;
    same(shared.to_vec()?, model)?;
    refused_as_invalid(ctx.shared_bytes(0))?;
    refused_as_invalid(ctx.shared_bytes((1 << 30) + 1))
}

pub(crate) fn shared_bytes_are_the_same_in_every_process(ctx: &Context) -> Verdict {
    let shared = ctx.shared_bytes(300_000)?;
    shared.write(1, b"from here")?;
    let there = ctx.spawn::<(SharedBytes,), Vec<u8>>("writes_there", (&shared,))?.join()?;
    same(there, b"from here".to_vec())?;
    let mut end = [0; 5];
    shared.read(300_000 - 5, &mut end)?;
    same(&end, b"there")
}

pub(crate) fn words_are_changed_atomically(ctx: &Context) -> Verdict {
    let shared = ctx.shared_bytes(20)?;
    same((shared.store(8, 7)?, shared.add(8, u64::MAX)?, shared.load(8)?), (0, 7, 6))?;
    same((shared.compare_exchange(8, 5, 1)?, shared.compare_exchange(8, 6, 2)?), (6, 6))?;
    same((shared.load(8)?, shared.load(0)?), (2, 0))?;
    // The third one is not whole.
    refused_as_invalid(shared.load(16))?;
    refused_as_invalid(shared.load(4))?;
    refused_as_invalid(shared.add(usize::MAX - 7, 1))?;
    let start = |_| ctx.process("adds_to_word").args((&shared, 1000u64)).start();
    let all = (0..4).map(start).collect::<Result<Vec<_>>>()?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    same(shared.load(0)?, 4000)
}

pub(crate) fn a_word_is_waited_for(ctx: &Context) -> Verdict {
    let shared = ctx.shared_bytes(16)?;
    refused(runs_out(|t| shared.wait_timeout(0, 0, t))?, Error::TimedOut)?;
    shared.wait(0, 1)?; // it is another
    refused_as_invalid(shared.wait(3, 0))?;
    let handle = ctx.spawn::<(SharedBytes,), u64>("waits_for_word", (&shared,))?;
    shared.wait(8, 0)?; // it is about to
    let_it_block();
    shared.store(0, 5)?;
    shared.notify();
    same(handle.join()?, 5)
}

pub(crate) fn a_region_outlives_who_made_it_and_who_was_killed(ctx: &Context) -> Verdict {
    let q = ctx.queue::<SharedBytes>(1)?;
    let p = ctx.process("sends_a_region").args((&q,)).start()?;
    same(exitcode(&p)?, 0)?;
    let shared = q.get()?;
    same(shared.load(0)?, 42)?;
    let (about, out) = (ctx.event()?, ctx.event()?);
    let p = ctx.process("fills_for_ever").args((&shared, &about, &out)).daemon(true).start()?;
    about.wait()?;
    p.kill()?;
    p.join()?;
    shared.write(0, &[9; 64])?;
    same(shared.to_vec()?, vec![9; 64])
}

pub(crate) fn a_value_is_shared(ctx: &Context) -> Verdict {
    let value = ctx.value([1u32, 2, 3])?;
    value.set(&[4, 5, 6])?;
    same((value.get()?, value.update(|v| std::mem::take(&mut v[1]))?), ([4, 5, 6], 5))?;
    same(value.get()?, [4, 0, 6])?;
    let counter = ctx.value(0u64)?;
    let start = |_| ctx.process("updates_value").args((&counter, 250u64)).start();
    let all = (0..4).map(start).collect::<Result<Vec<_>>>()?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    same(counter.get()?, 1000)?;
    // One that has another type there is refused.
    let other = ctx.spawn::<(Value<u64>, u64), ()>("updates_value", (ctx.value(0u64)?, 1u64))?;
    other.join()?;
    let wrong = ctx.process("updates_value").args((&ctx.value(0u32)?, 1u64)).start()?;
    same(exitcode(&wrong)?, 1)
}

pub(crate) fn a_value_is_never_half_written(ctx: &Context) -> Verdict {
    let value = ctx.value([0u64; 16])?;
    for round in 0..4 {
        let (about, go) = (ctx.event()?, ctx.event()?);
        let args = (&value, &about, &go);
        let p = ctx.process("sets_alike").args(args).daemon(true).start()?;
        about.wait()?;
        for _ in 0..500 {
            let now = value.get()?;
            ensure!(now.iter().all(|n| *n == now[0]), "round {round}: {now:?}");
        }
        p.kill()?;
        p.join()?;
        let now = value.get()?;
        ensure!(now.iter().all(|n| *n == now[0]), "killed in round {round}: {now:?}");
        value.update(|v| *v = [0; 16])?;
    }
    Ok(())
}

pub(crate) fn a_killed_changer_of_a_value_is_told(ctx: &Context) -> Verdict {
    let value = ctx.value(0u64)?;
    let (about, go) = (ctx.event()?, ctx.event()?);
    let p = ctx.process("keeps_value").args((&value, &about, &go)).daemon(true).start()?;
    about.wait()?;
    // Whoever only reads is not kept.
    same(value.get()?, 0)?;
    p.kill()?;
    same(value.update_told(|n, acquired| (*n, acquired.owner_died))?, (0, true))?;
    same(value.update_told(|_, acquired| acquired.owner_died)?, false)
}

pub(crate) fn an_array_is_shared(ctx: &Context) -> Verdict {
    let array = ctx.array(&[1i16, -2, 3, 4, 5])?;
    same((array.len(), array.get(1)?, array.read(3, 2)?), (5, -2, vec![4, 5]))?;
    array.set(0, &7)?;
    array.write(1, &[8, 9])?;
    same(array.to_vec()?, vec![7, 8, 9, 4, 5])?;
    refused_as_invalid(array.get(5))?;
    refused_as_invalid(array.write(4, &[1, 2]))?;
    refused_as_invalid(array.read(usize::MAX, 2))?;
    refused_as_invalid(ctx.array::<u8>(&[]))?;
    let sums = ctx.array(&[0u64; 3])?;
    let start = |_| ctx.process("adds_to_elements").args((&sums, 100u64)).start();
    let all = (0..3).map(start).collect::<Result<Vec<_>>>()?;
    all.iter().try_for_each(|p| same(exitcode(p)?, 0))?;
    same(sums.to_vec()?, vec![300; 3])?;
    let guard = sums.lock()?;
    refused(sums.lock(), Error::AlreadyHeld)?;
    drop(guard);
    Ok(ctx.shared_bytes(8)?.wait_timeout(0, 1, Duration::ZERO)?)
}
