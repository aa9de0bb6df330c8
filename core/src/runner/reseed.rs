//! What has to differ between processes that begin with the same memory: the keys of `HashMap`, and
//! whatever else a program has made of random bytes.
//!
//! std takes a pair of random keys once for each thread, and adds 1 to the first of them for each
//! `RandomState` that it makes. So among all words of the memory in which it may keep them, that is the
//! one which each time grows by 1. It is found once, in the process from which others begin, and made
//! anew in each of those. Maps that are there already keep the keys that they were made with.

use crate::random::Random;
use crate::sync::lock;
use std::hash::RandomState;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often a word has to grow by 1 to be the one.
const ROUNDS: u64 = 3;

static HOOKS: Mutex<Vec<fn()>> = Mutex::new(Vec::new());

/// Has `hook` called first in each process that begins with this one's memory. What `on_reseed` of
/// `procbox-guest` does.
///
/// ```
/// fn shuffle() {
///     println!("a process begins");
/// }
/// procbox_core::runner::on_reseed(shuffle);
/// ```
pub fn on_reseed(hook: fn()) {
    lock(&HOOKS).push(hook);
}

/// Calls all hooks, in the order in which they came.
///
/// ```
/// use procbox_core::runner::{call_reseed_hooks, on_reseed};
/// use std::sync::atomic::{AtomicU32, Ordering};
/// static CALLS: AtomicU32 = AtomicU32::new(0);
/// on_reseed(|| drop(CALLS.fetch_add(1, Ordering::Relaxed)));
/// call_reseed_hooks();
/// assert_eq!(CALLS.load(Ordering::Relaxed), 1);
/// ```
pub fn call_reseed_hooks() {
    // Copied: a hook may add others.
    let hooks = lock(&HOOKS).clone();
    hooks.into_iter().for_each(|hook| hook());
}

/// Where in this memory std keeps the first of the calling thread's keys of `HashMap`; `None` if that
/// is not in there.
///
/// ```
/// use std::sync::atomic::AtomicU64;
/// let elsewhere = [const { AtomicU64::new(0) }; 8];
/// assert_eq!(procbox_core::runner::place_of_keys(&elsewhere), None);
/// ```
pub fn place_of_keys(memory: &[AtomicU64]) -> Option<usize> {
    let next = || {
        black_box(RandomState::new());
    };
    next();
    let mut before = vec![0; memory.len()];
    for (word, before) in memory.iter().zip(&mut before) {
        *before = word.load(Ordering::Relaxed);
    }
    next();
    let grown =
        |at: &usize, by| memory[*at].load(Ordering::Relaxed) == before[*at].wrapping_add(by);
    let mut places: Vec<usize> = (0..memory.len()).filter(|at| grown(at, 1)).collect();
    for round in 2..=ROUNDS {
        next();
        places.retain(|at| grown(at, round));
    }
    let [place] = places[..] else { return None };
    Some(place)
}

/// Makes that key anew; without random bytes it stays as it is.
///
/// ```
/// use procbox_core::random::SystemRandom;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// let key = AtomicU64::new(7);
/// procbox_core::runner::renew_key(&key, &SystemRandom);
/// assert_ne!(key.load(Ordering::Relaxed), 7);
/// ```
pub fn renew_key(key: &AtomicU64, random: &dyn Random) {
    let mut bytes = [0; size_of::<u64>()];
    if random.fill(&mut bytes).is_ok() {
        key.store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
    }
}
