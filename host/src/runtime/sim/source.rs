//! Numbers and bytes from a seed: the same ones on every machine, and nothing to make a key of.

use crate::sync::lock;
use procbox_core::Result;
use procbox_core::random::Random;
use std::sync::Mutex;

/// A sequence of numbers, by SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug)]
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Numbers {
        Numbers(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, 0 if there is none. Slightly uneven for an enormous `n`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }
}

/// Where a simulation's random bytes come from.
#[derive(Debug)]
pub(super) struct Source(Mutex<Numbers>);

impl Source {
    pub(super) fn new(seed: u64) -> Source {
        // Not the sequence that the choices are made of.
        Source(Mutex::new(Numbers::new(!seed)))
    }

    pub(super) fn below(&self, n: u64) -> u64 {
        lock(&self.0).below(n)
    }
}

impl Random for Source {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        let mut numbers = lock(&self.0);
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&numbers.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
