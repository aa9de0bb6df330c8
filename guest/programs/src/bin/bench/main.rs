//! The workers that `procbox bench` and `benches/` measure. Not a sample: nothing here is useful.

mod compute;

use procbox_guest::prelude::*;
use procbox_guest::{RwLock, SharedBytes};
use std::time::Instant;

/// Starts and ends.
#[worker]
fn nothing() {}

/// Puts `n` messages of `size` bytes.
#[worker]
fn put_many(q: Queue<Bytes>, n: u64, size: usize) -> Result<()> {
    let message = Bytes(vec![7; size]);
    (0..n).try_for_each(|_| q.put(&message))
}

/// The same, each written in place.
#[worker]
fn loan_many(q: Queue<Bytes>, n: u64, size: usize) -> Result<()> {
    let message = vec![7; size];
    (0..n).try_for_each(|_| {
        let mut loan = q.loan(size)?;
        loan.copy_from_slice(&message);
        loan.put()
    })
}

/// Gets a message, and then says how many nanoseconds the next `n` took.
#[worker]
fn get_many(q: Queue<Bytes>, n: u64, took: Queue<u64>) -> Result<()> {
    got(n, &took, || q.get().map(|message| look_at(&message)))
}

/// The same, each read in place.
#[worker]
fn get_many_loaned(q: Queue<Bytes>, n: u64, took: Queue<u64>) -> Result<()> {
    got(n, &took, || q.get_loaned().map(|message| look_at(&message)))
}

fn got(n: u64, took: &Queue<u64>, mut get: impl FnMut() -> Result<()>) -> Result<()> {
    get()?;
    let began = Instant::now();
    (0..n).try_for_each(|_| get())?;
    took.put(&(began.elapsed().as_nanos() as u64))
}

/// Reads both ends of a message.
fn look_at(message: &[u8]) {
    std::hint::black_box((message.first().copied(), message.last().copied()));
}

/// Answers what it gets, until the queue is closed.
#[worker]
fn answer(questions: Queue<Bytes>, answers: Queue<Bytes>) -> Result<()> {
    loop {
        match questions.get() {
            Ok(question) => answers.put(&question)?,
            Err(Error::Closed) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

/// Asks `n` times, each after the last answer, and says how many nanoseconds that took.
#[worker]
fn ask(questions: Queue<Bytes>, answers: Queue<Bytes>, n: u64, took: Queue<u64>) -> Result<()> {
    let question = Bytes(vec![7; 8]);
    let began = Instant::now();
    for _ in 0..n {
        questions.put(&question)?;
        answers.get()?;
    }
    took.put(&(began.elapsed().as_nanos() as u64))
}

/// Sends back what it receives, until the other end is gone.
#[worker]
fn echo(pipe: Pipe<Bytes>) -> Result<()> {
    loop {
        match pipe.recv() {
            Ok(message) => pipe.send(&message)?,
            Err(Error::Closed) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

/// Plays `n` rounds of ping-pong and says how many nanoseconds they took.
#[worker]
fn ping(pipe: Pipe<Bytes>, n: u64, took: Queue<u64>) -> Result<()> {
    let message = Bytes(vec![7; 8]);
    let began = Instant::now();
    for _ in 0..n {
        pipe.send(&message)?;
        pipe.recv()?;
    }
    took.put(&(began.elapsed().as_nanos() as u64))
}

/// Acquires and releases a lock `n` times and says how many nanoseconds that took.
#[worker]
fn lock_many(lock: Lock, n: u64, took: Queue<u64>) -> Result<()> {
    let began = Instant::now();
    for _ in 0..n {
        drop(lock.lock()?);
    }
    took.put(&(began.elapsed().as_nanos() as u64))
}

/// Takes a permit and gives it back `n` times and says how many nanoseconds that took.
#[worker]
fn semaphore_many(semaphore: Semaphore, n: u64, took: Queue<u64>) -> Result<()> {
    let began = Instant::now();
    for _ in 0..n {
        drop(semaphore.permit()?);
    }
    took.put(&(began.elapsed().as_nanos() as u64))
}

/// Takes a lock to write and gives it back `n` times.
#[worker]
fn write_many(lock: RwLock, n: u64, took: Queue<u64>) -> Result<()> {
    let began = Instant::now();
    for _ in 0..n {
        drop(lock.write()?);
    }
    took.put(&(began.elapsed().as_nanos() as u64))
}

/// Adds to a shared word `n` times.
#[worker]
fn add_many(shared: SharedBytes, n: u64, took: Queue<u64>) -> Result<()> {
    let began = Instant::now();
    for _ in 0..n {
        shared.add(0, 1)?;
    }
    took.put(&(began.elapsed().as_nanos() as u64))
}

/// Copies all of some shared bytes out, `n` times.
#[worker]
fn read_many(shared: SharedBytes, n: u64, took: Queue<u64>) -> Result<()> {
    let mut bytes = vec![0; shared.len()];
    let began = Instant::now();
    for _ in 0..n {
        shared.read(0, &mut bytes)?;
    }
    took.put(&(began.elapsed().as_nanos() as u64))
}

/// Goes round a loop `n` times and says how many nanoseconds that took.
#[worker]
fn compute_many(n: u64, took: Queue<u64>) -> Result<()> {
    let began = Instant::now();
    let mut sum = n;
    for i in 0..n {
        sum = std::hint::black_box(sum.rotate_left(5) ^ i);
    }
    std::hint::black_box(sum);
    took.put(&(began.elapsed().as_nanos() as u64))
}

/// Says that it has begun, and computes until it is killed.
#[worker]
fn compute(begun: Queue<()>) -> Result<()> {
    begun.put(&())?;
    loop {
        std::hint::spin_loop();
    }
}

/// A task that does nothing.
#[worker]
fn empty_task(n: u64) -> u64 {
    n
}

fn main() -> anyhow::Result<()> {
    let _ctx = procbox_guest::init()?;
    anyhow::bail!("these workers are started by `procbox bench`")
}
