//! Workers after which others begin, and those that do.

use procbox_guest::prelude::*;
use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

static WORDS: OnceLock<HashMap<String, u64>> = OnceLock::new();
static WRITTEN: Mutex<Vec<u64>> = Mutex::new(Vec::new());
static RESEEDED: AtomicU64 = AtomicU64::new(0);

/// Makes a map, and says what has to be told to each process.
#[worker]
fn counts_letters(words: Vec<String>) {
    fn reseeded() {
        RESEEDED.fetch_add(1, Ordering::Relaxed);
    }
    procbox_guest::on_reseed(reseeded);
    let counted = words.into_iter().map(|word| (word.clone(), word.len() as u64)).collect();
    WORDS.get_or_init(|| counted);
}

/// What was counted of a word; 0 if it was not.
#[worker]
fn letters_of(word: String) -> u64 {
    WORDS.get().and_then(|words| words.get(&word).copied()).unwrap_or(0)
}

/// How often this process was told to make its seeds anew.
#[worker]
fn times_reseeded(_n: u64) -> u64 {
    RESEEDED.load(Ordering::Relaxed)
}

/// What a hash depends on, and a random number.
#[worker]
fn hash_and_random(_n: u64) -> Result<(u64, u64)> {
    use procbox_guest::random::{Random, SystemRandom};
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes)?;
    Ok((RandomState::new().hash_one(7), u64::from_le_bytes(bytes)))
}

/// Writes a number to where all find what others have written, and gives what is there then.
#[worker]
fn writes(n: u64) -> Vec<u64> {
    let mut written = WRITTEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    written.push(n);
    written.clone()
}

/// Leaves a file open, if it is granted one.
#[worker]
fn leaves_a_file_open() -> std::io::Result<()> {
    std::mem::forget(File::open("/proc/self/status")?);
    Ok(())
}

/// Leaves a thread, if it can have one.
#[worker]
fn leaves_a_thread() -> std::io::Result<()> {
    std::thread::Builder::new().spawn(std::thread::park).map(drop)
}

/// Leaves a queue open, if there is a context to make one with.
#[worker]
fn leaves_a_queue_open() -> Result<()> {
    std::mem::forget(procbox_guest::context()?.queue::<u64>(1)?);
    Ok(())
}

/// Computes for ever.
#[worker]
fn never_returns() {
    crate::crash::spin();
}
