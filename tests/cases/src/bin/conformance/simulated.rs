//! Workers for simulations: whatever in their doings depends on order, time or chance, they tell.

use procbox_guest::prelude::*;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Passes on what it takes, with its own number.
#[worker]
fn passes_on(from: Queue<(u32, u64)>, to: Queue<(u32, u32, u64)>, me: u32) -> Result<()> {
    loop {
        match from.get() {
            Ok((who, n)) => to.put(&(me, who, n))?,
            Err(Error::Closed) => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

/// Sleeps, and tells how long that took by its own clock.
#[worker]
fn sleeps(seconds: u64, took: Queue<Duration>) -> Result<()> {
    let began = Instant::now();
    std::thread::sleep(Duration::from_secs(seconds));
    took.put(&began.elapsed())
}

/// Computes until so much time has passed by its own clock.
#[worker]
fn computes_for(millis: u64) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(millis) {
        std::hint::spin_loop();
    }
}

/// Tells a random number and the time of day.
#[worker]
fn tells_chance_and_time(out: Queue<(u64, Duration)>) -> Result<()> {
    let chance = RandomState::new().hash_one(0);
    out.put(&(chance, SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}
