//! Workers that use shared memory.

use procbox_guest::prelude::*;
use procbox_guest::{Array, SharedBytes, Value};

/// Reads what is there, and writes to the end.
#[worker]
fn writes_there(shared: SharedBytes) -> Result<Vec<u8>> {
    let mut found = vec![0; 9];
    shared.read(1, &mut found)?;
    shared.write(shared.len() - 5, b"there")?;
    Ok(found)
}

#[worker]
fn adds_to_word(shared: SharedBytes, times: u64) -> Result<()> {
    (0..times).try_for_each(|_| shared.add(0, 1).map(drop))
}

/// Says that it is about to wait, by a word too.
#[worker]
fn waits_for_word(shared: SharedBytes) -> Result<u64> {
    shared.store(8, 1)?;
    shared.notify();
    shared.wait(0, 0)?;
    shared.load(0)
}

#[worker]
fn sends_a_region(q: Queue<SharedBytes>) -> anyhow::Result<()> {
    let shared = procbox_guest::context()?.shared_bytes(64)?;
    shared.store(0, 42)?;
    Ok(q.put(&shared)?)
}

#[worker]
fn fills_for_ever(shared: SharedBytes, about: Event, stop: Event) -> Result<()> {
    about.set();
    let mut byte = 0u8;
    while !stop.is_set() {
        shared.write(0, &[byte; 64])?;
        byte = byte.wrapping_add(1);
    }
    Ok(())
}

#[worker]
fn updates_value(value: Value<u64>, times: u64) -> Result<()> {
    (0..times).try_for_each(|_| value.update(|n| *n += 1))
}

#[worker]
fn sets_alike(value: Value<[u64; 16]>, about: Event, stop: Event) -> Result<()> {
    about.set();
    let mut n = 0;
    while !stop.is_set() {
        n += 1;
        value.set(&[n; 16])?;
    }
    Ok(())
}

/// Keeps others from changing it.
#[worker]
fn keeps_value(value: Value<u64>, about: Event, go: Event) -> Result<()> {
    value.update(|n| {
        *n = 99;
        about.set();
        go.wait().map(drop)
    })?
}

#[worker]
fn adds_to_elements(sums: Array<u64>, times: u64) -> Result<()> {
    for _ in 0..times {
        for index in 0..sums.len() {
            let _guard = sums.lock()?;
            sums.set(index, &(sums.get(index)? + 1))?;
        }
    }
    Ok(())
}
